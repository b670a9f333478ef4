"""Names for segments, from what sets them apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from trainer.explaining.effects import strength
from trainer.explaining.phrases import MORE, TOGETHER, direction, holds, phrase, signs_of
from trainer.findings import Effect

LONGEST_NAME = 45


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a name."""

    text: str
    fields: frozenset[str]
    strength: float
    is_not: bool
    """Whether it names a label that fewer users of the segment have: the least informative kind."""


def names(
    effects: Mapping[int, Sequence[Effect]], given_names: Mapping[int, str], not_named: frozenset[str]
) -> Mapping[int, str]:
    """Stable number of each segment -> its name, of at most 45 characters, distinct, in the order given.

    A name is made of the strongest effects, strongest first, except those in fields of the groups not_named. The first
    segment gets the best name, so pass the largest first. A segment without such an effect is "Segment N"; names that
    a person gave are kept.
    """
    found = dict(given_names)
    taken = {_key([name]) for name in (*given_names.values(), *map(plain_name, effects))}
    for number, each in effects.items():
        if number in given_names:
            continue
        free = (texts for texts in _candidates(_parts(each, not_named)) if _key(texts) not in taken)
        texts = next(free, None)
        if texts is None:
            found[number] = plain_name(number)
        else:
            taken.add(_key(texts))
            found[number] = _joined(texts)
    return found


def plain_name(number: int) -> str:
    """The name of a segment without effects."""
    return f"Segment {number}"


def _key(texts: Sequence[str]) -> frozenset[str]:
    # The same words in another order are the same name.
    return frozenset(word for text in texts for word in text.casefold().split(", "))


def _parts(effects: Sequence[Effect], not_named: frozenset[str]) -> list[_Part]:
    named = [effect for effect in effects if effect.group not in not_named]
    by_field = {effect.field: effect for effect in named if effect.level is None}
    signs = signs_of(by_field)
    parts = [
        _Part(each.phrase, frozenset(each.signs), max(strength(by_field[name]) for name in each.signs), is_not=False)
        for each in TOGETHER
        if holds(each.signs, signs)
    ]
    covered = frozenset().union(*(part.fields for part in parts))
    for effect in named:
        text = phrase(effect)
        if text and not (effect.level is None and effect.field in covered):
            is_not = effect.level is not None and direction(effect) is not MORE
            parts.append(_Part(text, frozenset({effect.field}), strength(effect), is_not))
    return sorted(parts, key=lambda part: (part.is_not, -round(part.strength, 6)))


def _candidates(parts: Sequence[_Part]) -> Iterator[tuple[str, ...]]:
    """Possible names, best first: from two fields, two levels of one field, three parts, one."""
    telling = [part for part in parts if not part.is_not]
    pairs = [*combinations(telling, 2)]
    apart = [pair for pair in pairs if not pair[0].fields & pair[1].fields]
    beside = [pair for pair in pairs if pair[0].fields & pair[1].fields]
    last_resort = [pair for pair in combinations(parts, 2) if not pair[0].fields & pair[1].fields]
    for chosen in (
        *apart,
        *beside,
        *combinations(telling, 3),
        *combinations(telling, 1),
        *last_resort,
        *combinations(parts, 1),
    ):
        texts = tuple(part.text for part in chosen)
        if len(_joined(texts)) <= LONGEST_NAME:
            yield texts


def _joined(texts: Sequence[str]) -> str:
    text = ", ".join(texts)
    return text[:1].upper() + text[1:]
