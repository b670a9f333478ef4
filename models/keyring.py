"""Whose signatures count in a store, and who signs in it.

The private key lies where models are published and nowhere else. Whoever can write to a store without it

- cannot make a worker with MODEL_PUBLIC_KEY load, or even parse, a model that the key's owner did not publish, nor one
  that was not promoted;
- cannot put an entry into the history of promotions, take one out of its middle, or change the order;
- can cut the history off at its end, and so bring back what was in force then, at the next start of a worker:
  MODEL_MIN_SEQUENCE is the limit. One that runs refuses a history without the last entry that it has seen;
- can cut its beginning off, or put anything in its place, whatever MODEL_MIN_SEQUENCE is: what is in force stays, and
  who was in production before, what a rollback goes back to, and aliases that were last promoted there are gone.
  `segment-trainer history`, `list` and `segment-worker check` say where a history begins when that is not number 1 or
  something unsigned is before it; a change of keys and a history that was begun anew look the same. Keep a copy;
- can remove or damage what is there, so that a worker does not start: it says so and ends with 2, it never goes on
  with less;
- can have whatever they like loaded by a worker without MODEL_PUBLIC_KEY: signatures are not looked at there. It says
  so, and warns where the store has any;
- can change a version while it is being published. Publish where nobody else can write, then copy.

A pair is for one store. Entries of another store that are signed with the same key are as good as its own at a start.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.errors import KeyUnusable
from models.signing import PublicKeys, SigningKey, public_keys, signing_key


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of one store; without any, signatures are neither made nor looked at."""

    trusted: PublicKeys | None = None
    signing: SigningKey | None = None
    least_sequence: int = 0
    """With trusted keys: a history of promotions that ends below is an old one."""

    def require_signing(self) -> None:
        """Raise KeyUnusable where what is written now would be refused by whoever reads it next."""
        if self.trusted is not None and self.signing is None:
            raise KeyUnusable(
                "MODEL_PUBLIC_KEY is set, so what is not signed is refused, and MODEL_SIGNING_KEY is missing: set it "
                "to the path of the private key"
            )


def keyring(public: str | None, signing: str | None, least_sequence: int, store: Path) -> Keyring:
    """The keys that MODEL_PUBLIC_KEY, MODEL_SIGNING_KEY and MODEL_MIN_SEQUENCE give for a store.

    A signing key trusts itself where no public key is given. Raises KeyUnusable for keys that cannot be read, that do
    not belong together, or that lie in the store.
    """
    signs = None if signing is None else signing_key(signing, store)
    own = None if signs is None else signs.public
    trusted = own if public is None else public_keys(public, store)
    if trusted is None:
        if least_sequence:
            raise KeyUnusable(
                "MODEL_MIN_SEQUENCE is given without MODEL_PUBLIC_KEY, and a sequence number that nobody signed proves "
                "nothing: give the key, or remove MODEL_MIN_SEQUENCE"
            )
        return Keyring()
    if signs is not None and signs.public.keys[0] not in trusted.keys:
        raise KeyUnusable(
            "MODEL_SIGNING_KEY is not the private half of a key in MODEL_PUBLIC_KEY, and what it signs would be "
            f"refused: add {signs.one_line} to MODEL_PUBLIC_KEY, or sign with another key"
        )
    return Keyring(trusted, signs, least_sequence)
