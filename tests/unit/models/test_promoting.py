from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from models import promoting
from models.errors import AliasNotFound, PromotionRefused, VersionDamaged, VersionNotFound
from models.manifest import Manifest, Reassigned, Verdict
from models.promoting import PROMOTABLE, ReassignedLimit
from models.store import ModelStore
from tests.support.fitted import NOON, alone, child, fit, publish, published, segmentation


def test_promotion_moves_the_alias_and_is_recorded(store: ModelStore) -> None:
    first, second = published(store, 0), published(store, 60)
    with pytest.raises(AliasNotFound, match=r"no version in .* is named 'production': fit one"):
        store.load_alias("production")
    promoting.promote(store, first.id, "production", NOON)
    promoting.promote(store, second.id, "production", NOON)
    assert store.load_alias("production").manifest == second
    assert [(entry.action, entry.version, entry.previous) for entry in store.history("production")] == [
        ("promote", first.id, None),
        ("promote", second.id, first.id),
    ]
    assert store.current("canary") is None


def test_promoting_the_current_version_writes_nothing(store: ModelStore) -> None:
    manifest = published(store)
    assert promoting.promote(store, manifest.id, "production", NOON) == promoting.promote(
        store, manifest.id, "production", NOON
    )
    assert len(store.history("production")) == 1


def test_a_version_without_structure_is_promoted_only_when_that_is_accepted(store: ModelStore) -> None:
    manifest = publish(store, segmentation(), fit(Verdict.NONE))
    with pytest.raises(PromotionRefused, match=r"found no segments .* --accept-no-structure"):
        promoting.promote(store, manifest.id, "production", NOON)
    entry = promoting.promote(store, manifest.id, "production", NOON, PROMOTABLE | {Verdict.NONE})
    assert (entry.verdict, entry.accepted_no_structure) == (Verdict.NONE, True)
    assert store.load(manifest.id).accepted_no_structure
    assert not store.load(published(store, 60).id).accepted_no_structure


def test_a_damaged_version_is_not_promoted(store: ModelStore) -> None:
    manifest = published(store)
    (store.folder(manifest.id) / "golden.json").write_bytes(b"{}")
    with pytest.raises(VersionDamaged):
        promoting.promote(store, manifest.id, "production", NOON)
    assert store.history("production") == ()


def test_each_rollback_goes_one_promotion_further_back_and_is_an_entry_of_its_own(store: ModelStore) -> None:
    ids = [published(store, seconds).id for seconds in (0, 60, 120)]
    for version in ids:
        promoting.promote(store, version, "production", NOON)
    assert promoting.rollback(store, "production", NOON).version == ids[1]
    assert promoting.rollback(store, "production", NOON).version == ids[0]
    assert store.load_alias("production").manifest.id == ids[0]
    with pytest.raises(PromotionRefused, match="no earlier version"):
        promoting.rollback(store, "production", NOON)
    promoting.promote(store, ids[2], "production", NOON)
    assert promoting.rollback(store, "production", NOON).version == ids[0]
    assert [entry.action for entry in store.history("production")] == [
        *["promote"] * 3,
        *["rollback"] * 2,
        "promote",
        "rollback",
    ]


def test_a_line_cut_off_by_a_crash_never_takes_effect_and_is_overwritten(store: ModelStore) -> None:
    first, second = published(store, 0), published(store, 60)
    promoting.promote(store, first.id, "production", NOON)
    path = store.root / "aliases.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    assert store.load_alias("production").manifest == first
    promoting.promote(store, second.id, "production", NOON)
    assert [entry.version for entry in store.history("production")] == [first.id, second.id]


def measured(store: ModelStore, seconds: int, against: str, moved: int) -> Manifest:
    """Publish a version that reassigns so many of 1,000 users."""
    reassigned = Reassigned(against=against, share=moved / 1000, users=moved, compared=1000)
    made = fit(at=NOON + timedelta(seconds=seconds)).model_copy(update={"parent": against, "reassigned": reassigned})
    return publish(store, segmentation(seed=seconds), made)


def test_a_promotion_that_moves_more_users_than_allowed_is_refused_and_says_how_many(store: ModelStore) -> None:
    first = published(store)
    second = measured(store, 60, first.id, moved=201)
    promoting.promote(store, first.id, "production", NOON)
    with pytest.raises(PromotionRefused) as refused:
        promoting.promote(store, second.id, "production", NOON, limit=ReassignedLimit(0.2, None))
    assert str(refused.value) == (
        f"201 of 1,000 users (20.1%) would change their segment when {second.id} replaces {first.id}, at most 20.0% "
        f"may: see where they go with `segment-trainer compare {first.id} {second.id} DATA.csv`, "
        "or give a higher --max-reassigned"
    )
    assert store.load_alias("production").manifest == first
    assert (
        promoting.promote(store, second.id, "production", NOON, limit=ReassignedLimit(0.201, None)).version == second.id
    )


def test_without_a_limit_any_number_of_users_may_move(store: ModelStore) -> None:
    first = published(store)
    second = measured(store, 60, first.id, moved=1000)
    promoting.promote(store, first.id, "production", NOON)
    assert promoting.promote(store, second.id, "production", NOON).version == second.id


def test_the_first_promotion_moves_no_users(store: ModelStore) -> None:
    assert (
        promoting.promote(store, published(store).id, "production", NOON, limit=ReassignedLimit(0.0, None)).previous
        is None
    )


def test_a_share_measured_against_a_version_that_is_not_current_is_ignored(store: ModelStore) -> None:
    first, second = published(store, 0), published(store, 60)
    third = measured(store, 120, first.id, moved=0)
    promoting.promote(store, first.id, "production", NOON)
    promoting.promote(store, second.id, "production", NOON)
    limit = ReassignedLimit(1.0, None)
    with pytest.raises(PromotionRefused, match=rf"was measured against {first.id}\).* --data"):
        promoting.promote(store, third.id, "production", NOON, limit=limit)
    with pytest.raises(PromotionRefused, match=r"never measured"):
        promoting.promote(store, first.id, "production", NOON, limit=limit)
    promoting.rollback(store, "production", NOON)
    assert promoting.promote(store, third.id, "production", NOON, limit=limit).version == third.id


def test_a_share_measured_for_the_promotion_takes_precedence_over_the_manifests(store: ModelStore) -> None:
    first, second = published(store, 0), published(store, 60)
    third = measured(store, 120, second.id, moved=0)
    promoting.promote(store, second.id, "production", NOON)
    fresh = Reassigned(against=second.id, share=0.5, users=10, compared=20)
    with pytest.raises(PromotionRefused, match="10 of 20 users"):
        promoting.promote(store, third.id, "production", NOON, limit=ReassignedLimit(0.2, fresh))
    # Another version was promoted after it was measured.
    promoting.promote(store, first.id, "production", NOON)
    with pytest.raises(PromotionRefused, match=f"measured against {second.id}"):
        promoting.promote(store, third.id, "production", NOON, limit=ReassignedLimit(0.9, fresh))


def test_no_users_move_between_versions_that_differ_in_names_only(store: ModelStore) -> None:
    first = published(store)
    model = segmentation(seed=0)
    other_names = replace(model, segments=tuple(replace(each, name=f"{each.number}!") for each in model.segments[::-1]))
    renamed = publish(store, other_names, fit(at=NOON + timedelta(seconds=60)))
    assert promoting.known_reassigned(store, renamed.id, first.id) == Reassigned(
        against=first.id, share=0, users=0, compared=40
    )
    promoting.promote(store, first.id, "production", NOON)
    promoting.promote(store, renamed.id, "production", NOON, limit=ReassignedLimit(0.0, None))
    swapped = replace(model, segments=(replace(model.segments[0], number=1), replace(model.segments[1], number=0)))
    other_numbers = publish(store, swapped, fit(at=NOON + timedelta(seconds=120)))
    assert promoting.known_reassigned(store, other_numbers.id, first.id) is None


def test_a_damaged_current_version_can_be_replaced(store: ModelStore) -> None:
    first, second = published(store, 0), published(store, 60)
    promoting.promote(store, first.id, "production", NOON)
    (store.folder(first.id) / "model.json").write_bytes(b"{}")
    assert promoting.known_reassigned(store, second.id, first.id) is None
    assert promoting.promote(store, second.id, "production", NOON).version == second.id


def test_only_one_of_two_fits_before_the_first_promotion_can_be_promoted(store: ModelStore) -> None:
    first, second = alone(store, 0), alone(store, 60)
    promoting.promote(store, first.id, "production", NOON)
    with pytest.raises(PromotionRefused) as refused:
        promoting.promote(store, second.id, "production", NOON)
    assert str(refused.value) == (
        f"version {second.id} was fitted before {first.id} was promoted, so its segment numbers do not continue those "
        "in production: fit again to continue them"
    )
    # Nor a version that continues the second.
    with pytest.raises(PromotionRefused, match="do not continue"):
        promoting.promote(store, child(store, 120, second.id, 0, 1).id, "production", NOON)
    assert promoting.promote(store, second.id, "canary", NOON).version == second.id
    assert len(store.history("production")) == 1


def test_an_earlier_version_can_be_promoted_again(store: ModelStore) -> None:
    first = alone(store, 0)
    second = child(store, 60, first.id, 0, 1)
    for version in (first.id, second.id, first.id):
        assert promoting.promote(store, version, "production", NOON).version == version


def test_pruning_keeps_the_newest_versions_and_the_current_ones(store: ModelStore) -> None:
    ids = [published(store, seconds).id for seconds in (0, 60, 120, 180)]
    promoting.promote(store, ids[0], "production", NOON)
    assert promoting.prune(store, keep=1) == (ids[1], ids[2])
    assert [manifest.id for manifest in store.versions()] == [ids[0], ids[3]]
    assert promoting.prune(store, keep=5) == ()


def test_pruning_keeps_the_target_of_the_next_rollback(store: ModelStore) -> None:
    ids = [published(store, seconds).id for seconds in (0, 60, 120, 180)]
    for version in (ids[1], ids[0], ids[2]):
        promoting.promote(store, version, "production", NOON)
    assert promoting.prune(store, keep=1) == (ids[1],)
    assert promoting.rollback(store, "production", NOON).version == ids[0]


def test_a_rollback_to_a_pruned_version_is_refused_and_names_it(store: ModelStore) -> None:
    ids = [published(store, seconds).id for seconds in (0, 60, 120)]
    for version in ids:
        promoting.promote(store, version, "production", NOON)
    promoting.prune(store, keep=1)
    promoting.rollback(store, "production", NOON)
    with pytest.raises(VersionNotFound, match=f"no version {ids[0]}"):
        promoting.rollback(store, "production", NOON)
    assert store.load_alias("production").manifest.id == ids[1]


def test_a_missing_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(AliasNotFound, match="no model store at"):
        promoting.rollback(ModelStore(tmp_path / "absent"), "production", NOON)
