from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from schemas.roles import Kind, ProfileField
from trainer.fitting.duplicates import duplicates

ROWS = 600
WARDS = np.array(["surgery", "cardio", "ortho"])
CODES = np.array(["S1", "C2", "O3"])


def repeated(columns: Mapping[str, Any]) -> Mapping[str, str]:
    """What duplicates are among these columns: numbers, lists, or else labels."""
    table, fields = {}, []
    for name, values in columns.items():
        kind = Kind.CATEGORY
        if isinstance(values, list):
            kind = Kind.SEVERAL_OF
            table[name] = pd.Series(values, dtype=object)
        elif values.dtype == np.float64:
            kind = Kind.NUMBER
            table[name] = pd.Series(values)
        else:
            table[name] = pd.Series(pd.Categorical(values))
        fields.append(ProfileField(name, name, "behaviour", kind, ()))
    return duplicates(pd.DataFrame(table), fields)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_numbers_that_repeat_another_one_are_duplicates_and_related_ones_are_not(rng: np.random.Generator) -> None:
    wage = np.exp(2 + rng.normal(size=ROWS))
    columns = {
        "hours": np.where(rng.random(ROWS) < 0.2, np.nan, np.log(wage) + 0.3 * rng.normal(size=ROWS)),
        "log_wage": np.where(rng.random(ROWS) < 0.2, np.nan, np.round(np.log(wage), 2)),
        "wage": wage,
        "debt": -wage,
    }
    # The one with the most values counts, or some users would lose theirs.
    assert repeated(columns) == {"log_wage": "wage", "debt": "wage"}


@pytest.mark.parametrize("shared", [2, 100])
def test_a_number_that_other_users_have_repeats_nothing(rng: np.random.Generator, shared: int) -> None:
    score, users = rng.normal(size=ROWS), np.arange(ROWS)
    inside, both = users % 2 == 0, users < shared
    columns = {
        "inpatient": np.where(inside | both, score, np.nan),
        "outpatient": np.where(inside & ~both, np.nan, score),
    }
    assert repeated(columns) == {}


def test_labels_that_are_spelled_alike_are_one_column_though_some_rows_differ(rng: np.random.Generator) -> None:
    ward = WARDS[rng.integers(0, 3, ROWS)].astype(object)
    lacking, other = ward.copy(), ward.copy()
    lacking[9], other[[7, 70]] = None, "cardio"
    # Each spelling would go with two.
    spelled = np.where(rng.random(ROWS) < 0.3, np.char.upper(ward.astype(str)), ward)
    assert repeated({"ward": ward, "typed": spelled, "a": lacking, "b": other}) == dict.fromkeys(
        ("typed", "a", "b"), "ward"
    )


def test_codes_repeat_the_labels_that_they_stand_for_whatever_their_kind(rng: np.random.Generator) -> None:
    groups = rng.integers(0, 3, ROWS)
    columns = {"ward": WARDS[groups], "code": CODES[groups], "number": np.array([7.0, 1.0, 5.0])[groups]}
    assert repeated(columns) == {"code": "ward", "number": "ward"}


def test_labels_that_few_users_have_do_not_agree_because_most_lack_them() -> None:
    users = np.arange(ROWS)
    assert repeated({"pool": np.where(users < 2, "yes", "no"), "boat": np.where(users == 9, "yes", "no")}) == {}


def test_labels_that_hardly_repeat_go_together_by_chance(rng: np.random.Generator) -> None:
    columns = {name: rng.permutation([f"{name} {i // 2}" for i in range(ROWS)]) for name in ("street", "company")}
    assert repeated(columns) == {}


def test_labels_that_follow_the_same_groups_with_a_few_exceptions_are_no_duplicates(rng: np.random.Generator) -> None:
    groups = rng.integers(0, 3, ROWS)
    exception = rng.random((2, ROWS)) < 0.02
    of_ward, of_code = np.where(exception, rng.integers(0, 3, (2, ROWS)), groups)
    assert repeated({"ward": WARDS[of_ward], "code": CODES[of_code]}) == {}


def test_equal_lists_are_one_column(rng: np.random.Generator) -> None:
    lists = [tuple(rng.choice(["a", "b", "c", "d"], rng.integers(0, 4), replace=False).tolist()) for _ in range(ROWS)]
    others = [tuple(rng.permutation(items).tolist()) for items in lists]
    assert repeated({"classes": lists, "courses": others}) == {"courses": "classes"}
