import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models.errors import (
    AliasNotFound,
    ModelError,
    ModelFormatError,
    NewerFormat,
    OlderFormat,
    PromotionRefused,
    PublishFailed,
    VersionDamaged,
    VersionNotFound,
)
from models.manifest import MANIFEST_FORMAT, Manifest, Reassigned, Verdict
from models.reassigned import ReassignedLimit
from models.segmentation import Segmentation
from models.store import PROMOTABLE, ModelStore
from tests.support.fitted import files_of, fit, publish, segmentation

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "model-store")


def published(store: ModelStore, seconds: int = 0, verdict: Verdict = Verdict.CLEAR) -> Manifest:
    """A version of its own centres; all but the first continue the first."""
    parent = next((manifest.id for manifest in store.versions()), None)
    made = fit(verdict, NOON + timedelta(seconds=seconds)).model_copy(update={"parent": parent})
    return publish(store, segmentation(seed=seconds), made)


def folder_of(store: ModelStore, manifest: Manifest) -> Path:
    return store.root / "versions" / manifest.id


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


def test_a_version_that_is_not_there_is_named_with_what_is(store: ModelStore) -> None:
    manifest = published(store)
    with pytest.raises(VersionNotFound, match=f"no version 20200101.*newest: {manifest.id}"):
        store.load("20200101T000000Z-00000000")
    for elsewhere in ("..", "../..", "", f"../versions/{manifest.id}", f"{manifest.id}/"):
        with pytest.raises(VersionNotFound):
            store.load(elsewhere)


@pytest.mark.parametrize("name", ["model.json", "golden.json"])
def test_a_changed_file_is_refused(store: ModelStore, name: str) -> None:
    manifest = published(store)
    path = folder_of(store, manifest) / name
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    with pytest.raises(VersionDamaged, match=f"{name} is not what was published"):
        store.load(manifest.id)


@pytest.mark.parametrize("name", ["model.json", "golden.json", "manifest.json"])
def test_a_missing_file_is_refused(store: ModelStore, name: str) -> None:
    manifest = published(store)
    (folder_of(store, manifest) / name).unlink()
    with pytest.raises(VersionDamaged, match=f"{name} cannot be read"):
        store.load(manifest.id)


@pytest.mark.parametrize(
    ("found", "error", "remedy"), [(1, OlderFormat, "fit again"), (9, NewerFormat, "upgrade this program")]
)
def test_a_manifest_of_another_format_is_refused_before_its_fields_are_read(
    store: ModelStore, found: int, error: type[ModelFormatError], remedy: str
) -> None:
    manifest = published(store)
    (folder_of(store, manifest) / "manifest.json").write_text(f'{{"format": {found}, "anything": "else"}}')
    with pytest.raises(error) as refused:
        store.load(manifest.id)
    (line,) = str(refused.value).splitlines()
    for part in (manifest.id, f"format {found}", f"format {MANIFEST_FORMAT}", remedy):
        assert part in line


@pytest.mark.parametrize("content", ["", "[]", "{}", f'{{"format": {MANIFEST_FORMAT}}}', '{"format": "x"}'])
def test_a_damaged_manifest_is_refused(store: ModelStore, content: str) -> None:
    manifest = published(store)
    (folder_of(store, manifest) / "manifest.json").write_text(content)
    with pytest.raises(VersionDamaged, match=r"manifest.json is damaged"):
        store.load(manifest.id)


def test_a_manifest_cannot_name_a_file_outside_its_folder(store: ModelStore) -> None:
    manifest = published(store)
    path = folder_of(store, manifest) / "manifest.json"
    document = json.loads(path.read_text())
    document["files"]["../../secret"] = "0" * 64
    path.write_text(json.dumps(document))
    with pytest.raises(VersionDamaged, match=r"manifest.json is damaged"):
        store.load(manifest.id)


def test_a_model_that_fails_its_golden_rows_is_never_published(store: ModelStore) -> None:
    def write(folder: Path) -> None:
        for name, content in files_of(segmentation(seed=1)).items():
            (folder / name).write_bytes(content)
        (folder / "model.json").write_bytes(segmentation(seed=2).to_json())

    with pytest.raises(ModelFormatError, match="golden rows get another segment"):
        store.publish(fit(), write)
    assert list((store.root / "versions").iterdir()) == []


def test_a_write_that_fails_leaves_nothing(store: ModelStore) -> None:
    def write(folder: Path) -> None:
        (folder / "model.json").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(PublishFailed, match=r"No space left on device.*nothing was published"):
        store.publish(fit(), write)
    assert list((store.root / "versions").iterdir()) == []


def test_the_same_model_in_the_same_second_is_not_published_over_itself(store: ModelStore) -> None:
    manifest = published(store)
    with pytest.raises(PublishFailed, match="within this second"):
        published(store)
    assert store.load(manifest.id).manifest == manifest


# Kills a publisher and a promoter, each in a child of its own, at its first file operation, its second, and so on.
KILLED_EVERYWHERE = """
import os, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from models.store import ModelStore
from tests.support.fitted import fit, publish, segmentation

root, model, noon = Path(sys.argv[1]), segmentation(seed=5), datetime(2026, 11, 25, tzinfo=UTC)
store = ModelStore(root)
first = publish(store, segmentation(seed=4), fit(at=datetime(2026, 11, 23, tzinfo=UTC)))
store.promote(first.id, "production", noon)

def child(operation, left):
    def hook(event, arguments):
        nonlocal left
        if event in {"open", "os.rename", "os.mkdir", "os.truncate", "os.remove", "os.rmdir", "shutil.rmtree"}:
            left -= 1
            if left == 0:
                os._exit(9)
    sys.addaudithook(hook)
    operation()
    os._exit(0)

def killed_at_every_step(operation, check):
    for step in range(1, 200):
        pid = os.fork()
        if pid == 0:
            child(lambda: operation(step), step)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status in (0, 9), status
        check(status)
        if status == 0:
            return step
    raise AssertionError("never came to its end")

def no_half_version(status):
    ids = [manifest.id for manifest in store.versions()]
    assert ids[0] == first.id
    for version in ids:
        for name in store.load(version).manifest.files:
            assert (root / "versions" / version / name).is_file()
    assert store.load_alias("production").manifest.id == first.id

def publish_at(step):
    made = fit(at=noon + timedelta(seconds=step)).model_copy(update={"parent": first.id})
    publish(store, model, made)

steps = killed_at_every_step(publish_at, no_half_version)
second = store.versions()[-1].id
assert second != first.id
assert not list((root / "versions").glob(".unfinished*")), "the last publisher cleans up after the killed ones"

def one_of_both(status):
    assert store.load_alias("production").manifest.id in (first.id, second)
    if status == 0:
        assert store.load_alias("production").manifest.id == second

steps += killed_at_every_step(lambda step: store.promote(second, "production", noon), one_of_both)
print(steps)
"""


def test_a_kill_at_any_file_operation_leaves_no_half_version_and_no_half_promotion(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_EVERYWHERE, str(tmp_path / "store")],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def test_promotion_moves_the_alias_and_is_written_down(store: ModelStore) -> None:
    first, second = published(store, 0), published(store, 60)
    with pytest.raises(AliasNotFound, match=r"no version in .* is named 'production': fit one"):
        store.load_alias("production")
    store.promote(first.id, "production", NOON)
    store.promote(second.id, "production", NOON)
    assert store.load_alias("production").manifest == second
    assert [(entry.action, entry.version, entry.previous) for entry in store.history("production")] == [
        ("promote", first.id, None),
        ("promote", second.id, first.id),
    ]
    assert store.current("canary") is None


def test_promoting_what_is_in_force_already_writes_nothing(store: ModelStore) -> None:
    manifest = published(store)
    assert store.promote(manifest.id, "production", NOON) == store.promote(manifest.id, "production", NOON)
    assert len(store.history("production")) == 1


def test_a_version_without_structure_is_promoted_only_when_that_is_accepted(store: ModelStore) -> None:
    manifest = published(store, verdict=Verdict.NONE)
    with pytest.raises(PromotionRefused, match=r"found no segments .* --accept-no-structure"):
        store.promote(manifest.id, "production", NOON)
    entry = store.promote(manifest.id, "production", NOON, PROMOTABLE | {Verdict.NONE})
    assert (entry.verdict, entry.accepted_no_structure) == (Verdict.NONE, True)
    assert store.load(manifest.id).accepted_no_structure
    assert not store.load(published(store, 60).id).accepted_no_structure


def test_a_damaged_version_is_not_promoted(store: ModelStore) -> None:
    manifest = published(store)
    (folder_of(store, manifest) / "golden.json").write_bytes(b"{}")
    with pytest.raises(VersionDamaged):
        store.promote(manifest.id, "production", NOON)
    assert store.history("production") == ()


def test_each_rollback_goes_one_promotion_further_back_and_is_an_entry_of_its_own(store: ModelStore) -> None:
    ids = [published(store, seconds).id for seconds in (0, 60, 120)]
    for version in ids:
        store.promote(version, "production", NOON)
    assert store.rollback("production", NOON).version == ids[1]
    assert store.rollback("production", NOON).version == ids[0]
    assert store.load_alias("production").manifest.id == ids[0]
    with pytest.raises(PromotionRefused, match="no earlier version"):
        store.rollback("production", NOON)
    store.promote(ids[2], "production", NOON)
    assert store.rollback("production", NOON).version == ids[0]
    assert [entry.action for entry in store.history("production")] == [
        *["promote"] * 3,
        *["rollback"] * 2,
        "promote",
        "rollback",
    ]


def test_a_line_that_a_crash_cut_off_was_never_in_force_and_is_overwritten(store: ModelStore) -> None:
    first, second = published(store, 0), published(store, 60)
    store.promote(first.id, "production", NOON)
    path = store.root / "aliases.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    assert store.load_alias("production").manifest == first
    store.promote(second.id, "production", NOON)
    assert [entry.version for entry in store.history("production")] == [first.id, second.id]


def test_a_damaged_line_is_not_passed_over(store: ModelStore) -> None:
    store.promote(published(store).id, "production", NOON)
    path = store.root / "aliases.jsonl"
    path.write_bytes(b"{}\n" + path.read_bytes())
    with pytest.raises(ModelError, match=r"aliases.jsonl is damaged"):
        store.load_alias("production")


def test_an_alias_refuses_a_model_that_is_not_the_one_that_was_promoted(store: ModelStore) -> None:
    manifest = published(store)
    entry = store.promote(manifest.id, "production", NOON)
    path = store.root / "aliases.jsonl"
    path.write_text(path.read_text().replace(entry.model_digest, "0" * 64))
    with pytest.raises(VersionDamaged, match="is not the model that was promoted"):
        store.load_alias("production")


# --- how many users move ----------------------------------------------------------------------------------------------


def measured(store: ModelStore, seconds: int, against: str, moved: int) -> Manifest:
    """A version that reassigns so many of 1,000 users."""
    reassigned = Reassigned(against=against, share=moved / 1000, users=moved, compared=1000)
    made = fit(at=NOON + timedelta(seconds=seconds)).model_copy(update={"parent": against, "reassigned": reassigned})
    return publish(store, segmentation(seed=seconds), made)


def test_a_promotion_that_moves_more_users_than_allowed_is_refused_and_says_how_many(store: ModelStore) -> None:
    first = published(store)
    second = measured(store, 60, first.id, moved=201)
    store.promote(first.id, "production", NOON)
    with pytest.raises(PromotionRefused) as refused:
        store.promote(second.id, "production", NOON, limit=ReassignedLimit(0.2, None))
    assert str(refused.value) == (
        f"201 of 1,000 users (20.1%) would change their segment when {second.id} replaces {first.id}, at most 20.0% "
        f"may: see where they go with `segment-trainer compare {first.id} {second.id} DATA.csv`, "
        "or give a higher --max-reassigned"
    )
    assert store.load_alias("production").manifest == first
    assert store.promote(second.id, "production", NOON, limit=ReassignedLimit(0.201, None)).version == second.id


def test_without_a_limit_any_number_of_users_may_move(store: ModelStore) -> None:
    first = published(store)
    second = measured(store, 60, first.id, moved=1000)
    store.promote(first.id, "production", NOON)
    assert store.promote(second.id, "production", NOON).version == second.id


def test_where_nothing_is_in_force_nobody_moves(store: ModelStore) -> None:
    assert store.promote(published(store).id, "production", NOON, limit=ReassignedLimit(0.0, None)).previous is None


def test_a_share_measured_against_another_version_than_the_one_in_force_counts_for_nothing(store: ModelStore) -> None:
    first, second = published(store, 0), published(store, 60)
    third = measured(store, 120, first.id, moved=0)
    store.promote(first.id, "production", NOON)
    store.promote(second.id, "production", NOON)
    limit = ReassignedLimit(1.0, None)
    with pytest.raises(PromotionRefused, match=rf"not known \(it was measured against {first.id}\).* with --data FILE"):
        store.promote(third.id, "production", NOON, limit=limit)
    with pytest.raises(PromotionRefused, match=r"not known \(it was never measured\)"):
        store.promote(first.id, "production", NOON, limit=limit)
    store.rollback("production", NOON)
    assert store.promote(third.id, "production", NOON, limit=limit).version == third.id


def test_a_share_measured_for_the_promotion_takes_precedence_over_the_manifests(store: ModelStore) -> None:
    first, second = published(store, 0), published(store, 60)
    third = measured(store, 120, second.id, moved=0)
    store.promote(second.id, "production", NOON)
    fresh = Reassigned(against=second.id, share=0.5, users=10, compared=20)
    with pytest.raises(PromotionRefused, match="10 of 20 users"):
        store.promote(third.id, "production", NOON, limit=ReassignedLimit(0.2, fresh))
    # Somebody else has promoted since it was measured.
    store.promote(first.id, "production", NOON)
    with pytest.raises(PromotionRefused, match=f"measured against {second.id}"):
        store.promote(third.id, "production", NOON, limit=ReassignedLimit(0.9, fresh))


def test_nobody_moves_where_two_versions_differ_in_names_only(store: ModelStore) -> None:
    first = published(store)
    model = segmentation(seed=0)
    other_names = replace(model, segments=tuple(replace(each, name=f"{each.number}!") for each in model.segments[::-1]))
    renamed = publish(store, other_names, fit(at=NOON + timedelta(seconds=60)))
    assert store.known_reassigned(renamed.id, first.id) == Reassigned(against=first.id, share=0, users=0, compared=40)
    store.promote(first.id, "production", NOON)
    store.promote(renamed.id, "production", NOON, limit=ReassignedLimit(0.0, None))
    swapped = replace(model, segments=(replace(model.segments[0], number=1), replace(model.segments[1], number=0)))
    other_numbers = publish(store, swapped, fit(at=NOON + timedelta(seconds=120)))
    assert store.known_reassigned(other_numbers.id, first.id) is None


def test_a_damaged_version_in_force_can_be_replaced(store: ModelStore) -> None:
    first, second = published(store, 0), published(store, 60)
    store.promote(first.id, "production", NOON)
    (folder_of(store, first) / "model.json").write_bytes(b"{}")
    assert store.known_reassigned(second.id, first.id) is None
    assert store.promote(second.id, "production", NOON).version == second.id


# --- the numbers of segments ------------------------------------------------------------------------------------------


def numbered(model: Segmentation, *numbers: int) -> Segmentation:
    """The model under other numbers."""
    segments = zip(model.segments, numbers, strict=True)
    return replace(model, segments=tuple(replace(segment, number=number) for segment, number in segments))


def child(store: ModelStore, seconds: int, parent: str, *numbers: int) -> Manifest:
    """A version with these numbers, fitted while the parent was in production."""
    made = fit(at=NOON + timedelta(seconds=seconds)).model_copy(update={"parent": parent})
    return publish(store, numbered(segmentation(len(numbers), seed=seconds), *numbers), made)


def test_the_next_number_is_above_all_that_any_version_has_or_had(store: ModelStore) -> None:
    assert store.next_number("UserProfile") == 0
    first = published(store)
    assert (first.next_number, store.next_number("UserProfile")) == (4, 4)
    # Promoted and rolled back, then another one: what users met in between is not met again.
    assert child(store, 60, first.id, 0, 1, 2, 4, 5).next_number == 6
    third = child(store, 120, first.id, 0, 6)
    assert third.next_number == 7
    # Its last segment goes, its number stays.
    fourth = child(store, 180, third.id, 0)
    assert fourth.next_number == 7
    assert store.prune(keep=1)[-1] == third.id
    assert store.next_number("UserProfile") == 7


def test_a_damaged_version_keeps_nobody_from_publishing_and_its_numbers_stay_taken(store: ModelStore) -> None:
    first = published(store)
    damaged = child(store, 60, first.id, 0, 6)
    (folder_of(store, damaged) / "manifest.json").write_bytes(b"{}")
    assert store.next_number("UserProfile") == 7
    assert child(store, 120, first.id, 0, 7).next_number == 8


def test_without_its_file_the_next_number_is_what_the_manifests_say(store: ModelStore) -> None:
    first = published(store)
    child(store, 60, first.id, 0, 6)
    (store.root / "next_number.UserProfile").write_text("seven")
    with pytest.raises(ModelError, match=r"next_number.UserProfile is damaged .*: remove it"):
        store.next_number("UserProfile")
    (store.root / "next_number.UserProfile").unlink()
    assert store.next_number("UserProfile") == 7


def test_a_number_that_another_fit_gave_away_meanwhile_is_not_given_twice(store: ModelStore) -> None:
    first = published(store)
    child(store, 60, first.id, 0, 1, 4)
    with pytest.raises(PublishFailed, match=r"a segment 4 was published while this one was fitted.*: fit again"):
        child(store, 120, first.id, 0, 4, 5)
    assert len(store.versions()) == 2
    child(store, 120, first.id, 0, 5)


def alone(store: ModelStore, seconds: int) -> Manifest:
    """A version that was fitted while nothing was in production."""
    return publish(store, segmentation(seed=seconds), fit(at=NOON + timedelta(seconds=seconds)))


def test_of_two_fits_before_the_first_promotion_one_only_is_promoted(store: ModelStore) -> None:
    first, second = alone(store, 0), alone(store, 60)
    store.promote(first.id, "production", NOON)
    with pytest.raises(PromotionRefused) as refused:
        store.promote(second.id, "production", NOON)
    assert str(refused.value) == (
        f"version {second.id} was fitted before {first.id} went into production, so its numbers do not continue it: "
        "fit the history again, and they will"
    )
    # Nor what has continued the second since.
    with pytest.raises(PromotionRefused, match="do not continue"):
        store.promote(child(store, 120, second.id, 0, 1).id, "production", NOON)
    assert store.promote(second.id, "canary", NOON).version == second.id
    assert len(store.history("production")) == 1


def test_what_was_in_force_once_may_be_promoted_again(store: ModelStore) -> None:
    first = alone(store, 0)
    second = child(store, 60, first.id, 0, 1)
    for version in (first.id, second.id, first.id):
        assert store.promote(version, "production", NOON).version == version


def test_before_the_first_promotion_each_fit_numbers_from_zero(store: ModelStore) -> None:
    assert alone(store, 0).next_number == alone(store, 60).next_number == 4


def test_pruning_keeps_the_newest_and_whatever_an_alias_names(store: ModelStore) -> None:
    ids = [published(store, seconds).id for seconds in (0, 60, 120, 180)]
    store.promote(ids[0], "production", NOON)
    assert store.prune(keep=1) == (ids[1], ids[2])
    assert [manifest.id for manifest in store.versions()] == [ids[0], ids[3]]
    assert store.prune(keep=5) == ()


def test_pruning_keeps_what_a_rollback_goes_back_to(store: ModelStore) -> None:
    ids = [published(store, seconds).id for seconds in (0, 60, 120, 180)]
    for version in (ids[1], ids[0], ids[2]):
        store.promote(version, "production", NOON)
    assert store.prune(keep=1) == (ids[1],)
    assert store.rollback("production", NOON).version == ids[0]


def test_a_rollback_to_a_pruned_version_says_that_it_is_gone(store: ModelStore) -> None:
    ids = [published(store, seconds).id for seconds in (0, 60, 120)]
    for version in ids:
        store.promote(version, "production", NOON)
    store.prune(keep=1)
    store.rollback("production", NOON)
    with pytest.raises(VersionNotFound, match=f"no version {ids[0]}"):
        store.rollback("production", NOON)
    assert store.load_alias("production").manifest.id == ids[1]


def test_nothing_is_promoted_in_a_store_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AliasNotFound, match="no model store at"):
        ModelStore(tmp_path / "absent").rollback("production", NOON)
