"""Keys: where they are read from, what they sign, and that the private key is never shown."""

import stat
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from models.errors import KeyUnusable
from models.signing import Keyring, Purpose, SigningKey, keyring, public_keys, signing_key, write_key_pair
from tests.support.signed import new_key, pem, secret_of

STORE = Path("model-store")


def public_pem(key: SigningKey) -> str:
    return key.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_signature_is_valid_only_for_its_bytes_its_purpose_and_its_key() -> None:
    key, content = new_key(), b"some bytes"
    signature = key.sign(Purpose.MANIFEST, content)
    assert key.public.signed(Purpose.MANIFEST, content, signature)
    assert not key.public.signed(Purpose.ALIAS_ENTRY, content, signature)
    assert not key.public.signed(Purpose.MANIFEST, content + b" ", signature)
    assert not new_key().public.signed(Purpose.MANIFEST, content, signature)


@pytest.mark.parametrize("signature", [b"", b"?", b"A" * 88, b64encode(b"0" * 63), "ü".encode() * 44])
def test_malformed_signatures_are_invalid(signature: bytes) -> None:
    assert not new_key().public.signed(Purpose.MANIFEST, b"", signature)


def test_public_keys_are_given_in_one_line_as_pem_or_as_a_file_and_several_at_once(tmp_path: Path) -> None:
    one, two, three = (new_key() for _ in range(3))
    path = tmp_path / "both.pub"
    path.write_text(f"# of last year\n{public_pem(one)}# of this year\n{public_pem(two)}")
    (tmp_path / "linked.pub").symlink_to(path)
    for given, expected in (
        (one.one_line, [one]),
        (public_pem(two), [two]),
        (public_pem(one) + public_pem(two), [one, two]),
        (str(path), [one, two]),
        (f"{tmp_path / 'linked.pub'}, {three.one_line},", [one, two, three]),
    ):
        assert public_keys(given, STORE).keys == tuple(key.key.public_key() for key in expected)


def test_a_private_key_is_given_as_a_file_or_as_pem(tmp_path: Path) -> None:
    key = new_key()
    path = tmp_path / "key"
    path.write_text(pem(key))
    for given in (str(path), pem(key)):
        assert signing_key(given, STORE).one_line == key.one_line


OTHER_KIND = generate_private_key(SECP256R1())


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (" , ", "holds no key"),
        ("not-there.pub", r"the file that it names cannot be read \(No such file"),
        ("/dev/zero", r"cannot be read \(it is not a regular file\)"),
        ("x" * 5_000, r"cannot be read \(File name too long\)"),
        ("ed25519:", "is not a key"),
        ("ed25519:????", "is not a key"),
        ("ed25519:" + b64encode(b"0" * 31).decode(), "is not a key"),
        (pem(new_key()), "holds a private key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "is not a public key in PEM"),
        (
            OTHER_KIND.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
            "is not an Ed25519 key",
        ),
    ],
    ids=["nothing", "no file", "device", "long", "empty", "letters", "short", "private", "damaged", "another kind"],
)
def test_a_malformed_public_key_is_refused_and_not_quoted(given: str, reason: str) -> None:
    with pytest.raises(KeyUnusable, match=f"^MODEL_PUBLIC_KEY.* {reason}") as refused:
        public_keys(given, STORE)
    assert len(given) < 10 or given not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("not-there", r"the file that it names cannot be read \(No such file"),
        (public_pem(new_key()), "is not a private key in PEM"),
        (
            OTHER_KIND.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "is not an Ed25519 key",
        ),
        (
            new_key()
            .key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
            .decode(),
            "is encrypted",
        ),
    ],
    ids=["no file", "public", "another kind", "encrypted"],
)
def test_a_malformed_private_key_is_refused_and_not_quoted(given: str, reason: str) -> None:
    with pytest.raises(KeyUnusable, match=f"^MODEL_SIGNING_KEY.* {reason}") as refused:
        signing_key(given, STORE)
    assert given not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_without_a_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    for content, reason in ((b"hello", "no key in PEM"), (b"\xff", "it is not text"), (b"x" * 70_000, "at most")):
        path.write_bytes(content)
        with pytest.raises(KeyUnusable, match=reason):
            public_keys(str(path), STORE)


def test_a_private_key_in_the_store_is_refused_by_any_path(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "key").write_text(pem(new_key()))
    (tmp_path / "key").symlink_to(store / "key")
    for path in (store / "key", tmp_path / "key", tmp_path / "store" / ".." / "store" / "key"):
        with pytest.raises(KeyUnusable, match="must not lie in the model store"):
            signing_key(str(path), store)


def test_a_key_pair_is_readable_by_its_owner_only_and_overwrites_nothing(tmp_path: Path) -> None:
    path, public_path = tmp_path / "key", tmp_path / "key.pub"
    key = write_key_pair(path, public_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert signing_key(str(path), STORE).one_line == key.one_line
    assert public_keys(str(public_path), STORE).keys == key.public.keys
    before = path.read_bytes(), public_path.read_bytes()
    with pytest.raises(FileExistsError):
        write_key_pair(path, public_path)
    assert (path.read_bytes(), public_path.read_bytes()) == before
    with pytest.raises(FileExistsError):
        write_key_pair(path, tmp_path / "other.pub")
    assert not (tmp_path / "other.pub").exists()


# --- the keys of one store --------------------------------------------------------------------------------------------


def test_without_keys_nothing_is_signed_or_checked() -> None:
    assert keyring(None, None, 0, STORE) == Keyring()
    Keyring().require_signing()


def test_a_signing_key_trusts_itself_unless_others_are_given() -> None:
    mine, other = new_key(), new_key()
    alone = keyring(None, pem(mine), 0, STORE)
    assert alone.trusted == mine.public
    alone.require_signing()
    both = keyring(f"{other.one_line},{mine.one_line}", pem(mine), 3, STORE)
    assert both.trusted is not None
    assert (len(both.trusted.keys), both.min_sequence) == (2, 3)


def test_keys_that_do_not_match_are_refused() -> None:
    mine, other = new_key(), new_key()
    with pytest.raises(KeyUnusable, match=r"not the private half of a key in MODEL_PUBLIC_KEY") as refused:
        keyring(other.one_line, pem(mine), 0, STORE)
    assert f"add {mine.one_line} to MODEL_PUBLIC_KEY" in str(refused.value)
    with pytest.raises(KeyUnusable, match="MODEL_MIN_SEQUENCE is given without MODEL_PUBLIC_KEY"):
        keyring(None, None, 1, STORE)
    with pytest.raises(KeyUnusable, match="MODEL_SIGNING_KEY is missing"):
        keyring(mine.one_line, None, 0, STORE).require_signing()


def test_a_public_key_in_the_store_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    write_key_pair(tmp_path / "model.key", store / "model.key.pub")
    (tmp_path / "link.pub").symlink_to(store / "model.key.pub")
    for given in ("store/model.key.pub", "link.pub"):
        with pytest.raises(KeyUnusable, match="MODEL_PUBLIC_KEY names a file in the model store"):
            keyring(f"{new_key().one_line},{tmp_path / given}", None, 0, store)
    assert keyring(str((store / "model.key.pub").rename(tmp_path / "out.pub")), None, 0, store).trusted is not None


def test_printing_a_key_does_not_show_it() -> None:
    key = new_key()
    ring = keyring(None, pem(key), 0, STORE)
    for shown in (repr(key), str(key), repr(ring), f"{ring}"):
        assert secret_of(key) not in shown
