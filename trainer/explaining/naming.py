"""Names for segments, from what sets them apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from schemas.roles import Kind
from trainer.explaining.effects import Middle, prominent, strength
from trainer.explaining.phrases import (
    MIDDLE,
    MORE,
    TOGETHER,
    direction,
    holds,
    is_alone,
    known_effects,
    level_phrase,
    phrase,
    signs_of,
)
from trainer.explaining.titles import Titles
from trainer.findings import Effect
from trainer.text.wording import capitalised

LONGEST_NAME = 45


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a name."""

    text: str
    fields: frozenset[str]
    strength: float
    is_label: bool = False
    """Whether it is a label of the data, which keeps its spelling."""

    @property
    def first(self) -> str:
        """The part at the start of a name."""
        return self.text if self.is_label else capitalised(self.text)


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts from which the name of one segment can be made, each kind strongest first, the best kind first."""

    more_or_less: tuple[_Part, ...]
    """Where the segment is higher, or lower, or more users have a label."""
    middle: tuple[_Part, ...]
    """Where it is between segments that are higher and segments that are lower."""
    fewer: tuple[_Part, ...]
    """Labels that fewer users have: they say least."""

    @property
    def strongest(self) -> float:
        """The strength of the best part; 0 without one above or below the others."""
        return max((part.strength for part in self.more_or_less), default=0.0)


def names(
    effects: Mapping[int, Sequence[Effect]],
    middles: Mapping[int, Sequence[Middle]],
    given_names: Mapping[int, str],
    not_named: frozenset[str],
    titles: Titles,
) -> Mapping[int, str]:
    """Stable number of each segment -> its name, of at most 45 characters, distinct, in the order of effects.

    A name is made of the strongest effects, strongest first, except those in fields of the groups not_named, and
    those that are not prominent next to another segment's. Two effects with a phrase of their own, such as
    "weekend-heavy", give it if one of them is prominent. Where nothing is left, it says in which fields the
    segment is in the middle. The segment with the strongest effect gets the best name. One without any is "Segment N";
    names that a person gave are kept.
    """
    outstanding = prominent(effects)
    parts = {
        number: _parts(
            [each for each in found if each.group not in not_named],
            outstanding[number],
            [each for each in middles.get(number, ()) if each.group not in not_named],
            titles,
        )
        for number, found in effects.items()
        if number not in given_names
    }
    called = dict(given_names)
    taken = {_key(name) for name in (*given_names.values(), *map(plain_name, effects))}
    for number in sorted(parts, key=lambda number: -round(parts[number].strongest, 6)):
        name = next((name for name in _candidates(parts[number]) if _key(name) not in taken), plain_name(number))
        taken.add(_key(name))
        called[number] = name
    return {number: called[number] for number in effects}


def plain_name(number: int) -> str:
    """The name of a segment without effects."""
    return f"Segment {number}"


def _key(name: str) -> frozenset[str]:
    # The same words in another order are the same name.
    return frozenset(name.casefold().split(", "))


def _parts(
    effects: Sequence[Effect], outstanding: Sequence[Effect], middles: Sequence[Middle], titles: Titles
) -> _Parts:
    by_field = known_effects(effects)
    signs = signs_of(by_field)
    more_or_less = [
        _Part(each.phrase, frozenset(each.signs), max(strength(by_field[name]) for name in each.signs))
        for each in TOGETHER
        if holds(each.signs, signs) and any(by_field[name] in outstanding for name in each.signs)
    ]
    covered = frozenset().union(*(part.fields for part in more_or_less))
    fewer: list[_Part] = []
    for effect in effects:
        text = phrase(effect, titles)
        if text and effect in outstanding and not (effect.level is None and effect.field in covered):
            is_fewer = effect.level is not None and direction(effect) is not MORE and effect.kind is not Kind.BOOLEAN
            kind = fewer if is_fewer else more_or_less
            is_label = kind is more_or_less and is_alone(effect, titles)
            kind.append(_Part(text, frozenset({effect.field}), strength(effect), is_label))
    middle = [_Part(level_phrase(each, MIDDLE, titles), frozenset({each.field}), each.strength) for each in middles]
    return _Parts(
        *(tuple(sorted(kind, key=lambda part: -round(part.strength, 6))) for kind in (more_or_less, middle, fewer))
    )


def _candidates(parts: _Parts) -> Iterator[str]:
    """Possible names, best first: from two fields, two levels of one field, three parts, one; then with other kinds."""
    best, middle = parts.more_or_less, parts.middle
    everything = (*best, *middle, *parts.fewer)
    pairs = [*combinations(best, 2)]
    for chosen in (
        *filter(_of_different_fields, pairs),
        *(pair for pair in pairs if not _of_different_fields(pair)),
        *combinations(best, 3),
        *combinations(best, 1),
        *product(best, middle),
        *combinations(middle, 2),
        *filter(_of_different_fields, combinations(everything, 2)),
        *combinations(everything, 1),
    ):
        name = ", ".join([chosen[0].first, *(part.text for part in chosen[1:])])
        if len(name) <= LONGEST_NAME:
            yield name


def _of_different_fields(parts: Sequence[_Part]) -> bool:
    return not parts[0].fields & parts[1].fields
