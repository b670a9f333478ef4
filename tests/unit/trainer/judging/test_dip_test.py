from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.encoding import Floats
from schemas import UserProfile
from schemas.roles import profile_fields
from tests.support.samples import sample_of
from trainer.fitting.sample import Sample
from trainer.judging.dip_test import borders, dip_p_value, multimodal_columns

FIELDS = profile_fields(UserProfile)


def two_modes(rows: int = 600) -> Floats:
    draws = np.random.default_rng(0)
    return np.where(draws.random(rows) < 0.4, draws.normal(0, 1, rows), draws.normal(6, 1, rows))


def test_two_modes_are_seen_and_one_is_not() -> None:
    assert dip_p_value(two_modes()) < 0.001
    assert dip_p_value(np.random.default_rng(0).normal(size=600)) > 0.5


ROUNDED: Mapping[str, Callable[[np.random.Generator], Any]] = {
    "rates of three digits": lambda draws: np.round(draws.uniform(0, 0.1, 1_000), 3),
    "rates of two digits": lambda draws: np.round(draws.uniform(0, 0.1, 1_000), 2),
    "ten values": lambda draws: draws.integers(0, 10, 1_000),
    "two values": lambda draws: draws.integers(0, 2, 1_000),
    "logarithms of counts": lambda draws: np.log1p(draws.poisson(2, 1_000)),
    "a rounded cloud": lambda draws: np.rint(draws.normal(0, 2, 1_000)),
}


@pytest.mark.parametrize("case", ROUNDED)
def test_counts_and_rounded_rates_do_not_have_a_hump_at_each_value(case: str) -> None:
    for seed in range(5):
        assert dip_p_value(np.asarray(ROUNDED[case](np.random.default_rng(seed)), dtype=np.float64)) > 0.05


def test_two_modes_are_seen_through_rounding() -> None:
    assert dip_p_value(np.rint(two_modes())) < 0.001
    many_zeros = np.where(np.random.default_rng(0).random(600) < 0.4, 0.0, np.rint(20 + 3 * two_modes()))
    assert dip_p_value(many_zeros) < 0.001


def test_few_numbers_or_equal_ones_have_one_hump() -> None:
    assert dip_p_value(np.array([1.0, 2.0, 9.0])) == 1.0
    assert dip_p_value(np.full(50, 3.0)) == 1.0


def test_multimodal_columns_are_named_whether_or_not_they_are_used_in_the_distance() -> None:
    draws = np.random.default_rng(0)
    columns = {
        "click_through_rate": draws.normal(size=600).tolist(),
        "conversion_rate": two_modes().tolist(),
        "age": draws.choice(FIELDS[0].levels, 600).tolist(),
    }
    assert multimodal_columns(sample_of(columns, FIELDS)) == ("Conversion Rates",)
    assert multimodal_columns(sample_of(columns, FIELDS, left_out=["conversion_rate"])) == ("Conversion Rates",)
    assert multimodal_columns(sample_of({"age": columns["age"]}, FIELDS)) == ()


def test_a_column_that_repeats_another_one_is_not_named_again() -> None:
    columns = {"click_through_rate": two_modes().tolist(), "conversion_rate": (-2 * two_modes()).tolist()}
    sample = sample_of(columns, FIELDS, left_out=["conversion_rate"])
    repeated = replace(sample, repeated=frozenset({"conversion_rate"}))
    assert multimodal_columns(repeated) == ("Click-Through Rates (CTR)",)


def test_numbers_that_users_round_are_not_multimodal() -> None:
    draws = np.random.default_rng(0)
    amounts = 20 * np.exp(0.7 * draws.normal(size=1_000))
    heaped = np.where(draws.random(1_000) < 0.3, 5 * np.rint(amounts / 5), np.rint(amounts))
    assert dip_p_value(heaped) < 0.05
    assert multimodal_columns(sample_of({"click_through_rate": heaped.tolist()}, FIELDS)) == ()


def means(scaled: Floats, labels: Any) -> Floats:
    return np.array([scaled[labels == label].mean(axis=0) for label in np.unique(labels)])


def test_neighbours_that_differ_in_one_label_only_have_no_gap_that_counts() -> None:
    draws = np.random.default_rng(0)
    labels = np.repeat([0, 1], 150)
    columns = {"click_through_rate": draws.normal(size=300).tolist(), "gender": ["Female"] * 150 + ["Male"] * 150}
    sample = sample_of(columns, FIELDS)
    assert [border.dip_p_value for border in borders(sample, labels, means(sample.scaled, labels))] == [1.0, 1.0]
    # With a number beside it that differs too, the gap is one.
    both = columns | {"click_through_rate": (draws.normal(size=300) + 8 * labels).tolist()}
    sample = sample_of(both, FIELDS)
    assert max(border.dip_p_value for border in borders(sample, labels, means(sample.scaled, labels))) < 0.001


def test_a_border_is_the_one_with_the_nearest_neighbour_and_shows_whether_there_is_a_gap() -> None:
    draws = np.random.default_rng(0)
    places = np.array([0.0, 1.5, 20.0])
    labels = np.repeat([0, 1, 2], 150)
    rows = np.column_stack([places[labels], np.zeros(450)]) + draws.normal(size=(450, 2))
    sample = sample_of({"click_through_rate": rows[:, 0].tolist(), "conversion_rate": rows[:, 1].tolist()}, FIELDS)
    found = borders(sample, labels, means(sample.scaled, labels))
    assert [(border.segment, border.neighbour) for border in found] == [(0, 1), (1, 0), (2, 1)]
    assert found[0].dip_p_value == found[1].dip_p_value > 0.05
    assert found[2].dip_p_value < 0.001


HOLED = ("click_through_rate", "conversion_rate", "weekday_hours_online", "weekend_hours_online")


def with_holes(rows: Floats, holes: Any) -> Sample:
    return sample_of(
        {
            name: [None if gone else value for value, gone in zip(column, missing, strict=True)]
            for name, column, missing in zip(HOLED, rows.T.tolist(), np.transpose(holes), strict=True)
        },
        FIELDS,
    )


def test_missing_values_do_not_fill_a_gap() -> None:
    draws = np.random.default_rng(1)
    labels = np.repeat([0, 1], 200)
    sample = with_holes(2.5 * labels[:, None] + draws.normal(size=(400, 4)), draws.random((400, 4)) < 0.4)
    assert dip_p_value(sample.scaled @ np.ones(4)) > 0.05
    assert max(border.dip_p_value for border in borders(sample, labels, means(sample.scaled, labels))) < 0.05


def test_there_is_no_gap_between_users_who_have_values_and_users_who_lack_them() -> None:
    draws = np.random.default_rng(1)
    lacking = np.repeat([0, 1], 200)
    rows = 3 + draws.normal(size=(600, 4))
    rows[400:] -= 12  # a third group takes the mean away from the other two
    labels = np.concatenate([lacking, np.full(200, 2)])
    sample = with_holes(rows, np.outer(labels == 1, [True, True, True, False]))
    assert dip_p_value(sample.scaled[:400] @ np.ones(4)) < 0.001
    found = borders(sample, labels, means(sample.scaled, labels))
    assert [(border.segment, border.neighbour) for border in found[:2]] == [(0, 1), (1, 0)]
    assert min(border.dip_p_value for border in found[:2]) > 0.05
