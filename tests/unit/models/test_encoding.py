import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.encoding import CategoryColumn, Encoder, NumberColumn, OrderedColumn, SeveralOfColumn, UnknownCategory
from tests.support.fitted import encoder, random_columns

SMALL = Encoder(
    (
        CategoryColumn("colour", ("blue", "red"), (0.5, 0.5), 0.7),
        NumberColumn("likes", 100.0, 0.0, 2.0, 1.0, 0.5),
        SeveralOfColumn("tags", ("a", "b", "c"), (0.1, 0.2, 0.3), 0.6),
        NumberColumn("hours", None, 1.0, 20.0, 5.0, 2.0),
        OrderedColumn("age", ("young", "middle", "old"), 1.25, 0.8),
    )
)


def rows(**columns: list[Any]) -> dict[str, list[Any]]:
    plain: dict[str, list[Any]] = {"colour": ["red"], "likes": [100.0], "tags": [()], "hours": [5.0], "age": ["middle"]}
    return {**plain, **columns}


def encoded(**columns: list[Any]) -> list[float]:
    row: list[float] = SMALL.encode(rows(**columns)).matrix[0].tolist()
    return row


def test_the_matrix_has_numbers_then_ordered_then_categories_then_items() -> None:
    # likes, hours | age | blue, red | a, b, c
    assert encoded(tags=[("b", "c")]) == [np.log1p(1.0), 5.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0]
    assert [column.name for column in SMALL.kept] == ["likes", "hours", "age", "colour", "tags"]


def test_numbers_are_clipped_to_the_range_seen_in_training() -> None:
    assert encoded(hours=[0.0], likes=[1e12])[:2] == [2.0, 1.0]
    assert encoded(hours=[99.0], likes=[0])[:2] == [0.0, 20.0]


def test_a_negative_number_where_training_took_logarithms_is_clipped_too() -> None:
    assert encoded(likes=[-1e6])[:1] == [0.0]


def test_a_number_too_large_for_its_unit_is_clipped_without_a_warning() -> None:
    column = NumberColumn("likes", 0.1, 0.0, 2.0, 1.0, 0.5)
    assert Encoder((column,)).encode({"likes": [1e308]}).matrix.tolist() == [[2.0]]


def test_an_unknown_ordered_label_is_the_mean_and_zero_after_scaling() -> None:
    made = SMALL.encode(rows(age=["ancient"]))
    assert made.matrix[0, 2] == 1.25
    assert SMALL.scale(made.matrix)[0, 2] == 0.0
    assert made.unknown == {0: ("age",)}


def test_an_unknown_category_is_the_means_and_zero_after_scaling_and_an_unknown_item_is_ignored() -> None:
    made = SMALL.encode(rows(colour=["green"], tags=[("z", "a")]))
    assert made.matrix[0].tolist()[3:] == [0.5, 0.5, 1.0, 0.0, 0.0]
    assert SMALL.scale(made.matrix)[0, 3:5].tolist() == [0.0, 0.0]
    assert made.unknown == {0: ("colour", "tags")}


def test_an_unknown_category_of_the_first_format_is_all_zeros() -> None:
    first = replace(SMALL, unknown_category=UnknownCategory.ZEROS)
    made = first.encode(rows(colour=["green"], tags=[("z", "a")]))
    assert made.matrix[0].tolist()[3:] == [0.0, 0.0, 1.0, 0.0, 0.0]


def test_a_missing_category_is_the_means_in_the_first_format_too() -> None:
    first = replace(SMALL, unknown_category=UnknownCategory.ZEROS)
    assert first.encode(rows(colour=[None])).matrix[0].tolist()[3:5] == [0.5, 0.5]


def test_a_repeated_item_counts_once_and_an_empty_list_is_all_zeros() -> None:
    made = SMALL.encode(
        {
            "colour": ["red"] * 3,
            "likes": [1] * 3,
            "hours": [2] * 3,
            "age": ["old"] * 3,
            "tags": [("a", "a"), (), ("c",)],
        }
    )
    assert made.matrix[:, 5:].tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert made.unknown == {}


def test_scaling_subtracts_the_mean_and_divides_each_block_by_its_scale() -> None:
    made = SMALL.encode(rows())
    expected = (made.matrix[0] - np.array([1.0, 5.0, 1.25, 0.5, 0.5, 0.1, 0.2, 0.3])) / np.array(
        [0.5, 2.0, 0.8, 0.7, 0.7, 0.6, 0.6, 0.6]
    )
    assert np.array_equal(SMALL.scale(made.matrix)[0], expected)


def test_a_column_of_weight_zero_is_not_in_the_matrix_but_its_unknown_values_are_seen() -> None:
    colour, likes, tags, hours, age = SMALL.columns
    light = Encoder(
        (replace(colour, weight=0.0), likes, replace(tags, weight=0.0), hours, replace(age, weight=0.0)),
    )
    made = light.encode(rows(colour=["green"], tags=[("z",)], age=["ancient"]))
    assert made.matrix.tolist() == [[np.log1p(1.0), 5.0]]
    assert made.unknown == {0: ("colour", "tags", "age")}
    assert light.encode(rows()).unknown == {}


def test_a_weight_of_two_doubles_the_distance_along_a_column() -> None:
    heavy = Encoder((*SMALL.columns[:3], replace(SMALL.columns[3], weight=2.0), SMALL.columns[4]))
    at = [column.name for column in heavy.kept].index("hours")
    columns = rows(hours=[9.0])
    assert heavy.scale(heavy.encode(columns).matrix)[0, at] == 2 * SMALL.scale(SMALL.encode(columns).matrix)[0, at]


def test_each_row_is_encoded_by_itself() -> None:
    made = encoder()
    columns = random_columns(200)
    together = made.encode(columns).matrix
    for row in (0, 57, 199):
        alone = made.encode({name: values[row : row + 1] for name, values in columns.items()}).matrix
        assert np.array_equal(alone[0], together[row])


def test_a_missing_field_and_a_column_of_another_length_are_refused() -> None:
    with pytest.raises(KeyError, match="hours"):
        SMALL.encode({name: values for name, values in rows().items() if name != "hours"})
    with pytest.raises(struct.error):
        SMALL.encode(rows(hours=[1.0, 2.0]))


def test_a_missing_value_counts_at_the_mean_of_its_column_and_is_listed() -> None:
    numbers = (NumberColumn("x", None, 0.0, 10.0, 5.0, 2.0), NumberColumn("y", 1.0, 4.0, 9.0, 6.0, 2.0))
    labels = (OrderedColumn("o", ("low", "high"), 0.25, 0.5), CategoryColumn("c", ("a", "b"), (0.75, 0.25), 0.5))
    left_out = CategoryColumn("l", ("a",), (1.0,), 1.0, 0.0), NumberColumn("n", None, 0.0, 1.0, 0.5, 1.0, 0.0)
    made = Encoder((*labels, *numbers, *left_out))
    columns: dict[str, list[Any]] = {
        "o": ["low", None, None],
        "c": [None, "b", "z"],
        "x": [None, 1.0, 2.0],
        "y": [3.0, None, 3.0],
        "l": ["a", None, "z"],
        "n": [0.5, 0.5, None],
    }
    found = made.encode(columns)
    scaled = made.scale(found.matrix)
    assert (scaled[0, 0], scaled[1, 1], scaled[1, 2]) == (0, 0, 0)
    assert scaled[0, 3:].tolist() == scaled[2, 3:].tolist() == [0, 0]
    assert {name: rows.tolist() for name, rows in found.missing.items()} == {
        "o": [1, 2], "c": [0], "x": [0], "y": [1], "l": [1], "n": [2]
    }  # fmt: skip
    assert list(found.missing) == ["o", "c", "x", "y", "l", "n"]
    assert found.unknown == {2: ("c", "l")}


def test_a_missing_list_is_the_means_and_an_empty_one_has_no_item() -> None:
    tags = SeveralOfColumn("t", ("a", "b"), (0.25, 0.5), 0.5), SeveralOfColumn("l", ("a",), (0.5,), 1.0, 0.0)
    lists: dict[str, list[Any]] = {"t": [None, (), ["a", "z"], ("b",)], "l": [("a",), None, (), ("z",)]}
    found = Encoder(tags).encode(lists)
    assert found.matrix.tolist() == [[0.25, 0.5], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    assert {name: rows.tolist() for name, rows in found.missing.items()} == {"t": [0], "l": [1]}
    assert found.unknown == {2: ("t",), 3: ("l",)}


@pytest.mark.parametrize("log_unit", [None, 2.0])
def test_a_number_is_out_of_range_if_it_is_beyond_the_limits_by_more_than_their_distance(
    log_unit: float | None,
) -> None:
    low, high = (100.0, 120.0) if log_unit is None else (1.0, 3.0)
    column = NumberColumn("x", log_unit, low, high, (low + high) / 2, 5.0)

    def raw(encoded: float) -> float:
        return encoded if log_unit is None else float(np.copysign(np.expm1(abs(encoded)) * log_unit, encoded))

    width = high - low
    values = [raw(at) for at in (low - 1.01 * width, low - 0.99 * width, low, high + 0.99 * width, high + 1.01 * width)]
    found = Encoder((column,)).encode({"x": [*values, None, 1e300]})
    assert found.out_of_range["x"].tolist() == [0, 4, 6]
    assert not Encoder((column,)).encode({"x": [values[2]]}).out_of_range
