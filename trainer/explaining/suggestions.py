"""What marketing might do with a segment, from what sets it apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trainer.explaining.effects import strength
from trainer.explaining.phrases import (
    ADVICE,
    MORE,
    direction,
    holds,
    known,
    known_effects,
    phrase,
    signs_of,
    topic,
)
from trainer.explaining.titles import Titles
from trainer.findings import Effect
from trainer.text.wording import difference, percent

MOST_SENTENCES = 2
MOST_ITEMS = 2


def suggestion(
    effects: Sequence[Effect], outstanding: Sequence[Effect], not_named: frozenset[str], titles: Titles
) -> str:
    """One or two sentences, each based on outstanding effects of a segment, strongest first; empty without one.

    Fields in the groups not_named are ignored. Effects in fields of another profile class, or without a sentence of
    their own, are repeated with their figures, in words that hold for any data.
    """
    usable = [effect for effect in outstanding if effect.group not in not_named]
    sentences = sorted(_sentences(usable, titles), key=lambda each: -round(each[0], 6))[:MOST_SENTENCES]
    if sentences:
        return " ".join(sentence for _, sentence in sentences)
    apart = [f"{topic(effect, titles)} ({difference(effect)})" for effect in usable if phrase(effect, titles)]
    if apart:
        return f"Start from what sets them apart most: {_and(apart[:MOST_SENTENCES])}."
    groups = {effect.group for effect in effects}
    if groups and groups <= not_named:
        return f"Only {_and(sorted(groups))} fields set them apart, so no action is suggested."
    return ""


def _sentences(effects: Sequence[Effect], titles: Titles) -> Iterator[tuple[float, str]]:
    """All sentences that apply, each with the strength of its strongest effect."""
    unused = known_effects(effects)
    for advice in ADVICE:
        if holds(advice.signs, signs_of(unused)):
            used = {name: unused.pop(name) for name in advice.signs}
            yield max(map(strength, used.values())), advice.sentence.format(**used)
    levels = [
        effect
        for effect in effects
        if effect.level is not None and direction(effect) is MORE and known(effect.field, effect.header)
    ]
    for group_sentence, kept in (
        (_device, [effect for effect in levels if effect.field == "device_usage"][:1]),
        (_interests, [effect for effect in levels if effect.field == "top_interests"][:MOST_ITEMS]),
    ):
        readable = [effect for effect in kept if phrase(effect, titles)]
        if readable:
            yield strength(readable[0]), group_sentence(readable, titles)


def _device(effects: Sequence[Effect], titles: Titles) -> str:
    (effect,) = effects
    return (
        f"Plan formats for {_label(effect, titles)} first ({percent(effect.inside)} of them, "
        f"{percent(effect.outside)} of the others)."
    )


def _interests(effects: Sequence[Effect], titles: Titles) -> str:
    creatives = f"Show {_and([_label(effect, titles) for effect in effects])} creatives"
    lifts = [f"{effect.lift:.1f}" for effect in effects if effect.lift is not None]
    if len(lifts) == len(effects):
        interests = "this interest is" if len(effects) == 1 else "these interests are"
        return f"{creatives}: {interests} {_and(lifts)} times as common here as among all users."
    inside, outside = (_and([percent(share) for share in shares]) for shares in _shares(effects))
    return f"{creatives}: {inside} of them, {outside} of the others."


def _shares(effects: Sequence[Effect]) -> tuple[list[float], list[float]]:
    return [effect.inside for effect in effects], [effect.outside for effect in effects]


def _label(effect: Effect, titles: Titles) -> str:
    return titles.label(effect.field, effect.level or "")


def _and(words: Sequence[str]) -> str:
    return " and ".join(words)
