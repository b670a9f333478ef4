"""A store with keys: what is signed, and what is refused before a byte of it is parsed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from models import promoting, publishing
from models.errors import HistoryRolledBack, KeyUnusable, ModelError, NotSigned, PromotionRefused, VersionDamaged
from models.manifest import Manifest
from models.signing import SigningKey
from models.store import ModelStore
from models.version_folder import Signature
from tests.support.fitted import NOON, fit, publish, published, segmentation
from tests.support.signed import new_key, signed_store, signing, trusting


@pytest.fixture
def key() -> SigningKey:
    return new_key()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "model-store"


@pytest.fixture
def store(root: Path, key: SigningKey) -> ModelStore:
    """Two versions that were promoted one after the other."""
    return signed_store(root, key, versions=2)


@pytest.fixture
def nothing_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if any JSON is parsed, in either of the two ways that the code uses."""

    def parsed(*_: object, **__: object) -> object:
        pytest.fail("something was parsed")

    monkeypatch.setattr(BaseModel, "model_validate_json", parsed)
    monkeypatch.setattr("models.segmentation.orjson.loads", parsed)


def newest(root: Path) -> Path:
    return max((root / "versions").iterdir())


def test_a_signed_version_is_loaded_with_its_sequence(store: ModelStore, root: Path, key: SigningKey) -> None:
    loaded = ModelStore(root, trusting(key)).load_alias("production")
    assert (loaded.manifest.id, loaded.sequence) == (newest(root).name, 2)
    assert loaded.segmentation == segmentation(seed=60)
    assert store.signature(loaded.manifest.id) is Signature.VERIFIED


def test_without_keys_a_signed_store_can_be_read(store: ModelStore, root: Path) -> None:
    plain = ModelStore(root)
    assert plain.load_alias("production").manifest.id == newest(root).name
    assert plain.signature(newest(root).name) is Signature.UNCHECKED


def test_without_keys_nothing_is_signed(root: Path) -> None:
    plain = ModelStore(root)
    version = published(plain).id
    assert promoting.promote(plain, version, "production", NOON).sequence is None
    assert plain.signature(version) is Signature.NONE
    assert plain.load_alias("production").sequence is None


# --- refused before it is parsed --------------------------------------------------------------------------------------


def altered(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"verdict": "clear"', b'"verdict": "weak"'))


def unsigned(folder: Path) -> None:
    (folder / "manifest.sig").unlink()


def signed_for_another(folder: Path) -> None:
    shutil.copyfile(min(folder.parent.iterdir()) / "manifest.sig", folder / "manifest.sig")


def signed_by_another(folder: Path) -> None:
    publishing.sign(ModelStore(folder.parent.parent, signing(new_key())), folder.name)


def hostile(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"[" * 1_000_000)


@pytest.mark.parametrize("done", [altered, unsigned, signed_for_another, signed_by_another, hostile])
def test_a_version_that_the_key_has_not_signed_is_refused_before_it_is_parsed(
    store: ModelStore, root: Path, key: SigningKey, done: Callable[[Path], None], request: pytest.FixtureRequest
) -> None:
    done(newest(root))
    request.getfixturevalue("nothing_is_parsed")
    with pytest.raises(NotSigned, match=rf"^version {newest(root).name} is not signed .*, fit again with MODEL_SIGN"):
        ModelStore(root, trusting(key)).manifest(newest(root).name)


@pytest.mark.parametrize("name", ["model.json", "golden.json"])
def test_a_file_that_is_not_what_was_signed_is_refused_before_it_is_parsed(
    store: ModelStore, root: Path, key: SigningKey, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (newest(root) / name).write_bytes(b"[" * 1_000_000)

    def parsed(*_: object) -> object:
        pytest.fail("it was parsed")

    monkeypatch.setattr("models.segmentation.orjson.loads", parsed)
    monkeypatch.setattr("models.golden.Golden.from_json", parsed)
    with pytest.raises(VersionDamaged, match=f"{name} is not what was published"):
        ModelStore(root, trusting(key)).load_alias("production")


def test_an_older_version_under_the_name_of_the_newest_is_refused(store: ModelStore, root: Path) -> None:
    folder, oldest = newest(root), min((root / "versions").iterdir())
    shutil.rmtree(folder)
    shutil.copytree(oldest, folder)
    with pytest.raises(VersionDamaged, match="the folder was renamed"):
        store.load_alias("production")


def test_a_signed_version_cannot_be_promoted_without_the_key(store: ModelStore, root: Path, key: SigningKey) -> None:
    promoted, third = newest(root).name, published(store, 120)
    path = root / "aliases.jsonl"
    path.write_text(path.read_text().replace(promoted, third.id))
    with pytest.raises(NotSigned, match="line 2 of"):
        ModelStore(root, trusting(key)).load_alias("production")


# --- promotions -------------------------------------------------------------------------------------------------------


def test_a_rollback_is_a_new_entry_with_the_next_sequence(store: ModelStore, root: Path, key: SigningKey) -> None:
    back = promoting.rollback(store, "production", NOON)
    assert (back.action, back.sequence) == ("rollback", 3)
    loaded = ModelStore(root, trusting(key, min_sequence=3)).load_alias("production")
    assert (loaded.manifest.id, loaded.sequence) == (back.version, 3)


def test_an_older_history_below_the_minimum_sequence_is_refused(store: ModelStore, root: Path, key: SigningKey) -> None:
    path = root / "aliases.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:1]))
    with pytest.raises(HistoryRolledBack, match="ends at sequence 1, MODEL_MIN_SEQUENCE is 2"):
        ModelStore(root, trusting(key, min_sequence=2)).load_alias("production")
    with pytest.raises(HistoryRolledBack):
        promoting.promote(ModelStore(root, signing(key, min_sequence=2)), published(store, 120).id, "production", NOON)


def promote_the_first(store: ModelStore) -> object:
    return promoting.promote(store, store.version_ids()[0], "production", NOON)


def roll_back(store: ModelStore) -> object:
    return promoting.rollback(store, "production", NOON)


def publish_one(store: ModelStore) -> object:
    return published(store, 120)


@pytest.mark.parametrize("write", [promote_the_first, roll_back, publish_one])
def test_with_a_public_key_only_nothing_is_written(
    store: ModelStore, root: Path, key: SigningKey, write: Callable[[ModelStore], object]
) -> None:
    before = (root / "aliases.jsonl").read_bytes(), len(store.version_ids())
    with pytest.raises(KeyUnusable, match="MODEL_SIGNING_KEY is missing: set it"):
        write(ModelStore(root, trusting(key)))
    assert ((root / "aliases.jsonl").read_bytes(), len(store.version_ids())) == before


@pytest.mark.parametrize("write", [promote_the_first, roll_back])
def test_without_keys_no_entry_is_added_to_a_signed_history(
    store: ModelStore, root: Path, write: Callable[[ModelStore], object]
) -> None:
    before = (root / "aliases.jsonl").read_bytes()
    with pytest.raises(PromotionRefused, match="set MODEL_SIGNING_KEY"):
        write(ModelStore(root))
    assert (root / "aliases.jsonl").read_bytes() == before


def test_promoting_the_current_version_signs_nothing(store: ModelStore, root: Path) -> None:
    assert promoting.promote(store, newest(root).name, "production", NOON).sequence == 2
    assert len(store.history("production")) == 2


def test_pruning_keeps_the_versions_of_signed_entries(store: ModelStore) -> None:
    published(store, 120)
    fourth = published(store, 180)
    kept = {entry.version for entry in store.history("production")} | {fourth.id}
    assert len(promoting.prune(store, keep=1)) == 1
    assert set(store.version_ids()) == kept


# --- from a store without signatures to one with them -----------------------------------------------------------------


@pytest.fixture
def old(root: Path) -> Manifest:
    """The current version of a store without signatures."""
    plain = ModelStore(root)
    published(plain, 0)
    version = published(plain, 60)
    for each in plain.version_ids():
        promoting.promote(plain, each, "production", NOON)
    return version


def test_an_unsigned_version_is_not_promoted(root: Path, old: Manifest, key: SigningKey) -> None:
    store = ModelStore(root, signing(key))
    with pytest.raises(NotSigned, match=f"version {old.id} is not signed"):
        promoting.promote(store, old.id, "production", NOON)
    with pytest.raises(NotSigned, match="holds 2 entries, none of them signed"):
        store.load_alias("production")


def test_an_unsigned_version_can_be_signed_and_its_promotion_starts_the_signed_history(
    root: Path, old: Manifest, key: SigningKey
) -> None:
    store = ModelStore(root, signing(key))
    publishing.sign(store, old.id)
    assert promoting.promote(store, old.id, "production", NOON).sequence == 1
    loaded = ModelStore(root, trusting(key)).load_alias("production")
    assert (loaded.manifest, loaded.sequence) == (old, 1)
    with pytest.raises(PromotionRefused, match="no earlier version"):
        promoting.rollback(store, "production", NOON)
    # The next fit continues its numbers.
    follower = publish(store, segmentation(seed=120), fit(at=NOON).model_copy(update={"parent": old.id}))
    assert promoting.promote(store, follower.id, "production", NOON).sequence == 2


def test_a_damaged_version_is_not_signed_and_signing_needs_a_key(root: Path, old: Manifest, key: SigningKey) -> None:
    with pytest.raises(KeyUnusable, match="MODEL_SIGNING_KEY"):
        publishing.sign(ModelStore(root), old.id)
    model = newest(root) / "model.json"
    model.write_bytes(model.read_bytes().replace(b"Segment 0", b"Segment O"))
    with pytest.raises(VersionDamaged):
        publishing.sign(ModelStore(root, signing(key)), old.id)
    assert not (newest(root) / "manifest.sig").exists()


def test_after_a_key_rotation_both_keys_are_trusted_then_only_the_new_one(
    store: ModelStore, root: Path, key: SigningKey
) -> None:
    new = new_key()
    both = trusting(key, new)
    changed = ModelStore(root, type(both)(both.trusted, new))
    third = published(changed, 120)
    assert promoting.promote(changed, third.id, "production", NOON).sequence == 3
    for keys in (trusting(key, new), trusting(new)):
        loaded = ModelStore(root, keys).load_alias("production")
        assert (loaded.manifest.id, loaded.sequence) == (third.id, 3)
    with pytest.raises(NotSigned, match="add the new key"):
        ModelStore(root, trusting(key)).load_alias("production")


def test_after_the_loss_of_a_key_its_versions_are_refused_until_signed_with_the_new_one(
    store: ModelStore, root: Path
) -> None:
    new = new_key()
    version = newest(root).name
    changed = ModelStore(root, signing(new, min_sequence=2))
    for refused in (
        lambda: changed.load_alias("production"),
        lambda: promoting.promote(changed, version, "production", NOON),
    ):
        with pytest.raises(NotSigned):
            refused()
    publishing.sign(changed, version)
    assert promoting.promote(changed, version, "production", NOON).sequence == 3
    loaded = ModelStore(root, trusting(new, min_sequence=3)).load_alias("production")
    assert (loaded.manifest.id, loaded.sequence) == (version, 3)


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_a_lowered_next_number_uses_no_number_twice(store: ModelStore, root: Path) -> None:
    (root / "next_number.UserProfile").write_text("0\n")
    assert store.next_number("UserProfile") == 4
    (newest(root) / "manifest.sig").unlink()
    assert store.next_number("UserProfile") == 4, "an unsigned version does not prevent a fit"


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig", "model.json", "golden.json"])
@pytest.mark.parametrize("kind", ["pipe", "link", "giant"])
def test_a_pipe_a_link_and_a_giant_file_are_refused_at_once(
    store: ModelStore, root: Path, name: str, kind: str
) -> None:
    path = newest(root) / name
    content = path.read_bytes()
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        # Even to the bytes that were signed.
        (root / "elsewhere").write_bytes(content)
        path.symlink_to(root / "elsewhere")
    else:
        with path.open("wb") as file:
            file.truncate(2**40)
    reason = {"pipe": "it is not a regular file", "link": "it is a link", "giant": "it has 1,099,511,627,776 bytes"}[
        kind
    ]
    with pytest.raises(VersionDamaged, match=rf"{name} cannot be read \({reason}"):
        store.load_alias("production")


def test_a_link_to_a_folder_is_not_a_version(store: ModelStore, root: Path, tmp_path: Path) -> None:
    folder = newest(root).rename(tmp_path / newest(root).name)
    (root / "versions" / folder.name).symlink_to(folder)
    assert folder.name not in store.version_ids()
    with pytest.raises(ModelError, match=f"version {folder.name}, which is named 'production', is not in .*: restore"):
        store.load_alias("production")


def test_a_manifest_with_too_many_files_is_damaged(root: Path) -> None:
    plain = ModelStore(root)
    version = published(plain)
    path = newest(root) / "manifest.json"
    document = json.loads(path.read_text())
    document["files"] |= {f"file-{number}": "0" * 64 for number in range(1_000)}
    path.write_text(json.dumps(document))
    with pytest.raises(VersionDamaged, match=r"manifest.json is damaged \(files: "):
        plain.manifest(version.id)


@pytest.mark.parametrize(
    "name", ["../aliases.jsonl", "/etc/passwd", "a/b", "..", ".", ".hidden", "a\\b", "a\n", "", "a" * 101, "\u202ea"]
)
def test_a_manifest_names_files_of_its_folder_only(root: Path, name: str) -> None:
    plain = ModelStore(root)
    version = published(plain)
    path = newest(root) / "manifest.json"
    document = json.loads(path.read_text())
    document["files"] = {**document["files"], name: "0" * 64}
    path.write_text(json.dumps(document))
    with pytest.raises(VersionDamaged, match=r"manifest.json is damaged \(files\."):
        plain.manifest(version.id)


@pytest.mark.parametrize("kind", ["pipe", "link", "giant"])
def test_a_next_number_that_is_not_a_regular_file_is_refused_at_once(store: ModelStore, root: Path, kind: str) -> None:
    path = root / "next_number.UserProfile"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"1" * 65)
    with pytest.raises(ModelError, match=r"next_number.UserProfile is damaged \(it (is|has).*: remove it"):
        store.next_number("UserProfile")


def test_a_copied_file_is_as_published(store: ModelStore, root: Path, tmp_path: Path) -> None:
    version = newest(root).name
    store.copy_file(version, "model.json", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == (newest(root) / "model.json").read_bytes()
    with pytest.raises(VersionDamaged, match=r"secret cannot be read \(No such file"):
        store.copy_file(version, "secret", tmp_path / "secret")
    (newest(root) / "golden.json").write_bytes(b"{}")
    with pytest.raises(VersionDamaged, match=r"golden.json is not what was published"):
        store.copy_file(version, "golden.json", tmp_path / "golden")


def test_links_never_lead_writes_elsewhere(store: ModelStore, root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in (".lock", ".unfinished-next_number.UserProfile", "aliases.jsonl"):
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(victim)
    for write in (lambda: published(store, 120), lambda: promoting.prune(store, keep=1)):
        with pytest.raises((ModelError, OSError)):
            write()
    (root / ".lock").unlink()
    (root / "aliases.jsonl").unlink()
    publish(store, segmentation(seed=7), fit())
    assert victim.read_text() == "mine"
