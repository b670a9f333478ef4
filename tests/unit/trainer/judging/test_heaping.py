from collections.abc import Callable, Mapping

import numpy as np
import pytest

from models.encoding import Floats
from trainer.judging.dip_test import dip_p_value
from trainer.judging.heaping import without_heaps

USERS = 1_000
LIST = np.array([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000.0])
Rng = np.random.Generator


def amounts(rng: Rng, median: float = 20) -> Floats:
    found: Floats = median * np.exp(0.7 * rng.normal(size=USERS))
    return found


def rounded(values: Floats, unit: float, share: float, rng: Rng, ending: float = 0, decimals: int = 0) -> Floats:
    """A share of the users round to the unit, or to the prices just below that have this ending."""
    heaps = unit * np.rint((values - ending) / unit) + ending
    return np.asarray(np.round(np.where(rng.random(USERS) < share, heaps, values), decimals), dtype=np.float64)


def two_groups(rng: Rng) -> Floats:
    return np.where(rng.random(USERS) < 0.4, rng.normal(20, 5, USERS), rng.normal(60, 6, USERS))


HEAPED: Mapping[str, Callable[[Rng], Floats]] = {
    "a third in fives": lambda rng: rounded(amounts(rng), 5, 0.3, rng),
    "half in tens": lambda rng: rounded(amounts(rng, 60), 10, 0.5, rng),
    "half in dozens": lambda rng: rounded(amounts(rng, 70), 12, 0.5, rng),
    "half in quarters of an hour": lambda rng: rounded(amounts(rng, 90), 15, 0.5, rng),
    "some in fives and some in tens": lambda rng: rounded(rounded(amounts(rng, 50), 5, 0.3, rng), 10, 0.3, rng),
    "some in tens and some in hundreds": lambda rng: rounded(
        rounded(rng.normal(500, 120, USERS), 10, 0.8, rng), 100, 0.4, rng
    ),
    "half in fives, others to the cent": lambda rng: rounded(amounts(rng), 5, 0.5, rng, decimals=2),
    "shifts of eight hours": lambda rng: rounded(amounts(rng, 40), 8, 0.7, rng),
    "prices that end in 9.99": lambda rng: rounded(amounts(rng, 60), 10, 0.6, rng, -0.01, 2),
    "prices that end in 4.99 or 9.99": lambda rng: rounded(amounts(rng, 30), 5, 0.7, rng, -0.01, 2),
    "prices of 9.99 and of 10": lambda rng: rounded(
        rounded(amounts(rng, 60), 10, 0.35, rng, decimals=2), 10, 0.5, rng, -0.01, 2
    ),
    "inches in centimetres": lambda rng: rounded(rng.normal(170, 10, USERS), 2.54, 0.8, rng, decimals=1),
    "amounts from a list": lambda rng: np.where(
        rng.random(USERS) < 0.6,
        LIST[np.abs(np.log(found := amounts(rng, 60) ** 1.2)[:, None] - np.log(LIST)).argmin(1)],
        np.rint(found),
    ),
}


@pytest.mark.parametrize("case", HEAPED)
def test_the_numbers_that_users_round_to_are_not_modes(case: str) -> None:
    for seed in range(3):
        values = HEAPED[case](np.random.default_rng(seed))
        encoded = np.log1p(np.maximum(values, 0) / 20)
        assert dip_p_value(encoded) < 0.05
        assert dip_p_value(without_heaps(values, encoded)) > 0.05


@pytest.mark.parametrize("share", [0.4, 1])
@pytest.mark.parametrize("ending", [0, -0.01])
@pytest.mark.parametrize("unit", [1, 5, 10])
def test_two_groups_are_two_modes_however_many_users_round(unit: float, ending: float, share: float) -> None:
    rng = np.random.default_rng(0)
    values = rounded(two_groups(rng), unit, share, rng, ending, 2)
    assert dip_p_value(without_heaps(values, values)) < 0.001


@pytest.mark.parametrize("apart", [5, 10])
def test_two_peaks_that_are_only_a_few_heaps_wide_are_two_modes(apart: float) -> None:
    rng = np.random.default_rng(0)
    values = rounded(
        np.where(rng.random(USERS) < 0.5, 20, 20 + 8 * apart) + rng.normal(0, apart, USERS), apart, 0.7, rng
    )
    assert dip_p_value(without_heaps(values, values)) < 0.001


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
    assert without_heaps(values, values) is values
