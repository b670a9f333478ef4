import numpy as np

from demo.population import Population
from models.manifest import Verdict
from tests.support.effect_values import having, more
from tests.support.histories import FIELDS
from tests.support.samples import as_given, divided, sample_of
from trainer.explaining.cards import cards
from trainer.explaining.division import Division
from trainer.explaining.effects import effects
from trainer.explaining.field_tests import field_tests, surviving
from trainer.privacy import DEMOGRAPHIC

NOT_NAMED = frozenset({DEMOGRAPHIC})
EFFECTS = {4: (having("device_usage", "Tablet"), more("age", 0.5)), 1: (), 7: (more("conversion_rate"),)}


def division() -> Division:
    whole = as_given(
        sample_of({"conversion_rate": [0.0, 0.1, 0.2]}, [field for field in FIELDS if field.kind == "number"]),
        np.arange(3),
    )
    return Division(whole.sample, whole.labels, whole.resamples, (4, 1, 7), (300, 100, 600))


def test_a_card_a_segment_largest_first() -> None:
    found = cards(division(), EFFECTS, (20, 3, 0), Verdict.WEAK, {}, NOT_NAMED)
    assert [(card.segment, card.name, card.users, card.share) for card in found] == [
        (7, "High conversion", 600, 0.6),
        (4, "Tablet", 300, 0.3),
        (1, "Segment 1", 100, 0.1),
    ]
    assert [card.outliers for card in found] == [None, 20, None]
    # Who they are is told, though it gives neither name nor use.
    assert found[1].effects == EFFECTS[4]
    assert "older" not in found[1].suggestion


def test_an_effect_that_is_weak_next_to_another_segments_is_shown_but_gives_no_suggestion() -> None:
    weak, strong = more("conversion_rate", 0.35), more("conversion_rate", 1.5)
    found = {
        card.segment: card
        for card in cards(division(), {4: (weak,), 1: (strong,)}, (0, 0, 0), Verdict.WEAK, {}, NOT_NAMED)
    }
    assert (found[4].effects, found[4].name, found[4].suggestion) == ((weak,), "Segment 4", "")
    assert found[1].suggestion


def test_without_segments_cards_have_neither_effects_nor_suggestions() -> None:
    found = cards(division(), EFFECTS, (20, 3, 0), Verdict.NONE, {4: "Our friends"}, NOT_NAMED)
    assert [(card.name, card.effects, card.suggestion) for card in found] == [
        ("Segment 7", (), ""), ("Our friends", (), ""), ("Segment 1", (), ""),
    ]  # fmt: skip


def test_planted_groups_are_called_by_what_was_planted() -> None:
    (block,) = Population(1_000).blocks()
    unrelated = [field.name for field in FIELDS if field.group == DEMOGRAPHIC]
    planted = divided(sample_of(block.profiles, FIELDS, unrelated), 5)
    found = effects(planted, surviving(field_tests(planted.sample, planted.labels, 0)))
    names = [card.name for card in cards(planted, found, (0,) * 5, Verdict.CLEAR, {}, NOT_NAMED)]
    assert names == [
        "Few weekend hours, Travel and Adventure",  # short ad views are as true of those with tablets
        "Tablet, weekend-heavy",
        "Long hours online, many follows",
        "High conversion, high click-through",
        "Long hours online, Desktop Only",
    ]
