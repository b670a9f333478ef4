from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from demo.outcomes import adjusted_rand_index
from demo.population import planted_group
from schemas.rejected import RejectReason
from tests.support.outcomes import assigned, outcomes, rejected


def test_an_input_with_one_outcome_is_neither_lost_nor_duplicated() -> None:
    found = outcomes(assigned("user-1", 0, 0, 0), rejected("empty", 0, 1), assigned("user-2", 1, 1, 0))

    assert found.lost_and_duplicates({0: 2, 1: 1, 2: 0}) == (0, 0)
    assert (found.assigned, found.rejected, found.total) == (2, 1, 3)


def test_an_input_without_an_outcome_is_lost() -> None:
    assert outcomes(assigned("user-1", 0, 0, 0)).lost_and_duplicates({0: 3}) == (2, 0)


def test_a_second_outcome_of_an_input_is_a_duplicate_even_if_another_input_is_lost() -> None:
    found = outcomes(assigned("user-1", 0, 0, 0), rejected("empty", 0, 0))

    assert found.lost_and_duplicates({0: 2}) == (1, 1)


def test_an_outcome_of_an_input_that_nobody_sent_is_one_too_many() -> None:
    assert outcomes(assigned("user-1", 0, 5, 9)).lost_and_duplicates({}) == (0, 1)


def test_segments_reasons_and_the_last_assignments_are_counted() -> None:
    found = outcomes(*(assigned(f"user-{number}", number % 2, 0, number) for number in range(1, 10)))
    found.add([rejected("not_json", 0, 0), rejected("not_json", 0, 10)])

    assert found.segments == {0: 4, 1: 5}
    assert found.names == {0: "Segment 0", 1: "Segment 1"}
    assert found.reasons == {RejectReason.NOT_JSON: 2}
    assert [event.subject for event in found.last] == [f"user-{number}" for number in range(5, 10)]
    assert found.together == Counter((planted_group(f"user-{number}"), number % 2) for number in range(1, 10))


@pytest.mark.parametrize("seed", range(5))
def test_the_agreement_equals_scikit_learns(seed: int) -> None:
    draw = np.random.default_rng(seed)
    first = draw.integers(0, 5, 300)
    second = np.where(draw.random(300) < seed / 5, first, draw.integers(0, 4, 300))

    together = Counter(zip(first.tolist(), second.tolist(), strict=True))

    assert adjusted_rand_index(together) == pytest.approx(adjusted_rand_score(first, second), abs=1e-12)


def test_one_group_that_is_found_as_one_agrees() -> None:
    assert adjusted_rand_index({(0, 3): 50}) == 1.0
    assert adjusted_rand_index({}) == 1.0
