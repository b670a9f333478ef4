from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from models import promoting
from models.encoding import Columns
from models.manifest import Manifest, ProfileReference, Verdict
from models.segmentation import Segmentation
from models.store import ModelStore
from schemas import UserProfile
from schemas.roles import profile_fields
from tests.support.fitted import fit, publish, random_columns, segmentation
from tests.support.samples import sample_of
from trainer.lineage.lineage import renumbered
from trainer.lineage.succession import Before, before_fit, continued, lineage_of, warm_start

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PROFILE = ProfileReference.of(UserProfile)
OTHER = ProfileReference(name="Shop", schema_digest="1" * 64)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


def version(store: ModelStore, model: Segmentation, minutes: int = 0, **changed: object) -> Manifest:
    made = fit(Verdict.CLEAR, NOON + timedelta(minutes=minutes)).model_copy(update=changed)
    return publish(store, model, made)


def users(names: Iterable[str]) -> Iterator[Columns]:
    for seed in (1, 2):
        columns = random_columns(400, seed)
        yield {name: columns[name] for name in names}


def nobody(_: Iterable[str]) -> Iterator[Columns]:
    raise AssertionError("the users are not needed")


def test_kept_segments_have_their_numbers_and_the_names_that_a_person_gave(store: ModelStore) -> None:
    old = renumbered(segmentation(4), {0: 3, 1: 0, 2: 7, 3: 5})
    parent = version(store, old, given_names={7: "Owls", 5: "Larks"})
    promoting.promote(store, parent.id, "production", NOON)
    before = before_fit(store, "production", PROFILE)
    assert (before.parent, before.model, before.next_number) == (parent.id, old, 8)
    # The same centres but the last, which go to whom they were nearest to.
    fitted = Segmentation(segmentation(4).encoder, segmentation(4).segments[:3])
    found = continued(fitted, before, users)
    assert found.numbers == {0: 3, 1: 0, 2: 7}
    assert found.segmentation.names == {3: "Segment 3", 0: "Segment 0", 7: "Owls"}
    assert found.given_names == {7: "Owls"}
    lineage = lineage_of(found, before, {3: "Busy", 0: "Idle", 7: "Owls"})
    assert lineage is not None
    assert (lineage.reassigned.against, lineage.reassigned.compared) == (parent.id, 800)
    assert [(fate.segment, fate.name) for fate in lineage.fates] == [
        (0, "Idle"), (3, "Busy"), (7, "Owls"), (5, "Segment 5"),
    ]  # fmt: skip


def test_new_segments_are_numbered_above_every_version_of_the_store(store: ModelStore) -> None:
    parent = version(store, segmentation(2))
    promoting.promote(store, parent.id, "production", NOON)
    version(store, renumbered(segmentation(2, seed=3), {0: 0, 1: 11}), 1, parent=parent.id)
    found = continued(segmentation(5, seed=4), before_fit(store, "production", PROFILE), users)
    assert min(number for number in found.numbers.values() if number > 1) == 12


def test_without_a_production_numbers_start_at_zero_and_nobody_is_compared(store: ModelStore) -> None:
    version(store, segmentation(4))
    before = before_fit(store, "production", PROFILE)
    assert before == Before(None, None, accepted_no_structure=False, given_names={}, next_number=0)
    found = continued(segmentation(3), before, nobody)
    assert (found.numbers, found.overlap, found.given_names) == ({0: 0, 1: 1, 2: 2}, None, {})
    assert lineage_of(found, before, found.segmentation.names) is None


def test_after_another_profile_class_every_segment_is_new_and_numbers_begin_at_0(store: ModelStore) -> None:
    parent = version(store, segmentation(4), profile=OTHER, given_names={0: "Owls"})
    promoting.promote(store, parent.id, "production", NOON)
    before = before_fit(store, "production", PROFILE)
    assert (before.parent, before.model, before.given_names) == (parent.id, None, {})
    found = continued(segmentation(3), before, nobody)
    assert found.numbers == {0: 0, 1: 1, 2: 2}
    assert lineage_of(found, before, found.segmentation.names) is None


def test_a_production_without_structure_is_reported(store: ModelStore) -> None:
    parent = publish(store, segmentation(4), fit(Verdict.NONE, NOON))
    promoting.promote(store, parent.id, "production", NOON, frozenset(Verdict))
    before = before_fit(store, "production", PROFILE)
    assert before.accepted_no_structure
    lineage = lineage_of(continued(segmentation(4), before, users), before, segmentation(4).names)
    assert lineage is not None
    assert lineage.before_accepted_no_structure
    assert lineage.reassigned.share == 0


def following(model: Segmentation | None) -> Before:
    return Before(None, model, accepted_no_structure=False, given_names={}, next_number=0)


def test_a_warm_start_is_where_the_users_of_each_segment_in_production_are_now() -> None:
    old = segmentation(4)
    sample = sample_of(random_columns(400, seed=3), profile_fields(UserProfile), left_out=["age"])
    start = warm_start(following(old), sample)
    assert start is not None
    of_user = old.assign(sample.columns).segment
    means = np.array([sample.scaled[of_user == number].mean(axis=0) for number in np.unique(of_user)])
    assert np.array_equal(np.sort(start, axis=0), np.sort(means, axis=0))
    assert start.shape == (4, sample.encoder.width)


def test_there_is_no_warm_start_without_a_model_or_where_all_users_are_in_one_of_its_segments() -> None:
    sample = sample_of(random_columns(40, seed=3), profile_fields(UserProfile))
    assert warm_start(following(None), sample) is None
    assert warm_start(following(Segmentation(segmentation(4).encoder, segmentation(4).segments[:1])), sample) is None
