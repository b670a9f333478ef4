from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from models.encoding import Encoder, Floats
from schemas import UserProfile
from schemas.roles import profile_fields
from tests.support.samples import sample_of
from trainer.fitting.sample import Sample
from trainer.judging.null_model import _latent_vectors, learn_null

FIELDS = profile_fields(UserProfile)
DEVICES = ("Desktop Only", "Mobile + Desktop", "Mobile Only", "Tablet")
ROWS = 2_000

Values = Mapping[str, Sequence[Any]]


def one_factor(seed: int = 0, rows: int = ROWS) -> Values:
    """Users behind whom one hidden trait stands, in columns of all kinds; devices are ordered by it, not by name."""
    generator = np.random.default_rng(seed)
    trait = generator.normal(size=rows)

    def leaning(strength: float) -> Floats:
        leaned: Floats = strength * trait + np.sqrt(1 - strength**2) * generator.normal(size=rows)
        return leaned

    ages, levels = FIELDS[0].levels, ("Tablet", "Desktop Only", "Mobile Only", "Mobile + Desktop")
    return {
        "age": [ages[int(place)] for place in np.clip(np.rint(2.5 + leaning(0.8)), 0, 5)],
        "device_usage": [levels[int(place)] for place in np.clip(np.floor(2 + leaning(0.9)), 0, 3)],
        "likes_and_reactions": np.rint(np.exp(leaning(0.7))).tolist(),
        "click_through_rate": np.where(generator.random(rows) < 0.3, 0.0, 1 + leaning(-0.6) ** 2).tolist(),
        "top_interests": [
            tuple(item for item, liked in (("Gaming", games > 0.5), ("Travel", trips > 1)) if liked)
            for games, trips in zip(leaning(0.8), leaning(-0.7), strict=True)
        ],
    }


@pytest.fixture(scope="module")
def sample() -> Sample:
    return sample_of(one_factor(), FIELDS)


def start_of(encoder: Encoder, name: str) -> int:
    names = [column.name for column in encoder.kept]
    return sum(column.width for column in encoder.kept[: names.index(name)])


def test_every_column_keeps_its_values_and_rows_of_labels_stay_whole(sample: Sample) -> None:
    drawn = learn_null(sample).draw(np.random.default_rng(1))
    assert drawn.shape == sample.scaled.shape
    assert np.array_equal(np.sort(drawn, axis=0), np.sort(sample.scaled, axis=0))
    devices = slice(at := start_of(sample.encoder, "device_usage"), at + len(DEVICES))
    known = {row.tobytes() for row in np.ascontiguousarray(sample.scaled[:, devices])}
    assert {row.tobytes() for row in np.ascontiguousarray(drawn[:, devices])} == known


def test_a_draw_is_what_the_encoder_makes_of_columns_in_another_order() -> None:
    alone = sample_of({"likes_and_reactions": one_factor()["likes_and_reactions"]}, FIELDS)
    drawn = learn_null(alone).draw(np.random.default_rng(1))
    order = np.lexsort((np.arange(ROWS), drawn[:, 0]))
    values = np.empty(ROWS)
    values[order] = np.sort(alone.table["likes_and_reactions"])
    again = alone.encoder.scale(alone.encoder.encode({"likes_and_reactions": values.tolist()}).matrix)
    assert np.array_equal(drawn, again)


def test_the_rank_correlations_of_the_draws_are_those_of_the_data(sample: Sample) -> None:
    null = learn_null(sample)
    encoder = sample.encoder

    def ranks(scaled: Floats) -> Floats:
        at = start_of(encoder, "device_usage")
        # The levels in alphabetical order are places 1, 3, 2 and 0 along the trait.
        devices = np.argmax(scaled[:, at : at + 4], axis=1)
        others = np.delete(scaled, slice(at, at + 4), axis=1)
        return np.column_stack([np.array([1, 3, 2, 0])[devices], others])

    wanted = spearmanr(ranks(sample.scaled)).statistic
    reached = np.mean(
        [spearmanr(ranks(null.draw(np.random.default_rng(seed)))).statistic for seed in range(40)], axis=0
    )
    assert np.abs(wanted - np.eye(len(wanted))).max() > 0.5
    # 40 draws of 2,000 rows: a standard error of 0.0035.
    assert reached == pytest.approx(wanted, abs=0.015)


def test_levels_are_ordered_by_what_else_their_users_have_not_by_name(sample: Sample) -> None:
    null = learn_null(sample)
    at = start_of(sample.encoder, "device_usage")
    (variable,) = (i for i, block in enumerate(null.blocks) if block.start == at)
    along = np.argmax(sample.scaled[null.ordered_rows[variable], at : at + 4], axis=1)
    places = [along[0], *along[1:][np.diff(along) != 0]]
    trait = [DEVICES.index(name) for name in ("Tablet", "Desktop Only", "Mobile Only", "Mobile + Desktop")]
    assert places in (trait, trait[::-1])


def test_nothing_remains_of_groups_but_how_strongly_their_columns_are_related() -> None:
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 3, ROWS)
    centres = np.array([[0.0, 1.0, 0.5], [0.5, 0.0, 1.0], [1.0, 0.5, 0.0]])
    names = ("click_through_rate", "conversion_rate", "weekday_hours_online")
    values = centres[groups] + 0.02 * generator.normal(size=(ROWS, 3))
    planted = sample_of({name: values[:, j].tolist() for j, name in enumerate(names)}, FIELDS)
    drawn = learn_null(planted).draw(np.random.default_rng(0))
    # In the data, whoever is low in one column is middle in one and high in another; three of the six ways occur.
    thirds = np.argsort(np.argsort(drawn, axis=0), axis=0) * 3 // ROWS
    ways = [(thirds == way).all(axis=1).mean() for way in ((0, 2, 1), (1, 0, 2), (2, 1, 0))]
    assert sum(ways) < 0.5


def test_equal_seeds_draw_equal_data_and_others_do_not(sample: Sample) -> None:
    first, again, other = (learn_null(sample).draw(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_does_not_vary_in_the_sample_stays(sample: Sample) -> None:
    columns = dict(one_factor())
    columns["top_interests"] = [(*items, "Music") for items in columns["top_interests"]]
    with_music = sample_of(columns, FIELDS)
    drawn = learn_null(with_music).draw(np.random.default_rng(0))
    assert (drawn[:, start_of(with_music.encoder, "top_interests") + 1] == 0).all()


def test_columns_that_say_the_same_stay_together() -> None:
    generator = np.random.default_rng(0)
    rates = generator.uniform(size=2_000)
    twice = sample_of(
        {
            "click_through_rate": rates.tolist(),
            "conversion_rate": (rates / 2).tolist(),
            "weekday_hours_online": (1 - rates).tolist(),
            "weekend_hours_online": generator.uniform(size=2_000).tolist(),
        },
        FIELDS,
    )
    drawn = learn_null(twice).draw(generator)
    weekday, weekend, clicks, conversions = rankdata(drawn, axis=0).T
    assert [np.corrcoef(clicks, other)[0, 1] for other in (conversions, weekday, weekend)] == pytest.approx(
        [1, -1, 0], abs=0.1
    )
    assert np.corrcoef(clicks, conversions)[0, 1] > 0.99


def test_items_of_pools_that_exclude_each_other_come_no_more_often_together_than_in_the_data() -> None:
    generator = np.random.default_rng(0)
    pools = [[f"{pool} {item}" for item in range(5)] for pool in ("Art", "Games", "Travel")]
    items = [tuple(generator.choice(pools[i % 3], generator.integers(2, 4), replace=False)) for i in range(600)]
    sample = sample_of({"top_interests": items}, FIELDS)
    null = learn_null(sample)
    drawn = np.array([np.corrcoef(null.draw(generator).T) for _ in range(10)]).mean(axis=0)
    same_pool = np.kron(np.eye(3), np.ones((5, 5))) - np.eye(15) > 0
    wanted = np.array(np.corrcoef(sample.scaled.T))
    # No cloud has all of these at once. The nearest on the latent scale has the items of one pool come by .86.
    assert drawn[same_pool].mean() == pytest.approx(wanted[same_pool].mean(), abs=0.15)
    assert np.sqrt(np.mean((drawn - wanted) ** 2)) < 0.12


def test_items_of_which_a_user_has_exactly_one_exclude_each_other_as_far_as_a_cloud_can() -> None:
    generator = np.random.default_rng(0)
    items = [(str(item),) for item in generator.choice(["Art", "Books", "Cars"], 600)]
    sample = sample_of({"top_interests": items}, FIELDS)
    drawn = learn_null(sample).draw(generator) > 0
    assert drawn.mean(axis=0) == pytest.approx((sample.scaled > 0).mean(axis=0))
    # In the data −0.5, which needs three latent correlations of −1; no three variables have more than −0.5.
    correlations = np.array(np.corrcoef(drawn.T))[np.triu_indices(3, 1)]
    assert correlations == pytest.approx(3 * [-0.3], abs=0.1)


def test_ties_are_drawn_as_ties() -> None:
    columns = {name: one_factor()[name] for name in ("click_through_rate", "likes_and_reactions")}
    sample = sample_of(columns, FIELDS)
    drawn = learn_null(sample).draw(np.random.default_rng(0))
    assert [len(np.unique(column)) for column in drawn.T] == [len(np.unique(column)) for column in sample.scaled.T]


@pytest.mark.parametrize("latent", [-0.9, -0.4, 0.0, 0.4, 0.9])
def test_the_latent_correlation_of_two_halves_is_that_of_sheppard(latent: float) -> None:
    rows = 20_000
    # The share of rows in both upper halves, of normal variables with that correlation (Sheppard 1899).
    both = round(rows * (1 / 4 + np.arcsin(latent) / (2 * np.pi)))
    one = np.arange(rows) < rows // 2
    other = np.concatenate([np.arange(rows // 2) < both, np.arange(rows // 2) < rows // 2 - both])
    first, second = _latent_vectors(rankdata([one, other], axis=1))
    assert first @ second == pytest.approx(latent, abs=0.01)


@pytest.mark.parametrize("latent", [-0.95, 0.3, 0.95])
def test_the_latent_correlation_of_numbers_without_ties_is_that_of_pearson(latent: float) -> None:
    draws = np.random.default_rng(0)
    one = draws.normal(size=3_000)
    other = latent * one + np.sqrt(1 - latent**2) * draws.normal(size=3_000)
    ranks = rankdata([one, other], axis=1)
    # Pearson 1907: the latent correlation of a rank correlation r is 2 sin(πr / 6).
    expected = 2 * np.sin(np.pi * np.corrcoef(ranks)[0, 1] / 6)
    first, second = _latent_vectors(ranks)
    assert first @ second == pytest.approx(expected, abs=0.002)
