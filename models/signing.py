"""Ed25519 keys that decide who may publish models: how they are written, where they are read from, what they sign.

Keep the private key where models are published and nowhere else. An attacker who can write to the store, without it,

- cannot make a worker with MODEL_PUBLIC_KEY load, or even parse, a model that the key's owner did not publish, or that
  was not promoted;
- cannot add an entry to the history of promotions, remove one from its middle, or change the order;
- can cut off the end of the history, and so restore an earlier version at the next start of a worker, but none below
  MODEL_MIN_SEQUENCE. A running worker refuses a history without the last entry that it has seen;
- can cut off or overwrite the beginning, regardless of MODEL_MIN_SEQUENCE: the current version stays, but the earlier
  history, the target of a rollback, and aliases that were last promoted there are lost. `segment-trainer history`,
  `list` and `segment-worker check` report where a history begins if that is not number 1 or unsigned lines come before;
  a key rotation and a restarted history look the same. Keep a copy;
- can remove or damage files, so that a worker does not start: it reports them and ends with exit status 2;
- can make a worker without MODEL_PUBLIC_KEY load anything: it does not check signatures. It warns if the store has any;
- can change a version while it is being published. Publish where nobody else can write, then copy.

Use one key pair per store: when a worker starts, it accepts entries of another store signed with the same key.
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
    """What a signature is for: it is signed with the content, so a signature is invalid for any other purpose."""

    MANIFEST = b"stream-segmentation manifest 1\n"
    ALIAS_ENTRY = b"stream-segmentation alias entry 1\n"


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """The trusted keys, one or several."""

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
    """The private key; it is never printed."""

    key: Ed25519PrivateKey

    def sign(self, purpose: Purpose, content: bytes) -> bytes:
        """The signature of these bytes for this purpose: 88 characters of base64."""
        return b64encode(self.key.sign(purpose.value + content))

    @property
    def public(self) -> PublicKeys:
        """The public key."""
        return PublicKeys((self.key.public_key(),))

    @property
    def one_line(self) -> str:
        """The public key as MODEL_PUBLIC_KEY takes it."""
        raw = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return ONE_LINE + b64encode(raw).decode()


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of one store; without keys, nothing is signed or checked."""

    trusted: PublicKeys | None = None
    signing: SigningKey | None = None
    min_sequence: int = 0
    """With trusted keys: a history that ends below this number was restored to an older state."""

    def require_signing(self) -> None:
        """Raise KeyUnusable if readers would refuse what is written now."""
        if self.trusted is not None and self.signing is None:
            raise KeyUnusable(
                "MODEL_PUBLIC_KEY is set, so everything must be signed, and MODEL_SIGNING_KEY is missing: set it to "
                "the path of the private key"
            )


def keyring(public: str | None, signing: str | None, min_sequence: int, store: Path) -> Keyring:
    """The keys that MODEL_PUBLIC_KEY, MODEL_SIGNING_KEY and MODEL_MIN_SEQUENCE give for a store.

    A signing key trusts itself where no public key is given. Raises KeyUnusable for keys that cannot be read, that do
    not belong together, or that are in the store.
    """
    signs = None if signing is None else signing_key(signing, store)
    own = None if signs is None else signs.public
    trusted = own if public is None else public_keys(public, store)
    if trusted is None:
        if min_sequence:
            raise KeyUnusable(
                "MODEL_MIN_SEQUENCE is given without MODEL_PUBLIC_KEY, and an unsigned sequence number proves nothing: "
                "give the key, or remove MODEL_MIN_SEQUENCE"
            )
        return Keyring()
    if signs is not None and signs.public.keys[0] not in trusted.keys:
        raise KeyUnusable(
            "MODEL_SIGNING_KEY is not the private half of a key in MODEL_PUBLIC_KEY, and what it signs would be "
            f"refused: add {signs.one_line} to MODEL_PUBLIC_KEY, or sign with another key"
        )
    return Keyring(trusted, signs, min_sequence)


def public_keys(given: str, store: Path) -> PublicKeys:
    """The keys that MODEL_PUBLIC_KEY gives: PEM text, or a list of `ed25519:…` and paths, separated by commas.

    Raises KeyUnusable, also for a file in the store. The message never quotes the given text, which may be a secret
    set there by mistake.
    """
    items = [given] if _PEM.search(given) else [item.strip() for item in given.split(",") if item.strip()]
    keys = [key for item in items for key in _public_keys(item, store)]
    if not keys:
        raise KeyUnusable("MODEL_PUBLIC_KEY holds no key: give what `segment-trainer keygen` printed")
    return PublicKeys(tuple(keys))


def signing_key(given: str, store: Path) -> SigningKey:
    """The key that MODEL_SIGNING_KEY gives: the path of a file outside the store, or PEM text.

    Raises KeyUnusable, which never quotes the given text.
    """
    text = given
    if not _PEM.search(given):
        refuse_in_store(Path(given), store)
        text = _text(given, "MODEL_SIGNING_KEY")
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError as error:
        raise KeyUnusable(
            "MODEL_SIGNING_KEY is encrypted, and no password can be given: use a key without a password"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(
            "MODEL_SIGNING_KEY is not a private key in PEM: give the file that `segment-trainer keygen` wrote"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable("MODEL_SIGNING_KEY is not an Ed25519 key: make one with `segment-trainer keygen`")
    return SigningKey(key)


def write_key_pair(path: Path, public_path: Path) -> SigningKey:
    """Create a key pair and write it, the private key readable by its owner only. No file is overwritten.

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
    """Raise KeyUnusable for a private key in the store: everybody who reads the models could read it."""
    if _is_in(store, path):
        raise KeyUnusable(
            f"the private key must not lie in the model store {store}, where everyone who can write models could sign "
            "them: keep it elsewhere"
        )


def _is_in(store: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(store.resolve())
    except (OSError, ValueError):  # not a path; reading it reports that
        return False


def _public_keys(item: str, store: Path) -> list[Ed25519PublicKey]:
    if item.startswith(ONE_LINE):
        return [_from_one_line(item.removeprefix(ONE_LINE))]
    text = item
    if not _PEM.search(item):
        if _is_in(store, Path(item)):
            raise KeyUnusable(
                f"MODEL_PUBLIC_KEY names a file in the model store {store}, where everyone who can write models could "
                "add a key: keep it elsewhere, or give it as ed25519:…"
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
            f"MODEL_PUBLIC_KEY: what follows {ONE_LINE!r} is not a key (44 characters of base64): "
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
        raise KeyUnusable("MODEL_PUBLIC_KEY is not a public key in PEM: give the .pub file of keygen") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable("MODEL_PUBLIC_KEY is not an Ed25519 key: make a pair with `segment-trainer keygen`")
    return key


def _text(path: str, setting: str) -> str:
    try:
        # Links are allowed here: secrets are mounted as links, and the settings are trusted.
        return files.read(Path(path).resolve(), KEY_MAX_BYTES).decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
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
