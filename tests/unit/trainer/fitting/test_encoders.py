from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from models.encoding import CategoryColumn, Encoder, NumberColumn, OrderedColumn, SeveralOfColumn
from schemas.roles import Kind, ProfileField
from trainer.fitting.encoders import MOST_LEVELS, Learned, encoder, learn_labels, learn_number

ROWS = 2_000


def number(values: object) -> Learned:
    numbers = np.array(values, dtype=np.float64)
    return learn_number(
        field(Kind.NUMBER), lambda: np.array_split(numbers, 3) if len(numbers) > 5 else [numbers], numbers
    )


def ordered(values: list[str]) -> Learned:
    return learn_labels(field(Kind.ORDERED, ("low", "middle", "high")), counts(values), len(values))


def category(values: list[str]) -> Learned:
    return learn_labels(field(Kind.CATEGORY), counts(values), len(values))


def several_of(values: list[tuple[str, ...]]) -> Learned:
    return learn_labels(field(Kind.SEVERAL_OF), counts([item for items in values for item in items]), len(values))


def field(kind: Kind, levels: tuple[str, ...] = ()) -> ProfileField:
    return ProfileField("x", "X", "group", kind, levels)


def counts(labels: list[str]) -> dict[str, int]:
    return dict(sorted(Counter(labels).items()))


def scaled(learned: Learned, values: object) -> np.ndarray:
    assert learned.column is not None
    one = Encoder((learned.column,))
    return one.scale(one.encode({"x": list(values)}).matrix)  # type: ignore[call-overload]


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ([*range(1, 200), *[-999] * 20], "-999"),
        ([*range(1, 200), *[9999] * 20], "9999"),
        ([*(1.3 ** np.arange(60)), *[-1] * 20], "-1"),
        ([*range(1, 200), *[-999] * 20, *[-998] * 30], "-999 or -998"),
        ([*range(1, 200), *[-1] * 20, *[9999999] * 30], "-1 or 9999999"),
        ([*range(1, 200), *[998] * 9, *[999] * 30], "999 or another number"),
        ([*range(1, 200), *[998] * 19, *[999] * 19], "one of 2 numbers"),
        ([*range(11, 73), *[99] * 30], "99"),
        ([*range(1, 200), *[9999] * 19], None),
        ([*range(1000, 1200), *[0] * 50], None),
        ([*range(-200, 200), *[201] * 50], None),
        ([1, 2, 3] * 50 + [99] * 50, None),
        (np.rint(np.random.default_rng(0).lognormal(4, 1, 20_000)).tolist(), None),
        ([*range(11, 73), *[71] * 20, *[99] * 20], None),
    ],
    ids=[
        "below",
        "above",
        "the only negative",
        "two codes",
        "two ends",
        "a rare code",
        "two rare codes",
        "near",
        "few users",
        "zero",
        "a limit",
        "few numbers",
        "a tail",
        "as frequent as its neighbours",
    ],
)
def test_a_repeated_number_far_from_all_others_is_noted(values: list[float], named: str | None) -> None:
    note = number(values).note
    assert note is None if named is None else note is not None and f"have {named}," in note


def test_spellings_of_one_label_are_noted_with_their_users_but_not_those_that_few_have() -> None:
    note = category(["DE"] * 60 + ["DE "] * 30 + ["de"] * 5 + ["FR"] * 40).note
    assert note is not None
    assert ("'DE' (60 users)" in note, "'DE ' (30 users)" in note, "'de'" in note) == (True, True, False)
    assert category(["DE"] * 60 + ["FR"] * 40).note is None
    items = several_of([("pop", "Pop")] * 60).note
    assert items is not None
    assert "tuple[Annotated[str, StringConstraints(" in items


def test_every_kind_of_column_has_mean_0_and_a_total_variance_of_1(generator: np.random.Generator) -> None:
    columns = [
        (number, generator.normal(50, 7, ROWS).tolist()),
        (number, generator.lognormal(0, 2, ROWS).tolist()),
        (ordered, generator.choice(["low", "middle", "high"], ROWS, p=[0.7, 0.2, 0.1]).tolist()),
        (category, generator.choice(["a", "b", "c", "d"], ROWS, p=[0.7, 0.1, 0.1, 0.1]).tolist()),
        (several_of, [tuple(item for item in "abcdef" if generator.random() < 0.3) for _ in range(ROWS)]),
    ]
    for learn_one, values in columns:
        learned = learn_one(values)  # type: ignore[operator]
        block = scaled(learned, values)
        assert learned.useless_because is None
        assert block.mean(axis=0) == pytest.approx(np.zeros(block.shape[1]), abs=1e-9)
        assert block.var(axis=0).sum() == pytest.approx(1.0)


def test_numbers_skewed_to_the_right_get_the_logarithm_of_their_share_of_the_median(
    generator: np.random.Generator,
) -> None:
    values = np.concatenate([generator.lognormal(3, 1.5, ROWS), np.zeros(300)])
    column = number(values).column
    assert isinstance(column, NumberColumn)
    assert column.log_unit == pytest.approx(np.median(values[values > 0]))


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(1).uniform(0, 10, ROWS),
        10 - np.random.default_rng(1).lognormal(0, 0.5, ROWS).clip(0, 10),  # skewed to the left
        np.random.default_rng(1).lognormal(0, 2, ROWS) - 0.5,  # some are negative
    ],
)
def test_other_numbers_stay_as_they_are(values: np.ndarray) -> None:
    column = number(values).column
    assert isinstance(column, NumberColumn)
    assert column.log_unit is None


def test_numbers_are_clipped_at_the_outermost_thousandth_of_training(generator: np.random.Generator) -> None:
    values = generator.normal(0, 1, ROWS)
    values[0] = 1e6
    learned = number(values)
    column = learned.column
    assert isinstance(column, NumberColumn)
    ordered_values = np.sort(values)
    assert (column.low, column.high) == (ordered_values[2], ordered_values[-3])  # 2 of 2,000 on each side
    assert column.scale < 2
    assert scaled(learned, [1e9]) == scaled(learned, [column.high])


def test_the_declared_order_is_kept_not_the_alphabetical_one() -> None:
    learned = ordered(["high", "low", "middle"] * 10)
    low, middle, high = scaled(learned, ["low", "middle", "high"]).ravel()
    assert low < middle < high
    assert middle - low == pytest.approx(high - middle)


def test_a_label_that_is_no_declared_level_counts_as_unknown_and_is_noted() -> None:
    values = ["low", "high", "Low", "low"]
    learned = ordered(values)
    assert learned.note == "X: <20 users have an undeclared label, which counts as unknown"
    assert scaled(learned, values).ravel()[2] == 0
    assert isinstance(learned.column, OrderedColumn)
    assert learned.column.mean == pytest.approx(2 / 3)


def test_an_undeclared_label_is_named_where_20_users_have_it() -> None:
    learned = ordered(["low", "high"] * 10 + ["Low"] * 20 + ["Jane Doe"] * 19)
    assert learned.note == "X: 39 users have an undeclared label ('Low', …), which counts as unknown"


@pytest.mark.parametrize(
    ("learned", "reason"),
    [
        (number([3.0] * 10), "every user has the same value"),
        (number([0.1] * 10), "every user has the same value"),  # ten times 0.1 is not 1.0
        (number([0.0] * 5_000 + [7.0]), "all but a few users have the same value"),
        (number([1e100] * 10), "every user has a number beyond ±1e+100"),
        (number([0.0, 1e-200] * 10), "its numbers differ too little to be compared"),
        (ordered(["low"] * 10), "every user has the same value"),
        (ordered(["low", "LOW"] * 10), "every user has the same value"),
        (ordered(["LOW"] * 10), "no user has one of its levels"),
        (category(["a"] * 10), "every user has the same value"),
        (several_of([("a", "b")] * 10), "every user has the same value"),
        (several_of([()] * 10), "every user has the same value"),
    ],
)
def test_a_useless_column_has_a_reason_and_can_still_be_stored(learned: Learned, reason: str) -> None:
    assert learned.useless_because == reason
    assert learned.column is not None
    column = replace(learned.column, weight=0.0)
    numbers = [column.scale, *column.means]
    if isinstance(column, NumberColumn):
        numbers += [column.low, column.high]
    assert np.isfinite(numbers).all()


def test_a_column_of_names_is_left_out_and_no_model_keeps_its_labels() -> None:
    for learned in (
        category([f"city {i}" for i in range(MOST_LEVELS + 1)]),
        several_of([(f"item {i}",) for i in range(MOST_LEVELS + 1)]),
    ):
        assert learned.useless_because == "201 different labels, at most 200 are compared"
        assert encoder([learned], frozenset()).columns == ()
    assert category([f"city {i}" for i in range(MOST_LEVELS)]).useless_because is None


@pytest.mark.parametrize("rows", [50, 300, 900, ROWS])
@pytest.mark.parametrize("extreme", [1e12, 1.7e308])
def test_one_extreme_cell_changes_next_to_nothing(generator: np.random.Generator, rows: int, extreme: float) -> None:
    for values in (generator.normal(50, 7, rows), generator.lognormal(0, 1, rows), generator.uniform(0, 1, rows)):
        without, with_it = number(values), number([*values[:-1], extreme])
        rest = scaled(without, values[:-1])
        moved = np.sort(np.abs(scaled(with_it, values[:-1]) - rest).ravel())
        assert moved[-2] < 0.3  # but for the greatest of the others, which is the one that was clipped before
        assert np.median(moved) < 0.1
        assert scaled(with_it, [extreme]) == scaled(with_it, [values[:-1].max()])


def test_the_largest_counts_there_are_do_not_break_the_scale(generator: np.random.Generator) -> None:
    values = [*generator.integers(0, 100, ROWS).astype(float), 1.7e308]
    learned = number(values)
    assert learned.useless_because is None
    assert np.isfinite(scaled(learned, values)).all()


def test_labels_are_sorted_whatever_the_order_of_the_users() -> None:
    first, second = category(["b", "a", "c"]).column, category(["c", "b", "a"]).column
    assert isinstance(first, CategoryColumn)
    assert first == second
    assert first.levels == ("a", "b", "c")
    items = several_of([("z",), ("a", "z")]).column
    assert isinstance(items, SeveralOfColumn)
    assert items.levels == ("a", "z")


def test_columns_that_are_not_kept_weigh_nothing() -> None:
    learned = [number([1.0, 2.0, 3.0])]
    assert encoder(learned, frozenset({"x"})).width == 1
    assert encoder(learned, frozenset()).width == 0
