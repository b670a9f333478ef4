from collections.abc import Callable, Mapping

import numpy as np
import pytest

from models.encoding import Floats
from trainer.judging.dip_test import dip_p_value
from trainer.judging.heaping import without_heaps

USERS = 1_000
Rng = np.random.Generator


def amounts(rng: Rng, median: float = 20) -> Floats:
    found: Floats = median * np.exp(0.7 * rng.normal(size=USERS))
    return found


def rounded(values: Floats, unit: float, share: float, rng: Rng) -> Floats:
    """A share of the users round to the unit, the others to whole numbers."""
    return np.where(rng.random(USERS) < share, unit * np.rint(values / unit), np.rint(values))


def two_groups(rng: Rng) -> Floats:
    return np.where(rng.random(USERS) < 0.4, rng.normal(20, 5, USERS), rng.normal(60, 6, USERS))


HEAPED: Mapping[str, Callable[[Rng], Floats]] = {
    "a third in fives": lambda rng: rounded(amounts(rng), 5, 0.3, rng),
    "half in tens": lambda rng: rounded(amounts(rng, 60), 10, 0.5, rng),
    "half in dozens": lambda rng: rounded(amounts(rng, 70), 12, 0.5, rng),
    "half in quarters of an hour": lambda rng: rounded(amounts(rng, 90), 15, 0.5, rng),
    "some in fives and some in tens": lambda rng: rounded(rounded(amounts(rng, 50), 5, 0.3, rng), 10, 0.3, rng),
    "half in fives, others to the cent": lambda rng: np.where(
        rng.random(USERS) < 0.5, 5 * np.rint((found := amounts(rng)) / 5), np.round(found, 2)
    ),
}


@pytest.mark.parametrize("case", HEAPED)
def test_the_numbers_that_users_round_to_are_not_modes(case: str) -> None:
    for seed in range(3):
        values = HEAPED[case](np.random.default_rng(seed))
        assert dip_p_value(np.log1p(values / 20)) < 0.05
        assert dip_p_value(np.log1p(without_heaps(values) / 20)) > 0.05


@pytest.mark.parametrize("unit", [1, 5, 10])
def test_two_groups_are_two_modes_however_many_users_round(unit: float) -> None:
    rng = np.random.default_rng(0)
    assert dip_p_value(without_heaps(rounded(two_groups(rng), unit, 0.4, rng))) < 0.001


NOT_HEAPED: Mapping[str, Callable[[Rng], Floats]] = {
    "amounts": amounts,
    "whole amounts": lambda rng: np.rint(amounts(rng)),
    "counts": lambda rng: rng.poisson(3, USERS).astype(np.float64),
    "a default and the rest": lambda rng: np.where(rng.random(USERS) < 0.4, 50.0, np.rint(amounts(rng))),
    "two narrow groups": lambda rng: np.rint(np.where(rng.random(USERS) < 0.4, 20, 80) + rng.normal(size=USERS)),
}


@pytest.mark.parametrize("case", NOT_HEAPED)
def test_numbers_that_nobody_rounds_stay_as_they_are(case: str) -> None:
    values = NOT_HEAPED[case](np.random.default_rng(0))
    assert without_heaps(values).tolist() == values.tolist()
