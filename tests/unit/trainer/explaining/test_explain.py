from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from models.manifest import Verdict
from schemas.roles import Kind, ProfileField
from tests.support.samples import as_given, divided, sample_of
from trainer.explaining.explain import Explained, explain
from trainer.findings import Card


def number(name: str, header: str) -> ProfileField:
    return ProfileField(name, header, "behaviour", Kind.NUMBER, ())


def explained(columns: Mapping[str, Sequence[float]], fields: Sequence[ProfileField], k: int) -> Explained:
    return explain(divided(sample_of(columns, fields), k), (0,) * k, Verdict.CLEAR, (), {}, frozenset(), 0)


def test_five_groups_in_two_columns_are_each_named_by_what_is_strongest_in_them() -> None:
    generator = np.random.default_rng(1)
    # As shoppers are: four groups at the corners around the largest, which is a little below the mean income.
    centres = np.array([[55, 50], [25, 20], [25, 80], [88, 18], [88, 82]])
    points = np.repeat(centres, [80, 25, 25, 35, 35], axis=0) + generator.normal(0, 5, (200, 2))
    columns = {"income": points[:, 0].tolist(), "score": points[:, 1].tolist()}
    found = explained(columns, [number("income", "Annual Income (k$)"), number("score", "Spending Score (1-100)")], 5)
    # Each is a test of one column against clusters of the other.
    assert [test.survives for test in found.tests] == [True, True]
    assert parts_of(found.cards[0]) == {"medium annual income", "medium spending score"}
    assert {frozenset(parts_of(card)) for card in found.cards[1:]} == {
        frozenset({f"{income} annual income", f"{score} spending score"})
        for income in ("low", "high")
        for score in ("low", "high")
    }


def test_where_no_field_passes_alone_segments_are_named_by_their_centres() -> None:
    generator = np.random.default_rng(1)
    corners = np.array([[0, 0], [0, 9], [9, 0], [9, 9]])
    points = np.repeat(corners, 50, axis=0) + generator.normal(size=(200, 2))
    found = explained({"a": points[:, 0].tolist(), "b": points[:, 1].tolist()}, [number("a", "a"), number("b", "b")], 4)
    assert [test.survives for test in found.tests] == [False, False]
    assert {frozenset(parts_of(card)) for card in found.cards} == {
        frozenset({f"{a} a", f"{b} b"}) for a in ("low", "high") for b in ("low", "high")
    }


def test_a_segment_that_some_resamples_do_not_find_is_described_by_its_centre() -> None:
    generator = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [90, 70, 60])
    columns = {
        "visits": generator.normal([0, 0, 5], size=(220, 3))[np.arange(220), labels].tolist(),
        "basket": generator.normal([0, 5, 5], size=(220, 3))[np.arange(220), labels].tolist(),
    }
    whole = as_given(sample_of(columns, [number("visits", "Visits"), number("basket", "Basket")]), labels)
    # In a tenth of the resamples, the third segment is not found.
    lost = [replace(each, labels=np.minimum(each.labels, 1)) for each in whole.resamples[:5]]
    division = replace(whole, resamples=(*lost, *whole.resamples[5:]))
    found = explain(division, (0,) * 3, Verdict.WEAK, (), {}, frozenset(), 0)
    assert [test.survives for test in found.tests] == [True, True]
    *others, third = found.cards
    assert "high visits" in parts_of(third)
    assert not any(effect.is_certain for effect in third.effects)
    assert all(effect.is_certain for card in others for effect in card.effects)


def parts_of(card: Card) -> set[str]:
    return {*card.name.casefold().split(", ")}


@pytest.mark.parametrize(("verdict", "users"), [(Verdict.NONE, 0), (Verdict.WEAK, 120)])
def test_with_verdict_none_no_user_is_on_a_map(verdict: Verdict, users: int) -> None:
    generator = np.random.default_rng(1)
    shifts = {"a": 9, "b": 5}
    columns = {
        name: (generator.normal(size=120) + shift * (np.arange(120) < 60)).tolist() for name, shift in shifts.items()
    }
    fields = [ProfileField(name, name, "behaviour", Kind.NUMBER, ()) for name in columns]
    found = explain(divided(sample_of(columns, fields), 2), (0, 0), verdict, (), {}, frozenset(), 0)
    assert (len(found.map.x), len(found.map.y), len(found.map.segment)) == (users, users, users)
    assert bool(found.heat) == bool(users)
