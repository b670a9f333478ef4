"""What marketing might do with a segment, from what sets it apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from schemas.roles import Kind
from trainer.explaining.effects import strength
from trainer.explaining.phrases import ADVICE, LONGEST_PHRASE, MORE, direction, holds, phrase, signs_of
from trainer.findings import Effect
from trainer.text.wording import percent, shortened

MOST_SENTENCES = 2
MOST_ITEMS = 2


def suggestion(effects: Sequence[Effect], not_named: frozenset[str]) -> str:
    """One or two sentences, each resting on effects of this segment, those with the strongest ones first.

    No use is made of fields in the groups not_named. An effect for which no sentence is known is called by its phrase.
    """
    usable = [effect for effect in effects if effect.group not in not_named]
    told = sorted(_sentences(usable), key=lambda each: -round(each[0], 6))[:MOST_SENTENCES]
    if told:
        return " ".join(sentence for _, sentence in told)
    apart = [text for text in map(phrase, usable) if text]
    if apart:
        return f"Reach them through what sets them apart: {_and(apart[:MOST_SENTENCES])}."
    if effects and not usable:
        return f"Only {_and(sorted({effect.group for effect in effects}))} fields set them apart: no use is suggested."
    return "Nothing that can be named sets them apart for certain: treat them like all other users."


def _sentences(effects: Sequence[Effect]) -> Iterator[tuple[float, str]]:
    """What can be said, each with the strength of the strongest effect that it rests on."""
    unused = {effect.field: effect for effect in effects if effect.level is None}
    for advice in ADVICE:
        if holds(advice.signs, signs_of(unused)):
            used = {name: unused.pop(name) for name in advice.signs}
            yield max(map(strength, used.values())), advice.sentence.format(**used)
    levels = [effect for effect in effects if effect.level is not None and direction(effect) is MORE]
    for group_sentence, kept in (
        (_device, [effect for effect in levels if effect.group == "device" and effect.kind is Kind.CATEGORY][:1]),
        (_interests, [effect for effect in levels if effect.group == "interest"][:MOST_ITEMS]),
    ):
        readable = [effect for effect in kept if phrase(effect)]
        if readable:
            yield strength(readable[0]), group_sentence(readable)


def _device(effects: Sequence[Effect]) -> str:
    (effect,) = effects
    return (
        f"Plan formats for {_label(effect)} first: {percent(effect.inside)} of them, "
        f"{percent(effect.outside)} of the others."
    )


def _interests(effects: Sequence[Effect]) -> str:
    creatives = f"Show {_and([_label(effect) for effect in effects])} creatives"
    lifts = [f"{effect.lift:.1f}" for effect in effects if effect.lift is not None]
    if len(lifts) == len(effects):
        followed = "it" if len(effects) == 1 else "them"
        return f"{creatives}: {_and(lifts)} times as many follow {followed} as among all users."
    inside, outside = (_and([percent(share) for share in shares]) for shares in _shares(effects))
    return f"{creatives}: {inside} of them, {outside} of the others."


def _shares(effects: Sequence[Effect]) -> tuple[list[float], list[float]]:
    return [effect.inside for effect in effects], [effect.outside for effect in effects]


def _label(effect: Effect) -> str:
    return shortened(effect.level or "", LONGEST_PHRASE)


def _and(words: Sequence[str]) -> str:
    return " and ".join(words)
