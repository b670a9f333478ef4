from typing import Any

import numpy as np
import pandas as pd
import pytest

from schemas.roles import Kind, ProfileField
from tests.support.samples import as_given, sample_of
from trainer.explaining.proxies import proxies
from trainer.findings import Proxy
from trainer.fitting.relations import relations

TRUTH = np.repeat([0, 1, 2], [300, 200, 100])
GENERATOR = np.random.default_rng(1)
LEVELS = ("low", "middle", "high")


def field(name: str, kind: Kind, *levels: str, group: str = "demographic") -> ProfileField:
    return ProfileField(name, name.title(), group, kind, levels)


@pytest.fixture(scope="module")
def found() -> dict[str, Proxy]:
    same = np.where(GENERATOR.random(600) < 0.5, TRUTH, GENERATOR.integers(0, 3, 600))
    columns: dict[str, Any] = {
        "told": [LEVELS[i] for i in same],
        "free": [LEVELS[i] for i in GENERATOR.integers(0, 3, 600)],
        "many": [f"label {i}" for i in GENERATOR.integers(0, 12, 600)],
        "copy": [f"label {i}" for i in TRUTH],
        "years": ((TRUTH - 1.0) ** 2 + 0.1 * GENERATOR.normal(size=600)).tolist(),
        "items": [
            tuple(item for item in "abc" if GENERATOR.random() < (0.8 if item == "b" and group else 0.2))
            for group in TRUTH
        ],
        "names": [f"name {i}" for i in range(600)],
        "clicks": TRUTH.tolist(),
    }
    fields = [
        field("told", Kind.ORDERED, *LEVELS),
        field("free", Kind.ORDERED, *LEVELS),
        field("many", Kind.CATEGORY),
        field("copy", Kind.CATEGORY),
        field("years", Kind.NUMBER),
        field("items", Kind.SEVERAL_OF),
        field("names", Kind.CATEGORY),
        field("clicks", Kind.NUMBER, group="behaviour"),
    ]
    return {each.field: each for each in proxies(as_given(sample_of(columns, fields), TRUTH))}


def test_every_demographic_field_is_reported_and_no_other(found: dict[str, Proxy]) -> None:
    assert [*found] == ["told", "free", "many", "copy", "years", "items", "names"]
    assert found["told"].header == "Told"


def test_a_strength_is_the_cramers_v_of_segments_and_field_with_its_interval(found: dict[str, Proxy]) -> None:
    for each in found.values():
        assert 0 <= each.low <= each.strength <= each.high <= 1
    assert found["copy"].strength == pytest.approx(1)
    assert found["copy"].low == pytest.approx(1)
    assert 0.3 < found["told"].low < found["told"].strength < found["told"].high < 0.7
    # A number may be related in any shape: both ends of it make one segment out of two here.
    assert found["years"].low > 0.5
    assert found["items"].low > 0.3


def test_a_field_that_has_nothing_to_do_with_the_segments_has_an_interval_from_0(found: dict[str, Proxy]) -> None:
    assert (found["free"].low, found["many"].low, found["names"].high) == (0.0, 0.0, 0.0)
    assert max(found["free"].strength, found["many"].strength) < 0.1


def test_the_strength_is_that_of_two_columns_that_are_related() -> None:
    same = np.where(GENERATOR.random(600) < 0.3, TRUTH, GENERATOR.integers(0, 3, 600))
    kept = field("label", Kind.CATEGORY)
    columns: dict[str, Any] = {"label": [str(i) for i in same]}
    (proxy,) = proxies(as_given(sample_of(columns, [kept]), TRUTH))
    table = pd.DataFrame({"label": pd.Categorical(columns["label"]), "segment": pd.Categorical(TRUTH)})
    (relation,) = relations(table, [kept, field("segment", Kind.CATEGORY)])
    assert proxy.strength == pytest.approx(relation.strength)
