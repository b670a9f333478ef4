from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from schemas.roles import Kind, ProfileField
from tests.support.histories import ADS_DATA, FIELDS, noise, read, table, write
from trainer.fitting.relations import Relation, likely_outcomes, related, relations

ROWS = 1_000


def field(name: str, kind: Kind) -> ProfileField:
    return ProfileField(name, name, "group", kind, ())


def labels(values: np.ndarray) -> pd.Series:
    return pd.Series(pd.Categorical(values))


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(1)


def kept(**columns: pd.Series) -> frozenset[str]:
    kinds = {"n": Kind.NUMBER, "l": Kind.CATEGORY, "s": Kind.SEVERAL_OF}
    return related(relations(pd.DataFrame(columns), [field(name, kinds[name[0]]) for name in columns]))


def test_columns_that_hang_together_are_kept_and_noise_is_not(generator: np.random.Generator) -> None:
    level = generator.integers(0, 3, ROWS)
    same = np.where(generator.random(ROWS) < 0.5, level, generator.integers(0, 3, ROWS))
    unrelated = generator.integers(0, 3, ROWS)
    number = pd.Series(generator.normal(size=ROWS))
    assert kept(l1=labels(level), l2=labels(same), l3=labels(unrelated), n1=number) == {"l1", "l2"}


def test_numbers_are_related_whatever_the_shape_of_the_curve(generator: np.random.Generator) -> None:
    x = generator.normal(size=ROWS)
    assert kept(n1=pd.Series(x), n2=pd.Series(x**2), n3=pd.Series(generator.normal(size=ROWS))) == {"n1", "n2"}


@pytest.mark.parametrize("rare", [0.0, 1.0])
def test_a_number_that_is_mostly_the_same_can_still_be_related(generator: np.random.Generator, rare: float) -> None:
    level = generator.integers(0, 2, ROWS)
    number = np.where((level == 1) & (generator.random(ROWS) < 0.3), rare, 1 - rare)
    assert kept(n1=pd.Series(number), l1=labels(level)) == {"n1", "l1"}


def test_one_telling_item_relates_a_list_of_items(generator: np.random.Generator) -> None:
    level = generator.integers(0, 2, ROWS)
    lists = [
        tuple(item for item in "abcdefghij" if generator.random() < (0.6 if item == "c" and mark else 0.3))
        for mark in level
    ]
    other = [tuple(item for item in "xyz" if generator.random() < 0.3) for _ in range(ROWS)]
    columns = {"s1": pd.Series(lists), "l1": labels(level), "s2": pd.Series(other)}
    assert kept(**columns) == {"s1", "l1"}
    # The order of the columns decides which side of the table has the items.
    assert kept(**dict(reversed(columns.items()))) == {"s1", "l1"}


def test_two_lists_of_items_are_related_by_items_that_come_together(generator: np.random.Generator) -> None:
    first = [tuple(item for item in "abc" if generator.random() < 0.4) for _ in range(ROWS)]
    second = [(("x",) if "b" in items and generator.random() < 0.5 else ()) + ("z",) for items in first]
    assert kept(s1=pd.Series(first), s2=pd.Series(second)) == {"s1", "s2"}


def test_who_has_no_list_is_not_a_relation(generator: np.random.Generator) -> None:
    level = generator.integers(0, 2, ROWS)
    lists = [tuple(item for item in "abc" if generator.random() < 0.4) for _ in range(ROWS)]
    lacking = (level == 1) & (generator.random(ROWS) < 0.6)
    missing = pd.Series([None if gone else items for items, gone in zip(lists, lacking, strict=True)])
    empty = pd.Series([() if gone else items for items, gone in zip(lists, lacking, strict=True)])
    other = pd.Series([(*("x" for _ in range(mark)), "y") for mark in level])
    assert kept(s1=empty, l1=labels(level)) == {"s1", "l1"}
    assert kept(s1=missing, l1=labels(level)) == kept(l1=labels(level), s1=missing) == frozenset()
    assert kept(s1=missing, s2=other) == frozenset()


def test_an_item_named_twice_counts_once_and_empty_lists_are_related_to_nothing(
    generator: np.random.Generator,
) -> None:
    level = generator.integers(0, 2, ROWS)
    lists = pd.Series([("a",) * (1 + mark) if generator.random() < 0.4 else () for mark in level])
    assert kept(s1=lists, l1=labels(level)) == frozenset()
    assert kept(s1=pd.Series([()] * ROWS), l1=labels(level)) == frozenset()


def test_a_relation_that_is_sure_but_weak_is_not_kept(generator: np.random.Generator) -> None:
    rows = 200_000
    level = generator.integers(0, 2, rows)
    other = np.where(generator.random(rows) < 0.05, level, generator.integers(0, 2, rows))
    (relation,) = relations(
        pd.DataFrame({"l1": labels(level), "l2": labels(other)}), [field(name, Kind.CATEGORY) for name in ("l1", "l2")]
    )
    assert relation.p_value < 1e-6
    assert 0 < relation.strength < 0.1
    assert not relation.holds


def test_the_p_value_and_strength_are_those_of_the_literature(generator: np.random.Generator) -> None:
    first = generator.integers(0, 3, ROWS)
    second = np.where(generator.random(ROWS) < 0.1, first, generator.integers(0, 4, ROWS))
    third = generator.integers(0, 2, ROWS)
    columns = {"l1": labels(first), "l2": labels(second), "l3": labels(third)}
    found = relations(pd.DataFrame(columns), [field(name, Kind.CATEGORY) for name in columns])
    crossed = pd.crosstab(first, second)
    expected = stats.chi2_contingency(crossed, correction=False)
    assert found[0].p_value == pytest.approx(expected.pvalue * 3)  # three pairs
    # Bergsma (2013), A bias-correction for Cramér's V and Tschuprow's T, equations 8 to 10.
    spread = expected.statistic / ROWS - 2 * 3 / (ROWS - 1)
    rows, columns_corrected = 3 - 4 / (ROWS - 1), 4 - 9 / (ROWS - 1)
    assert found[0].strength == pytest.approx((spread / min(rows - 1, columns_corrected - 1)) ** 0.5)


def test_rare_labels_and_items_make_no_relation_out_of_noise() -> None:
    shares = 1 / np.arange(1, 61) ** 1.2
    shares /= shares.sum()
    for seed in (0, 6, 7):  # of twelve, those that do where a cell of the table may expect half a user
        generator = np.random.default_rng(seed)
        lists = [
            pd.Series(
                [
                    tuple(generator.choice(60, generator.integers(0, 4), replace=False, p=shares).tolist())
                    for _ in range(ROWS)
                ]
            )
            for _ in range(2)
        ]
        columns = {"s1": lists[0], "s2": lists[1], "l1": labels(generator.choice(60, ROWS, p=shares))}
        assert kept(**columns) == frozenset(), seed


def test_no_two_columns_of_noise_are_related(tmp_path: Path) -> None:
    for seed in range(5):
        history = read(write(tmp_path / "history.csv", noise(ROWS, seed)))
        assert related(relations(table(history), FIELDS)) == frozenset(), seed


@pytest.mark.skipif(not ADS_DATA.exists(), reason="the advertising data set is not beside this checkout")
def test_no_two_columns_of_the_advertising_data_set_are_related() -> None:
    assert related(relations(table(read(ADS_DATA)), FIELDS)) == frozenset()


def relation(first: str, second: str, *, holds: bool) -> Relation:
    return Relation(first, second, 0.0 if holds else 1.0, 0.5 if holds else 0.0)


def test_what_all_columns_are_related_to_but_hardly_to_each_other_is_likely_an_outcome() -> None:
    others = ["a", "b", "c", "d"]
    to_all = [relation("churned", name, holds=True) for name in others]
    apart = [relation(one, other, holds=(one, other) == ("a", "b")) for one, other in combinations(others, 2)]
    assert likely_outcomes([*to_all, *apart], {"churned"}) == ("churned",)
    together = [relation(one, other, holds=True) for one, other in combinations(others, 2)]
    assert likely_outcomes([*to_all, *together], {"churned"}) == ()
    assert likely_outcomes([*to_all, *apart], {"a"}) == ()
    assert likely_outcomes(to_all[:2], {"churned"}) == ()
