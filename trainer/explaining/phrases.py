"""What effects are called in a name, and what marketing might do with them.

Only this module knows fields by name: those of this project's profile class, in plain words. An effect in any other
field, also one that happens to have such a name but another header, is named after its header and label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from schemas import UserProfile
from schemas.roles import Kind, profile_fields
from trainer.explaining.effects import Middle
from trainer.explaining.titles import LONGEST_TITLE, Titles
from trainer.findings import Effect
from trainer.text.shortening import columns_of

LONGEST_PHRASE = 45


class Direction(Enum):
    """Which way a segment differs in a number or ordered field."""

    MORE = 1
    LESS = -1
    MIDDLE = 0


MORE, LESS, MIDDLE = Direction.MORE, Direction.LESS, Direction.MIDDLE

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
    "age": {MORE: "older", LESS: "younger", MIDDLE: "middle-aged"},
    "education_level": {MORE: "longer education", LESS: "shorter education", MIDDLE: "medium education"},
    "income_level": {MORE: "higher income", LESS: "lower income", MIDDLE: "medium income"},
    "likes_and_reactions": {MORE: "many likes", LESS: "few likes", MIDDLE: "average likes"},
    "followed_accounts": {MORE: "many follows", LESS: "few follows", MIDDLE: "average follows"},
    "weekday_hours_online": {MORE: "many weekday hours", LESS: "few weekday hours", MIDDLE: "average weekday hours"},
    "weekend_hours_online": {MORE: "many weekend hours", LESS: "few weekend hours", MIDDLE: "average weekend hours"},
    "click_through_rate": {MORE: "high click-through", LESS: "low click-through", MIDDLE: "medium click-through"},
    "conversion_rate": {MORE: "high conversion", LESS: "low conversion", MIDDLE: "medium conversion"},
    "ad_interaction_seconds": {MORE: "long ad views", LESS: "short ad views", MIDDLE: "average ad views"},
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


_OURS = {(field.name, field.header) for field in profile_fields(UserProfile)}


def known(field: str, header: str) -> bool:
    """Whether it is a field of this project's profile class."""
    return (field, header) in _OURS


def direction(effect: Effect) -> Direction:
    """Which way the segment differs."""
    return MORE if effect.size > 0 else LESS


def known_effects(effects: Iterable[Effect]) -> dict[str, Effect]:
    """The effects in numbers and ordered fields of this project's profile class, by field."""
    return {each.field: each for each in effects if each.level is None and known(each.field, each.header)}


def signs_of(effects: Mapping[str, Effect]) -> Signs:
    """Which way a segment differs in each of these fields."""
    return {name: direction(effect) for name, effect in effects.items()}


def holds(wanted: Signs, signs: Signs) -> bool:
    """Whether all wanted signs hold."""
    return wanted.items() <= signs.items()


def phrase(effect: Effect, titles: Titles) -> str:
    """One effect in words, in at most 45 columns; empty if its label has no readable character."""
    if effect.level is None:
        return level_phrase(effect, direction(effect), titles)
    if effect.kind is Kind.BOOLEAN:
        return f"{titles.title(effect.field)}: {'yes' if direction(effect) is MORE else 'no'}"
    label, less = titles.label(effect.field, effect.level), "" if direction(effect) is MORE else "less "
    if not label or is_alone(effect, titles):
        return label and f"{less}{label}"
    title = _title_beside(label, effect, titles)
    return f"{title}: {less}{label}" if titles.is_degree(effect.field) else f"{less}{title}: {label}"


def is_alone(effect: Effect, titles: Titles) -> bool:
    """Whether its label says without its field what it is: an item, or one of these devices; "yes" does not."""
    clear = effect.field == "device_usage" and known(effect.field, effect.header)
    return effect.level is not None and (
        (clear or effect.kind is Kind.SEVERAL_OF) and titles.stands_alone(effect.level)
    )


def topic(effect: Effect, titles: Titles) -> str:
    """The field of an effect within a sentence, with its label, in at most 45 columns."""
    if effect.level is None:
        return titles.title(effect.field)
    label = titles.label(effect.field, effect.level)
    return f"{_title_beside(label, effect, titles)}: {label}"


def _title_beside(label: str, effect: Effect, titles: Titles) -> str:
    """The title of a field in the room that its label leaves."""
    room = LONGEST_PHRASE - columns_of(f"less : {label}")
    return titles.title(effect.field, min(LONGEST_TITLE, room))


def level_phrase(found: Effect | Middle, where: Direction, titles: Titles) -> str:
    """Where a segment is in a number, date or ordered field, such as "low annual income"."""
    if known(found.field, found.header) and found.field in PHRASES:
        return PHRASES[found.field][where]
    title = titles.title(found.field)
    if found.kind is Kind.DAYS_SINCE:
        return f"{title}: { ({MORE: 'long ago', LESS: 'recent', MIDDLE: 'in between'}[where]) }"
    word = {MORE: "high", LESS: "low", MIDDLE: "medium"}[where]
    return f"{title}: {word}" if titles.is_degree(found.field) else f"{word} {title}"
