from dataclasses import replace

import pytest

from schemas.roles import Kind
from tests.support.effect_values import elsewhere, having, less, more, titles_of
from trainer.explaining.phrases import ADVICE, MORE, Advice
from trainer.explaining.suggestions import suggestion
from trainer.findings import Effect
from trainer.privacy import DEMOGRAPHIC


def said(*effects: Effect, not_named: frozenset[str] = frozenset({DEMOGRAPHIC})) -> str:
    return suggestion(effects, effects, not_named, titles_of(effects))


def test_clicks_without_conversions_are_a_matter_of_the_landing_page() -> None:
    assert said(more("click_through_rate"), less("conversion_rate")) == (
        "They click but rarely convert: review the landing page before buying more impressions."
    )


def test_figures_are_those_of_the_segment() -> None:
    assert said(more("weekend_hours_online", inside=4.44, outside=3.1)) == (
        "Run campaigns at weekends: they are online 4.4 hours per day then, the others 3.1."
    )
    assert said(having("device_usage", "Tablet", 0.5)).startswith("Plan formats for Tablet first (55")


def test_an_interest_is_shown_with_its_ratio_to_the_other_users() -> None:
    travel, pets = having("top_interests", "Travel", 0.5, lift=3.06), having("top_interests", "Pet Care", 0.4, lift=2.8)
    assert said(travel) == "Show Travel creatives: this interest is 3.1 times as common here as among all users."
    assert said(travel, pets) == (
        "Show Travel and Pet Care creatives: these interests are 3.1 and 2.8 times as common here as among all users."
    )
    without = said(having("top_interests", "Golf", 0.4, lift=None))
    assert "times" not in without
    assert "50" in without


def test_there_are_at_most_two_sentences_with_the_strongest_effects_first() -> None:
    text = said(
        more("click_through_rate", 0.5),
        having("device_usage", "Tablet", 0.9),
        more("weekend_hours_online", 1.2),
        less("ad_interaction_seconds", 0.4),
    )
    assert text.index("Tablet") < text.index("weekend")
    assert text.count(".") - text.count("4.4") - text.count("3.1") == 2
    assert "click" not in text


def test_what_fewer_have_is_no_target() -> None:
    assert "Gaming creatives" not in said(having("top_interests", "Gaming", -0.5))
    assert "Plan formats" not in said(having("device_usage", "Tablet", -0.5))


def test_demographic_fields_are_no_target_unless_asked_for() -> None:
    effects = more("age", 0.9), having("gender", "Female")
    assert said(*effects) == "Only demographic fields set them apart, so no action is suggested."
    assert said(*effects, not_named=frozenset()) == (
        "Start from what sets them apart most: Age (around 55-64 against 45-54 elsewhere) and Gender: Female "
        "(55\N{NO-BREAK SPACE}% against 5\N{NO-BREAK SPACE}% elsewhere, 3.1 times the average)."
    )


def test_effects_in_fields_of_another_class_are_repeated_with_their_figures() -> None:
    effects = [
        elsewhere("sessions", "Session Count", Kind.NUMBER),
        elsewhere("plan", "Plan", Kind.CATEGORY, "Premium"),
        elsewhere("region", "Region", Kind.CATEGORY, "North"),
    ]
    assert said(*effects) == (
        "Start from what sets them apart most: "
        "Session Count (0.60 against 0.10 elsewhere) and Plan: Premium (60\N{NO-BREAK SPACE}% against "
        "10\N{NO-BREAK SPACE}% elsewhere)."
    )


def test_advice_on_clicks_devices_and_interests_is_for_the_fields_of_this_project_only() -> None:
    for effect in (
        elsewhere("conversion_rate", "Currency Conversion", Kind.NUMBER),
        elsewhere("device_usage", "Insured Device", Kind.CATEGORY, "yes"),
        replace(elsewhere("rate", "Rate", Kind.SEVERAL_OF, "5 percent"), group="interest"),
    ):
        assert said(effect).startswith("Start from")


def test_nothing_is_suggested_without_an_effect_that_is_outstanding() -> None:
    assert said() == ""
    effects = [more("age"), more("conversion_rate", 0.3)]
    assert suggestion(effects, effects[:1], frozenset({DEMOGRAPHIC}), titles_of(effects)) == ""
    assert said(having("top_interests", "\u202e\x07")) == ""


@pytest.mark.parametrize("advice", ADVICE, ids=lambda advice: advice.sentence)
def test_every_piece_of_advice_can_be_given(advice: Advice) -> None:
    effects = [(more if way is MORE else less)(name) for name, way in advice.signs.items()]
    assert said(*effects) == advice.sentence.format(**{effect.field: effect for effect in effects})
