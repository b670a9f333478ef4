from collections.abc import Iterator

import numpy as np
import pytest

from models.encoding import Encoder, NumberColumn
from models.segmentation import Assignments, Segment, Segmentation
from tests.support.histories import columns, noise, read, write
from trainer.errors import FitRefused
from trainer.fitting.assignment import AssignedUsers, assign_users
from trainer.history.arrow_copy import CHUNK_ROWS
from trainer.history.history import History

# Numbers that are neither contiguous nor in the order of the file: those of segments that were kept.
NUMBERS = (7, 2)


def model(*centres: float) -> Segmentation:
    """Segments along the hours of a weekday; every other column counts for nothing."""
    column = NumberColumn("weekday_hours_online", None, low=0.0, high=24.0, mean=0.0, scale=1.0)
    segments = (
        Segment(number, f"Segment {number}", (at,), 0.0, np.inf) for number, at in zip(NUMBERS, centres, strict=True)
    )
    return Segmentation(Encoder((column,)), tuple(segments))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    generator = np.random.default_rng(1)
    rows = noise(CHUNK_ROWS + 2_000)
    for row, hours in zip(rows, generator.normal(2, 0.3, len(rows)), strict=True):
        row["Time Spent Online (hrs/weekday)"] = round(float(hours), 4)
    for row in rows[::100]:
        row["Time Spent Online (hrs/weekday)"] = 5 + round(float(generator.normal(0, 0.1)), 4)
    return read(write(tmp_path_factory.mktemp("placing") / "history.csv", rows))


@pytest.fixture(scope="module")
def placed(history: History) -> tuple[Segmentation, AssignedUsers]:
    return assign_users(history, model(5.0, 2.0), 0, lambda *_: None)


def joined(chunks: Iterator[Assignments]) -> Assignments:
    parts = [*chunks]
    names = ("segment", "distance", "margin", "reach", "outlier")
    segment, distance, margin, reach, outlier = (
        np.concatenate([getattr(part, name) for part in parts]) for name in names
    )
    return Assignments(segment, distance, margin, reach, outlier, {}, {}, {})


def test_each_user_is_where_the_model_puts_it(history: History, placed: tuple[Segmentation, AssignedUsers]) -> None:
    segmentation, found = placed
    expected, written = segmentation.assign(columns(history)), joined(found.chunks())
    assert written.segment.tolist() == expected.segment.tolist()
    assert written.distance == pytest.approx(expected.distance)
    assert written.margin == pytest.approx(expected.margin)
    assert written.outlier.tolist() == expected.outlier.tolist()
    assert found.sizes == {7: 70, 2: 6_930}
    assert found.outliers() == {n: int(expected.outlier[expected.segment == n].sum()) for n in NUMBERS}
    assert found.inertia == pytest.approx((expected.distance**2).sum())


def test_a_large_segment_has_its_own_limit_and_a_small_one_that_of_all_users(
    history: History, placed: tuple[Segmentation, AssignedUsers]
) -> None:
    segmentation, _ = placed
    assigned = segmentation.assign(columns(history))
    small, large = segmentation.segments
    of_large = assigned.distance[assigned.segment == 2]
    assert large.outlier_distance == pytest.approx(np.quantile(of_large, 0.995))
    assert small.median_distance == pytest.approx(np.median(assigned.distance[assigned.segment == 7]))
    medians = np.where(assigned.segment == 7, small.median_distance, large.median_distance)
    pooled = np.quantile(assigned.distance / medians, 0.995)
    assert small.outlier_distance == pytest.approx(pooled * small.median_distance)


def test_the_limits_of_many_users_come_from_a_seeded_sample(
    history: History, placed: tuple[Segmentation, AssignedUsers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.fitting.assignment.QUANTILE_USERS", 4_000)
    first, again, other = (assign_users(history, model(5.0, 2.0), seed, lambda *_: None)[0] for seed in (1, 1, 2))
    exact = placed[0].segments[1].outlier_distance
    assert first == again
    assert first != other
    assert first.segments[1].outlier_distance == pytest.approx(exact, rel=0.1)
    assert first.segments[1].outlier_distance != exact


def test_renumbered_users_keep_their_places(placed: tuple[Segmentation, AssignedUsers]) -> None:
    _, found = placed
    other = found.renumbered({7: 1, 2: 40})
    assert other.sizes == {1: 70, 40: 6_930}
    assert set(joined(other.chunks()).segment.tolist()) == {1, 40}


def test_a_segment_without_a_user_is_refused(history: History) -> None:
    with pytest.raises(FitRefused, match="2 segments leave one without users"):
        assign_users(history, model(2.0, 24.0), 0, lambda *_: None)
