from typing import Any

import numpy as np
import pytest

from schemas.roles import Kind, ProfileField
from tests.support.samples import sample_of
from trainer.explaining.thresholds import thresholds
from trainer.explaining.tiers import LEAST_SHARE, roundest, tiers
from trainer.findings import Tiers
from trainer.privacy import DEMOGRAPHIC

NOT_NAMED = frozenset({DEMOGRAPHIC})


def number(name: str, group: str = "behaviour") -> ProfileField:
    return ProfileField(name, name.title(), group, Kind.NUMBER, ())


def found(columns: dict[str, Any], *fields: ProfileField, left_out: tuple[str, ...] = ()) -> Tiers | None:
    return tiers(sample_of(columns, fields or [number(name) for name in columns], left_out), NOT_NAMED, {})


def cut(values: Any) -> Tiers | None:
    return found({"spend": np.asarray(values, dtype=np.float64).tolist()})


def one_gradient(n: int = 900) -> dict[str, list[float]]:
    generator = np.random.default_rng(1)
    gradient = generator.normal(size=n)
    return {
        "loose": (gradient + 2 * generator.normal(size=n)).tolist(),
        "close": (50 + 20 * gradient + 5 * generator.normal(size=n)).tolist(),
        "other": (gradient + generator.normal(size=n)).tolist(),
    }


def test_tiers_are_thirds_by_the_number_that_follows_the_strongest_axis() -> None:
    columns = one_gradient()
    made = found(columns)
    assert made is not None
    assert (made.field, made.header) == ("close", "Close")
    assert 0.8 < made.correlation < 1
    assert made.cuts == pytest.approx(np.quantile(columns["close"], [1 / 3, 2 / 3]), abs=2)
    assert made.shares == pytest.approx([1 / 3] * 3, abs=0.04)
    assert sum(made.shares) == pytest.approx(1)
    # Short enough to say, and no user's own value.
    assert [float(cut).is_integer() for cut in made.cuts] == [True, True]


def test_a_share_is_that_of_the_users_from_one_cut_to_below_the_next() -> None:
    made = cut(np.repeat([1, 2, 3], [100, 200, 100]))
    assert made is not None
    assert (made.cuts, made.shares) == ((2.0, 3.0), (0.25, 0.5, 0.25))


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 1.0, 1e6, 1e12])
def test_the_unit_of_a_number_does_not_matter(factor: float) -> None:
    columns = one_gradient()
    made, scaled = found(columns), found(columns | {"close": [factor * value for value in columns["close"]]})
    assert made is not None
    assert scaled is not None
    assert scaled.shares == pytest.approx(made.shares, abs=0.05)


@pytest.mark.parametrize("spread", [0.2, 1.0, 3.0, 8.0])
@pytest.mark.parametrize("users", [90, 600, 5000])
def test_cuts_are_round_and_near_the_terciles_however_long_the_tail(spread: float, users: int) -> None:
    made = cut(np.exp(spread * np.random.default_rng(users).normal(size=users)))
    assert made is not None
    assert made.shares == pytest.approx([1 / 3] * 3, abs=0.06)
    assert all(len(f"{each:.15g}".strip("0.").replace(".", "")) <= 3 for each in made.cuts), made.cuts


def test_the_roundest_number_of_a_range_is_the_one_nearest_to_the_wanted() -> None:
    assert roundest(5.2, 8.9, 7.4) == 7
    assert roundest(5.2, 12.0, 7.4) == 10
    assert roundest(-3.0, 4.0, -1.0) == 0
    assert roundest(1.0, 2.0, 1.0) == 2
    assert roundest(0.1234, 0.1238, 0.1236) == 0.1236
    assert roundest(999_999.6, 1_000_000.4, 999_999.9) == 1_000_000
    assert roundest(0.1, np.nextafter(0.1, 1), 0.1) == np.nextafter(0.1, 1)


def two_peaks(users: int = 600) -> dict[str, list[float]]:
    generator = np.random.default_rng(1)
    return {"stay": generator.normal(np.array([2, 12])[generator.choice(2, users)], 1).round(1).tolist()}


def test_a_number_with_two_peaks_is_cut_between_them() -> None:
    sample = sample_of(two_peaks(), [number("stay")])
    (limit,) = thresholds(sample, ("Stay",))
    assert (limit.field, limit.header, limit.value) == ("stay", "Stay", 7.0)
    made = tiers(sample, NOT_NAMED, {limit.field: limit.value})
    assert made is not None
    assert made.cuts == (7.0,)
    assert made.shares == pytest.approx((0.5, 0.5), abs=0.05)
    assert thresholds(sample, ()) == ()


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        (lambda rng: np.exp(rng.normal(np.array([1, 5])[rng.choice(2, 900)], 0.5)), 30, 150),
        (lambda rng: rng.poisson(np.array([2, 25])[rng.choice(2, 900)]), 7, 15),
        (lambda rng: rng.normal(np.array([0, 10, 40])[rng.choice(3, 900)], 1), 15, 35),
        (lambda rng: 5 * np.round(rng.normal(np.array([20, 60])[rng.choice(2, 900)], 6) / 5), 35, 50),
    ],
    ids=["log", "counts", "three", "rounded to five"],
)
def test_a_limit_lies_in_the_deepest_valley(values: Any, low: float, high: float) -> None:
    drawn = values(np.random.default_rng(3)).tolist()
    (limit,) = thresholds(sample_of({"spend": drawn}, [number("spend")]), ("Spend",))
    assert low <= limit.value <= high


@pytest.mark.parametrize("tail", ["normal", "standard_cauchy", "lognormal", "uniform"])
def test_a_number_with_one_peak_has_no_limit(tail: str) -> None:
    drawn = getattr(np.random.default_rng(3), tail)(size=900).tolist()
    assert thresholds(sample_of({"spend": drawn}, [number("spend")]), ("Spend",)) == ()


def test_where_many_users_have_one_value_it_is_a_tier_of_its_own() -> None:
    generator = np.random.default_rng(1)
    bought = np.where(np.arange(500) < 350, 0.0, generator.exponential(20, 500))
    made = cut(bought)
    assert made is not None
    assert made.shares[0] == pytest.approx(0.7, abs=0.02)
    assert min(made.shares) >= LEAST_SHARE
    either = cut(np.repeat([0, 1], [300, 200]))
    assert either is not None
    assert (either.cuts, either.shares) == ((1.0,), (0.6, 0.4))


def test_no_tier_is_smaller_than_a_tenth_or_20_users() -> None:
    assert cut(np.repeat([0, 1], [470, 30])) is None
    assert cut(np.repeat([0, 1], [30, 19])) is None
    assert cut(np.repeat([0, 1], [20, 20])) is not None


def test_a_number_that_cannot_be_cut_leaves_it_to_the_next() -> None:
    generator = np.random.default_rng(1)
    rare = np.repeat([0.0, 1.0], [480, 20])
    made = found({"rare": rare.tolist(), "also": (5 * rare).tolist(), "spend": generator.normal(size=500).tolist()})
    assert made is not None
    assert made.field == "spend"


def test_labels_and_what_a_person_is_give_no_tiers() -> None:
    columns = one_gradient()
    labels = {"plan": ["a", "b", "c"] * 300}
    plan = ProfileField("plan", "Plan", "behaviour", Kind.CATEGORY, ())
    assert found(labels, plan) is None
    age = {"close": columns["close"], **labels}
    assert found(age, number("close", DEMOGRAPHIC), plan) is None
    made = found(columns, number("loose"), number("close", DEMOGRAPHIC), number("other"))
    assert made is not None
    assert made.field == "other"
    # Neither does a number that was left out of the distance.
    assert found(columns | labels, *map(number, columns), plan, left_out=tuple(columns)) is None
