from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.outcomes import Assigned, Comparison, Expected, Outcome
from schemas.rejected import RejectReason

EXPECTED: Expected = {0: [Assigned(2, 1.25), RejectReason.EMPTY], 3: [Assigned(5, 0.5)]}
RIGHT: Sequence[tuple[int, int, Outcome | None]] = [
    (0, 0, Assigned(2, 1.25)),
    (3, 0, Assigned(5, 0.5 + 5e-10)),
    (0, 1, RejectReason.EMPTY),
]


def counts(*outcomes: tuple[int, int, Outcome | None]) -> tuple[int, int, int]:
    comparison = Comparison(EXPECTED)
    for outcome in outcomes:
        comparison.see(*outcome)
    assert bool(comparison.problems()) == bool(comparison.missing or comparison.doubled or comparison.wrong)
    return comparison.missing, comparison.doubled, comparison.wrong


def test_outcomes_in_any_order_and_within_the_tolerance_are_right() -> None:
    assert counts(*RIGHT) == (0, 0, 0)


@pytest.mark.parametrize("left_out", range(3))
def test_an_outcome_that_is_left_out_is_missing(left_out: int) -> None:
    assert counts(*(outcome for at, outcome in enumerate(RIGHT) if at != left_out)) == (1, 0, 0)


@pytest.mark.parametrize("again", RIGHT)
def test_an_outcome_that_comes_again_is_doubled(again: tuple[int, int, Outcome | None]) -> None:
    assert counts(*RIGHT, again) == (0, 1, 0)


@pytest.mark.parametrize(
    "wrong",
    [Assigned(1, 1.25), Assigned(2, 1.25 + 2e-9), RejectReason.EMPTY, None],
    ids=["segment", "distance", "rejected", "not intact"],
)
def test_another_outcome_for_an_event_is_wrong(wrong: Outcome | None) -> None:
    assert counts((0, 0, wrong), *RIGHT[1:]) == (0, 0, 1)


@pytest.mark.parametrize("seen", [Assigned(2, 1.25), RejectReason.NOT_JSON], ids=["assigned", "another reason"])
def test_another_outcome_for_an_invalid_event_is_wrong(seen: Outcome) -> None:
    assert counts(*RIGHT[:2], (0, 1, seen)) == (0, 0, 1)


@pytest.mark.parametrize(("partition", "offset"), [(0, 2), (1, 0), (3, -1)])
def test_an_outcome_for_an_event_that_was_never_sent_is_wrong(partition: int, offset: int) -> None:
    assert counts(*RIGHT, (partition, offset, Assigned(2, 1.25))) == (0, 0, 1)
