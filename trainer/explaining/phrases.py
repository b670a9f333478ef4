"""What effects are called in a name, and what marketing might do with them.

Only this module knows fields by name: those of this project's profile class, in plain words. An effect in any other
field is named after its header and label.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from schemas.roles import Kind
from trainer.findings import Effect
from trainer.text.wording import shortened

LONGEST_PHRASE = 30


class Direction(Enum):
    """Which way a segment differs in a number or ordered field."""

    MORE = 1
    LESS = -1


MORE, LESS = Direction.MORE, Direction.LESS

Signs = Mapping[str, Direction]
"""Field names of numbers and ordered fields, and which way a segment differs in each."""


@dataclass(frozen=True, slots=True)
class Together:
    """A phrase for several effects at once."""

    signs: Signs
    phrase: str


@dataclass(frozen=True, slots=True)
class Advice:
    """A sentence that these effects support."""

    signs: Signs
    sentence: str
    """With the effects under their field names, for str.format."""


PHRASES: Mapping[str, Mapping[Direction, str]] = {
    "age": {MORE: "older", LESS: "younger"},
    "education_level": {MORE: "longer education", LESS: "shorter education"},
    "income_level": {MORE: "higher income", LESS: "lower income"},
    "likes_and_reactions": {MORE: "many likes", LESS: "few likes"},
    "followed_accounts": {MORE: "many follows", LESS: "few follows"},
    "weekday_hours_online": {MORE: "many weekday hours", LESS: "few weekday hours"},
    "weekend_hours_online": {MORE: "many weekend hours", LESS: "few weekend hours"},
    "click_through_rate": {MORE: "high click-through", LESS: "low click-through"},
    "conversion_rate": {MORE: "high conversion", LESS: "low conversion"},
    "ad_interaction_seconds": {MORE: "long ad views", LESS: "short ad views"},
}

TOGETHER = (
    Together({"weekend_hours_online": MORE, "weekday_hours_online": LESS}, "weekend-heavy"),
    Together({"weekend_hours_online": LESS, "weekday_hours_online": MORE}, "weekday-heavy"),
    Together({"weekend_hours_online": MORE, "weekday_hours_online": MORE}, "long hours online"),
    Together({"weekend_hours_online": LESS, "weekday_hours_online": LESS}, "short hours online"),
)

# The first match uses up its effects, so more specific ones come first.
ADVICE = (
    Advice(
        {"click_through_rate": MORE, "conversion_rate": LESS},
        "They click but rarely convert: review the landing page before buying more impressions.",
    ),
    Advice(
        {"click_through_rate": LESS, "conversion_rate": MORE},
        "They rarely click, but convert more often when they do: try creatives that attract more clicks.",
    ),
    Advice(
        {"click_through_rate": MORE, "conversion_rate": MORE},
        "They click and convert more often than the others: try more budget here first.",
    ),
    Advice(
        {"click_through_rate": LESS, "ad_interaction_seconds": MORE},
        "They view ads for long but rarely click: make the call to action clearer.",
    ),
    Advice(
        {"click_through_rate": LESS, "conversion_rate": LESS},
        "They click and convert less often than the others: try another offer before paying for more impressions.",
    ),
    Advice(
        {"click_through_rate": MORE},
        "They click more often than the others: test new creatives here first, because results show sooner.",
    ),
    Advice(
        {"click_through_rate": LESS},
        "They click less often than the others: try other creatives before paying for more impressions.",
    ),
    Advice(
        {"conversion_rate": MORE},
        "More of their clicks convert than elsewhere: a click is worth more here.",
    ),
    Advice(
        {"conversion_rate": LESS},
        "Fewer of their clicks convert than elsewhere: review the landing page and the offer.",
    ),
    Advice(
        {"ad_interaction_seconds": MORE},
        "They view an ad for {ad_interaction_seconds.inside:.0f} seconds, the others for "
        "{ad_interaction_seconds.outside:.0f}: you have time to tell a story.",
    ),
    Advice(
        {"ad_interaction_seconds": LESS},
        "They view an ad for {ad_interaction_seconds.inside:.0f} seconds, the others for "
        "{ad_interaction_seconds.outside:.0f}: put the message first.",
    ),
    Advice(
        {"weekend_hours_online": MORE, "weekday_hours_online": MORE},
        "They are online longer than the others on every day: limit how often each of them sees an ad.",
    ),
    Advice(
        {"weekend_hours_online": LESS, "weekday_hours_online": LESS},
        "They are online for less time than the others on every day: expect fewer impressions.",
    ),
    Advice(
        {"weekend_hours_online": MORE},
        "Run campaigns at weekends: they are online {weekend_hours_online.inside:.1f} hours per day then, "
        "the others {weekend_hours_online.outside:.1f}.",
    ),
    Advice(
        {"weekday_hours_online": MORE},
        "Run campaigns on weekdays: they are online {weekday_hours_online.inside:.1f} hours per day then, "
        "the others {weekday_hours_online.outside:.1f}.",
    ),
    Advice(
        {"likes_and_reactions": MORE},
        "They react to posts more than the others: try posts that ask for a reaction.",
    ),
    Advice(
        {"followed_accounts": MORE},
        "They follow more accounts than the others: invite them to follow yours.",
    ),
)


def direction(effect: Effect) -> Direction:
    """Which way the segment differs."""
    return MORE if effect.size > 0 else LESS


def signs_of(effects: Mapping[str, Effect]) -> Signs:
    """Which way a segment differs in each of these fields."""
    return {name: direction(effect) for name, effect in effects.items()}


def holds(wanted: Signs, signs: Signs) -> bool:
    """Whether all wanted signs hold."""
    return wanted.items() <= signs.items()


def phrase(effect: Effect) -> str:
    """One effect in words, in at most 30 columns; empty if its label has no readable character."""
    if effect.level is not None:
        label = shortened(effect.level, LONGEST_PHRASE)
        # An item or a device label is clear by itself; "yes" is not.
        if label and effect.kind is Kind.CATEGORY and effect.group != "device":
            label = shortened(f"{title(effect)}: {effect.level}", LONGEST_PHRASE)
        return label if not label or direction(effect) is MORE else shortened(f"less {label}", LONGEST_PHRASE)
    known = PHRASES.get(effect.field)
    if known is not None:
        return known[direction(effect)]
    return shortened(f"{'high' if direction(effect) is MORE else 'low'} {title(effect)}", LONGEST_PHRASE)


def title(effect: Effect) -> str:
    """The header of the field within a sentence: without a unit in brackets, in lower case.

    Words in capitals only, such as CTR, stay as they are.
    """
    words = re.sub(r"\([^)]*\)", " ", effect.header).replace("_", " ").split() or effect.field.replace("_", " ").split()
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)
