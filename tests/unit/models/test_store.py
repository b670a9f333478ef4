import json

import pytest

from models import promoting
from models.errors import ModelError, ModelFormatError, NewerFormat, OlderFormat, VersionDamaged, VersionNotFound
from models.manifest import MANIFEST_FORMAT
from models.store import ModelStore
from tests.support.fitted import NOON, published, segmentation


def test_a_published_version_is_loaded_as_it_was(store: ModelStore) -> None:
    manifest = published(store)
    loaded = store.load(manifest.id)
    assert loaded.manifest == manifest
    assert loaded.segmentation == segmentation(seed=0)
    assert manifest.id == f"20261124T120000Z-{loaded.segmentation.digest[:8]}"
    assert sorted(manifest.files) == ["golden.json", "model.json"]


def test_versions_are_listed_oldest_first_and_an_empty_store_has_none(store: ModelStore) -> None:
    assert store.versions() == ()
    later, earlier = published(store, 60), published(store, 0)
    assert [manifest.id for manifest in store.versions()] == [earlier.id, later.id]


def test_a_missing_version_is_named_with_the_newest_ones(store: ModelStore) -> None:
    manifest = published(store)
    with pytest.raises(VersionNotFound, match=f"no version 20200101.*newest: {manifest.id}"):
        store.load("20200101T000000Z-00000000")
    for elsewhere in ("..", "../..", "", f"../versions/{manifest.id}", f"{manifest.id}/"):
        with pytest.raises(VersionNotFound):
            store.load(elsewhere)


@pytest.mark.parametrize("name", ["model.json", "golden.json"])
def test_a_changed_file_is_refused(store: ModelStore, name: str) -> None:
    manifest = published(store)
    path = store.folder(manifest.id) / name
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    with pytest.raises(VersionDamaged, match=f"{name} is not what was published"):
        store.load(manifest.id)


@pytest.mark.parametrize("name", ["model.json", "golden.json", "manifest.json"])
def test_a_missing_file_is_refused(store: ModelStore, name: str) -> None:
    manifest = published(store)
    (store.folder(manifest.id) / name).unlink()
    with pytest.raises(VersionDamaged, match=f"{name} cannot be read"):
        store.load(manifest.id)


@pytest.mark.parametrize(
    ("found", "error", "remedy"), [(1, OlderFormat, "fit again"), (9, NewerFormat, "upgrade this program")]
)
def test_a_manifest_of_another_format_is_refused_before_its_fields_are_read(
    store: ModelStore, found: int, error: type[ModelFormatError], remedy: str
) -> None:
    manifest = published(store)
    (store.folder(manifest.id) / "manifest.json").write_text(f'{{"format": {found}, "anything": "else"}}')
    with pytest.raises(error) as refused:
        store.load(manifest.id)
    (line,) = str(refused.value).splitlines()
    for part in (manifest.id, f"format {found}", f"format {MANIFEST_FORMAT}", remedy):
        assert part in line


@pytest.mark.parametrize("content", ["", "[]", "{}", f'{{"format": {MANIFEST_FORMAT}}}', '{"format": "x"}'])
def test_a_damaged_manifest_is_refused(store: ModelStore, content: str) -> None:
    manifest = published(store)
    (store.folder(manifest.id) / "manifest.json").write_text(content)
    with pytest.raises(VersionDamaged, match=r"manifest.json is damaged"):
        store.load(manifest.id)


def test_a_manifest_cannot_name_a_file_outside_its_folder(store: ModelStore) -> None:
    manifest = published(store)
    path = store.folder(manifest.id) / "manifest.json"
    document = json.loads(path.read_text())
    document["files"]["../../secret"] = "0" * 64
    path.write_text(json.dumps(document))
    with pytest.raises(VersionDamaged, match=r"manifest.json is damaged"):
        store.load(manifest.id)


def test_a_damaged_line_is_not_skipped(store: ModelStore) -> None:
    promoting.promote(store, published(store).id, "production", NOON)
    path = store.root / "aliases.jsonl"
    path.write_bytes(b"{}\n" + path.read_bytes())
    with pytest.raises(ModelError, match=r"aliases.jsonl is damaged"):
        store.load_alias("production")


def test_an_alias_refuses_a_model_that_is_not_the_one_that_was_promoted(store: ModelStore) -> None:
    manifest = published(store)
    entry = promoting.promote(store, manifest.id, "production", NOON)
    path = store.root / "aliases.jsonl"
    path.write_text(path.read_text().replace(entry.model_digest, "0" * 64))
    with pytest.raises(VersionDamaged, match="is not the model that was promoted"):
        store.load_alias("production")
