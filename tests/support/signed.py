"""Keys and signed stores for tests."""

from base64 import b64decode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from models import promoting
from models.signing import Keyring, PublicKeys, SigningKey
from models.store import ModelStore
from tests.support.fitted import NOON, published


def new_key() -> SigningKey:
    """A key that nobody else has."""
    return SigningKey(Ed25519PrivateKey.generate())


def pem(key: SigningKey) -> str:
    """The private key as keygen writes it."""
    return key.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def secret_of(key: SigningKey) -> str:
    """The part of that text that nobody may see: its second line."""
    line = pem(key).splitlines()[1]
    assert len(b64decode(line)) > 32
    return line


def trusting(*keys: SigningKey, min_sequence: int = 0) -> Keyring:
    """What a worker has: public keys only."""
    return Keyring(PublicKeys(tuple(key.key.public_key() for key in keys)), min_sequence=min_sequence)


def signing(key: SigningKey, min_sequence: int = 0) -> Keyring:
    """What a trainer has."""
    return Keyring(key.public, key, min_sequence)


def signed_store(root: Path, key: SigningKey, versions: int = 1) -> ModelStore:
    """A store with so many signed versions, each promoted after the other: sequences 1, 2, …"""
    store = ModelStore(root, signing(key))
    for number in range(versions):
        promoting.promote(store, published(store, 60 * number).id, "production", NOON)
    return store
