import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from schemas.roles import Kind, ProfileField
from tests.support.samples import as_given, divided, sample_of
from trainer.explaining.division import Division
from trainer.explaining.effects import effects, strength
from trainer.findings import Effect, Measure

TRUTH = np.repeat([0, 1, 2], [200, 120, 80])


def field(name: str, kind: Kind, *levels: str) -> ProfileField:
    return ProfileField(name, name.title(), "behaviour", kind, levels)


def division(name: str, kind: Kind, values: Any, *levels: str) -> Division:
    return as_given(sample_of({name: values}, [field(name, kind, *levels)]), TRUTH[: len(values)])


def test_a_number_differs_by_its_mean_in_standard_deviations_of_all_users() -> None:
    generator = np.random.default_rng(1)
    values = generator.normal(size=400) + 2.0 * (TRUTH == 1)
    found = effects(division("hours", Kind.NUMBER, values.tolist()), frozenset({"hours"}))
    inside, outside = values[TRUTH == 1], values[TRUTH != 1]
    (effect,) = found[1]
    assert effect.size == pytest.approx((inside.mean() - outside.mean()) / values.std())
    assert [effect.inside, effect.outside] == pytest.approx([inside.mean(), outside.mean()])
    assert 0.3 < effect.low < effect.size < effect.high
    assert (effect.measure, effect.header, effect.level, effect.lift) == (
        Measure.STANDARDISED_DIFFERENCE, "Hours", None, None,
    )  # fmt: skip
    assert found[0][0].size < 0


def test_an_ordered_field_differs_by_who_is_higher_more_often() -> None:
    generator = np.random.default_rng(1)
    levels = ("low", "middle", "high", "top")
    places = np.clip(generator.integers(0, 3, 400) + (TRUTH == 2), 0, 3)
    labels = [levels[place] for place in places]
    labels[0] = "unheard of"
    known = np.arange(400) > 0
    found = effects(division("plan", Kind.ORDERED, labels, *levels), frozenset({"plan"}))
    inside, outside = places[known & (TRUTH == 2)], places[known & (TRUTH != 2)]
    (effect,) = found[2]
    assert effect.size == pytest.approx(np.sign(inside[:, None] - outside[None, :]).mean())
    assert [effect.inside, effect.outside] == pytest.approx([inside.mean(), outside.mean()])
    assert effect.measure is Measure.CLIFFS_DELTA


def test_a_label_differs_in_share_and_is_lifted_over_all_users() -> None:
    labels = np.where(np.arange(400) % 4 == 0, "web", "shop")
    labels[TRUTH == 1] = np.where(np.arange(120) % 4 == 0, "shop", "web")
    found = effects(division("channel", Kind.CATEGORY, labels.tolist()), frozenset({"channel"}))
    by_level = {effect.level: effect for effect in found[1]}
    web = by_level["web"]
    assert [web.inside, web.outside, web.size] == pytest.approx([0.75, 0.25, 0.5])
    assert web.lift == pytest.approx(0.75 / ((90 + 70) / 400))
    assert web.measure is Measure.SHARE_DIFFERENCE
    assert by_level["shop"].size == pytest.approx(-0.5)


def test_a_lift_needs_20_users_to_be_expected() -> None:
    lists = [("golf",) if (user % 20 == 0 or TRUTH[user] == 2) and user % 3 else () for user in range(400)]
    found = effects(division("sports", Kind.SEVERAL_OF, lists), frozenset({"sports"}))
    (golf,) = found[2]
    share = sum(map(len, lists)) / 400
    assert share * 80 < 20
    assert (golf.level, golf.lift) == ("golf", None)


def test_an_effect_of_noise_or_of_no_size_is_left_out() -> None:
    generator = np.random.default_rng(3)
    noise = np.concatenate([generator.normal(size=30), 0.4 + generator.normal(size=30)])
    noise += (0.35 - (noise[30:].mean() - noise[:30].mean())) * (np.arange(60) >= 30)
    few = Division(
        sample_of({"hours": noise.tolist()}, [field("hours", Kind.NUMBER)]),
        labels := np.repeat([0, 1], 30),
        as_given(sample_of({"hours": noise.tolist()}, [field("hours", Kind.NUMBER)]), labels).resamples,
        (0, 1),
        (30, 30),
    )
    size = (noise[:30].mean() - noise[30:].mean()) / noise.std()
    assert abs(size) > 0.3  # large enough, but the interval has 0 in it
    assert effects(few, frozenset({"hours"})) == {0: (), 1: ()}
    # Sure, but too small: a quarter of a standard deviation among 400.
    values = np.tile([-1.0, 1.0], 200) + 0.12 * (TRUTH == 0) - 0.12 * (TRUTH != 0)
    assert effects(division("hours", Kind.NUMBER, values.tolist()), frozenset({"hours"})) == {0: (), 1: (), 2: ()}


def test_only_the_fields_named_have_effects_and_the_strongest_stands_first() -> None:
    generator = np.random.default_rng(1)
    columns: dict[str, Any] = {
        "weak": (generator.normal(size=400) + 1.0 * (TRUTH == 0)).tolist(),
        "label": np.where(generator.random(400) < np.where(TRUTH == 0, 0.95, 0.30), "a", "b").tolist(),
        "strong": (generator.normal(size=400) + 9.0 * (TRUTH == 0)).tolist(),
        "dead": (generator.normal(size=400) + 9.0 * (TRUTH == 0)).tolist(),
    }
    fields = [field(name, Kind.CATEGORY if name == "label" else Kind.NUMBER) for name in columns]
    found = effects(as_given(sample_of(columns, fields), TRUTH), frozenset({"weak", "label", "strong"}))
    assert [effect.field for effect in found[0]] == ["strong", "label", "weak"]
    strengths = [strength(effect) for effect in found[0]]
    assert strengths == sorted(strengths, reverse=True)


def test_strength_is_the_chance_to_be_higher_less_that_to_be_lower() -> None:
    generator = np.random.default_rng(1)
    one, other = generator.normal(size=2_000) + 0.8, generator.normal(size=2_000)
    delta = np.sign(one[:, None] - other[None, :]).mean()
    effect = Effect(
        "f", "F", "g", Kind.NUMBER, None, Measure.STANDARDISED_DIFFERENCE, -0.8, -1.0, -0.6, 0.0, 0.8, None
    )  # fmt: skip
    assert strength(effect) == pytest.approx(delta, abs=0.02)
    assert strength(replace(effect, measure=Measure.CLIFFS_DELTA, size=-0.4)) == 0.4
    assert strength(replace(effect, measure=Measure.SHARE_DIFFERENCE, size=0.3)) == 0.3


def test_a_cell_of_under_20_users_is_left_out_and_few_others_count_as_20() -> None:
    # 19 of segment 2 have "rare", nobody else: no effect may say so.
    labels = np.full(400, "usual", dtype=object)
    labels[np.flatnonzero(TRUTH == 2)[:19]] = "rare"
    labels[np.flatnonzero(TRUTH == 1)] = "own"
    labels[:3] = "own"
    found = effects(division("device", Kind.CATEGORY, labels.tolist()), frozenset({"device"}))
    assert "rare" not in {effect.level for each in found.values() for effect in each}
    own = {effect.level: effect for effect in found[1]}["own"]
    assert [own.inside, own.outside] == pytest.approx([1.0, 20 / 280])
    assert own.size == pytest.approx(1 - 20 / 280)
    assert own.high <= own.size
    assert own.lift == pytest.approx(1.0 / (140 / 400))  # of what is told, not of the 123 there are
    # 20 of them may be told.
    labels[np.flatnonzero(TRUTH == 2)[:20]] = "rare"
    found = effects(division("device", Kind.CATEGORY, labels.tolist()), frozenset({"device"}))
    assert "rare" in {effect.level for effect in found[2]}


@pytest.mark.parametrize("without", [1, 19, 20])
def test_if_fewer_than_20_lack_a_label_20_are_reported(without: int) -> None:
    labels = np.where(TRUTH == 1, "own", "usual").astype(object)
    labels[np.flatnonzero(TRUTH == 1)[:without]] = "usual"
    labels[np.flatnonzero(TRUTH == 0)[:60]] = "own"
    found = effects(division("device", Kind.CATEGORY, labels.tolist()), frozenset({"device"}))
    own = {effect.level: effect for effect in found[1]}["own"]
    assert [own.inside, own.outside] == pytest.approx([100 / 120, 60 / 280])
    assert own.size == pytest.approx(own.inside - own.outside)


def test_the_others_of_one_segment_are_no_way_around_the_20_of_the_next() -> None:
    labels = np.where(np.arange(200) < 100, "shop", "web").astype(object)
    labels[[*range(30), 100]] = "web", *["web"] * 29, "shop"
    sample = sample_of({"device": labels.tolist()}, [field("device", Kind.CATEGORY)])
    found = effects(as_given(sample, np.repeat([0, 1], 100)), frozenset({"device"}))
    web = {effect.level: effect for effect in found[0]}["web"]
    assert [web.inside, web.outside, web.size] == pytest.approx([0.3, 0.8, -0.5])


def test_a_share_that_is_reported_lower_does_not_reverse_a_difference() -> None:
    # 21 of 25 have it, and three in five of the others. As if 20 had it not, it would be 5 of 25: fewer.
    truth = np.repeat([0, 1], [375, 25])
    labels = np.where(np.arange(400) % 5 < 3, "own", "usual").astype(object)
    labels[truth == 1] = ["own"] * 21 + ["usual"] * 4
    sample = sample_of({"device": labels.tolist()}, [field("device", Kind.CATEGORY)])
    found = effects(as_given(sample, truth), frozenset({"device"}))
    assert "own" not in {effect.level for each in found.values() for effect in each}


def test_a_segment_of_under_20_users_has_no_effects() -> None:
    values = (10.0 * (TRUTH == 2) + np.arange(400) % 7).tolist()
    whole = division("hours", Kind.NUMBER, values)
    assert effects(whole, frozenset({"hours"}))[2]
    small = replace(whole, users=(20_000, 12_000, 19))
    assert effects(small, frozenset({"hours"}))[2] == ()


def test_in_a_large_history_a_cell_is_shown_if_it_surely_holds_20_users() -> None:
    labels = np.full(400, "usual", dtype=object)
    labels[np.flatnonzero(TRUTH == 2)[:12]] = "rare"
    sample = division("device", Kind.CATEGORY, labels.tolist())
    fields = frozenset({"device"})
    assert "rare" not in {effect.level for effect in effects(sample, fields)[2]}
    # About ten times as many users: some 120 of them have it, 50 for sure.
    large = replace(sample, users=(2_000, 1_200, 800))
    assert large.users_at_least(np.array([4.0, 9.0, 12.0])).tolist() == [0, 30, 50]
    assert "rare" in {effect.level for effect in effects(large, fields)[2]}


def test_a_segment_that_resamples_do_not_find_again_has_no_effects() -> None:
    generator = np.random.default_rng(1)
    values = generator.normal(size=400) + 5.0 * (TRUTH == 2)
    sample = sample_of({"hours": values.tolist()}, [field("hours", Kind.NUMBER)])
    whole = as_given(sample, TRUTH)
    lost = tuple(replace(each, labels=np.minimum(each.labels, 1)) for each in whole.resamples)
    assert effects(whole, frozenset({"hours"}))[2]
    assert effects(replace(whole, resamples=lost), frozenset({"hours"}))[2] == ()


def test_one_extreme_cell_hides_no_difference() -> None:
    generator = np.random.default_rng(1)
    values = generator.normal(size=400) + 3.0 * (TRUTH == 2)
    sample = sample_of({"hours": values.tolist()}, [field("hours", Kind.NUMBER)])
    sample.table.loc[0, "hours"] = 1e12
    (effect,) = effects(as_given(sample, TRUTH), frozenset({"hours"}))[2]
    assert effect.size > 1
    assert effect.outside < 1


def test_effects_are_listed_by_stable_number() -> None:
    generator = np.random.default_rng(1)
    values = np.concatenate([generator.normal(size=100), generator.normal(size=60) + 9]).tolist()
    found = divided(sample_of({"hours": values}, [field("hours", Kind.NUMBER)]), 2)
    told = effects(replace(found, numbers=(7, 4)), frozenset({"hours"}))
    assert set(told) == {7, 4}
    index = int(found.labels[-1])
    assert told[(7, 4)[index]][0].size > 0
    assert math.copysign(1, told[(7, 4)[1 - index]][0].size) == -1


def test_an_ordered_field_in_which_a_segment_is_higher_more_often_but_lower_on_average_does_not_set_it_apart() -> None:
    levels = ("low", "middle", "high", "top")
    places = np.where(TRUTH == 2, np.where(np.arange(400) % 20 < 13, 3, 0), 2)
    inside, outside = places[TRUTH == 2], places[TRUTH != 2]
    assert np.sign(inside[:, None] - outside[None, :]).mean() > 0.2
    assert inside.mean() < outside.mean()
    found = effects(division("plan", Kind.ORDERED, [levels[place] for place in places], *levels), frozenset({"plan"}))
    assert found[2] == ()
