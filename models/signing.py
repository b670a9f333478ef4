"""Who may publish models: Ed25519 keys, how they are written, where they are read from, and what they sign.

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

import binascii
import os
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from models import files
from models.errors import KeyUnusable
from models.limits import KEY_MAX_BYTES

ONE_LINE = "ed25519:"

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


class Purpose(Enum):
    """What a signature is for: it counts for nothing else, since this stands before what is signed."""

    MANIFEST = b"stream-segmentation manifest 1\n"
    ALIAS_ENTRY = b"stream-segmentation alias entry 1\n"


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """The keys whose signatures count, one or several."""

    keys: tuple[Ed25519PublicKey, ...]

    def signed(self, purpose: Purpose, content: bytes, signature: bytes) -> bool:
        """Whether the owner of one of the keys has signed these bytes for this purpose."""
        try:
            decoded = b64decode(signature, validate=True)
        except binascii.Error:
            return False
        return any(_verifies(key, decoded, purpose.value + content) for key in self.keys)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private key; nothing of it is ever printed."""

    key: Ed25519PrivateKey

    def sign(self, purpose: Purpose, content: bytes) -> bytes:
        """The signature of these bytes for this purpose: 88 characters of base64."""
        return b64encode(self.key.sign(purpose.value + content))

    @property
    def public(self) -> PublicKeys:
        """The other half."""
        return PublicKeys((self.key.public_key(),))

    @property
    def one_line(self) -> str:
        """The other half as MODEL_PUBLIC_KEY takes it."""
        raw = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return ONE_LINE + b64encode(raw).decode()


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


def public_keys(given: str, store: Path) -> PublicKeys:
    """The keys that MODEL_PUBLIC_KEY gives: PEM text, or a list of `ed25519:…` and paths, separated by commas.

    Raises KeyUnusable, also for a file in the store. It repeats nothing of what was given: it may be a secret that
    landed there by mistake.
    """
    items = [given] if _PEM.search(given) else [item.strip() for item in given.split(",") if item.strip()]
    keys = [key for item in items for key in _public_keys(item, store)]
    if not keys:
        raise KeyUnusable("MODEL_PUBLIC_KEY holds no key: give what `segment-trainer keygen` printed")
    return PublicKeys(tuple(keys))


def signing_key(given: str, store: Path) -> SigningKey:
    """The key that MODEL_SIGNING_KEY gives: the path of a file outside the store, or PEM text.

    Raises KeyUnusable, which repeats nothing of what was given.
    """
    text = given
    if not _PEM.search(given):
        refuse_in_store(Path(given), store)
        text = _text(given, "MODEL_SIGNING_KEY")
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError as error:
        raise KeyUnusable(
            "MODEL_SIGNING_KEY is encrypted, and nobody is there to type its password: give a key without one"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(
            "MODEL_SIGNING_KEY is no private key in PEM: give the file that `segment-trainer keygen` wrote"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable("MODEL_SIGNING_KEY is no Ed25519 key: make one with `segment-trainer keygen`")
    return SigningKey(key)


def write_key_pair(path: Path, public_path: Path) -> SigningKey:
    """Make a pair and write it: the private key for its owner's eyes only. Nothing is overwritten, or left half done.

    Raises OSError.
    """
    made = SigningKey(Ed25519PrivateKey.generate())
    private = made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = made.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write_new(public_path, public, 0o644)
    try:
        _write_new(path, private, 0o600)
    except OSError:
        public_path.unlink()
        raise
    return made


def refuse_in_store(path: Path, store: Path) -> None:
    """Raise KeyUnusable where a private key would lie in the store: whoever takes the models would have it too."""
    if _is_in(store, path):
        raise KeyUnusable(
            f"the private key must not lie in the model store {store}, where whoever may write models could sign them: "
            "keep it elsewhere"
        )


def _is_in(store: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(store.resolve())
    except (OSError, ValueError):  # no path at all; whoever reads it says so
        return False


def _public_keys(item: str, store: Path) -> list[Ed25519PublicKey]:
    if item.startswith(ONE_LINE):
        return [_from_one_line(item.removeprefix(ONE_LINE))]
    text = item
    if not _PEM.search(item):
        if _is_in(store, Path(item)):
            raise KeyUnusable(
                f"MODEL_PUBLIC_KEY names a file in the model store {store}, where whoever may write models could add a "
                "key of theirs: keep it elsewhere, or give it as ed25519:…"
            )
        text = _text(item, "MODEL_PUBLIC_KEY")
    blocks = [*_PEM.finditer(text)]
    if not blocks:
        raise KeyUnusable("MODEL_PUBLIC_KEY names a file that holds no key in PEM: give the .pub file of keygen")
    return [_from_pem(block.group(), block.group(1)) for block in blocks]


def _from_one_line(encoded: str) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(b64decode(encoded, validate=True))
    except (binascii.Error, ValueError) as error:
        raise KeyUnusable(
            f"MODEL_PUBLIC_KEY: what follows {ONE_LINE!r} is no key (44 characters of base64): "
            "copy what `segment-trainer keygen` printed"
        ) from error


def _from_pem(block: str, label: str) -> Ed25519PublicKey:
    if "PRIVATE" in label:
        raise KeyUnusable(
            "MODEL_PUBLIC_KEY holds a private key: give the public one (ed25519:… or the .pub file), and keep the "
            "private one where models are published"
        )
    try:
        key = load_pem_public_key(block.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable("MODEL_PUBLIC_KEY is no public key in PEM: give the .pub file of keygen") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable("MODEL_PUBLIC_KEY is no Ed25519 key: make a pair with `segment-trainer keygen`")
    return key


def _text(path: str, setting: str) -> str:
    try:
        # A link is fine here: that is how secrets are mounted, and who sets the setting is trusted.
        return files.read(Path(path).resolve(), KEY_MAX_BYTES).decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text"
        raise KeyUnusable(
            f"{setting}: the file that it names cannot be read ({reason}): "
            "give the path of a key that `segment-trainer keygen` made, or the key itself"
        ) from error


def _verifies(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _write_new(path: Path, content: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
