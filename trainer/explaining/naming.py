"""Names for segments, from what sets them apart."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from schemas.roles import Kind
from trainer.explaining.effects import Middle, Way, prominent, strength, way_of
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
SIMILAR = 2 / 3
"""An effect is as true of another segment whose effect in the same field and direction is at least this strong."""
MOST_IN_THREES = 12
"""Parts of a segment of which three at a time are tried."""

_Ways = frozenset[Way]


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a name."""

    text: str
    fields: frozenset[str]
    strength: float
    ways: _Ways = frozenset()
    """What it says of the segment; empty for the middle, and for what fewer users have."""
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
    those that are not prominent next to another segment's. What is as true of another segment is used only where a
    segment has nothing of its own, and then in both names, if there is room: people take "low" for the lowest. Two
    effects with a phrase of their own, such as "weekend-heavy", give it if one of them is prominent. Where nothing is
    left, it says in which fields the segment is in the middle. The segment with the strongest effect gets the best
    name. One without any is "Segment N"; names that a person gave are kept.
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
    strengths = {number: {way_of(each): strength(each) for each in found} for number, found in effects.items()}
    shared = {
        number: frozenset(part.ways for part in each.more_or_less if _is_shared(part.ways, number, strengths))
        for number, each in parts.items()
    }
    taken = {_key(name) for name in (*given_names.values(), *map(plain_name, effects))}
    said: frozenset[_Ways] = frozenset()
    while True:
        chosen = _chosen(parts, shared, said, taken)
        also = {part.ways for number, found in chosen.items() for part in found if part.ways in shared[number]} - said
        if not also:
            break
        said |= also
    called = {number: _name(found) or plain_name(number) for number, found in chosen.items()} | dict(given_names)
    return {number: called[number] for number in effects}


def _is_shared(ways: _Ways, number: int, strengths: Mapping[int, Mapping[Way, float]]) -> bool:
    """Whether another segment differs in all of these ways as strongly."""
    return any(
        all(theirs.get(way, 0.0) >= SIMILAR * strengths[number][way] for way in ways)
        for other, theirs in strengths.items()
        if other != number
    )


def _chosen(
    parts: Mapping[int, _Parts],
    shared: Mapping[int, frozenset[_Ways]],
    said: frozenset[_Ways],
    taken: Collection[frozenset[str]],
) -> Mapping[int, Sequence[_Part]]:
    """The parts of each name, the strongest segment first; none where all names are taken."""
    used, chosen = {*taken}, {}
    for number in sorted(parts, key=lambda number: -round(parts[number].strongest, 6)):
        candidates = _candidates(parts[number], shared[number], said)
        chosen[number] = next((found for found in candidates if _key(_name(found)) not in used), ())
        used.add(_key(_name(chosen[number])))
    return chosen


def _name(parts: Sequence[_Part]) -> str:
    return ", ".join([*(part.first for part in parts[:1]), *(part.text for part in parts[1:])])


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
        _Part(
            each.phrase,
            frozenset(each.signs),
            max(strength(by_field[name]) for name in each.signs),
            frozenset(way_of(by_field[name]) for name in each.signs),
        )
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
            ways = frozenset() if is_fewer else frozenset({way_of(effect)})
            kind.append(_Part(text, frozenset({effect.field}), strength(effect), ways, is_label))
    middle = [_Part(level_phrase(each, MIDDLE, titles), frozenset({each.field}), each.strength) for each in middles]
    return _Parts(
        *(tuple(sorted(kind, key=lambda part: -round(part.strength, 6))) for kind in (more_or_less, middle, fewer))
    )


def _candidates(parts: _Parts, shared: frozenset[_Ways], said: frozenset[_Ways]) -> Iterator[Sequence[_Part]]:
    """The parts of possible names, best first: first with all that another's name says and is as true here.

    Then without what is as true of another segment; then with it.
    """
    also = [part for part in parts.more_or_less if part.ways in said]
    own = [part for part in parts.more_or_less if part.ways not in shared | said]
    for best in (*([[*also, *own]] if also or own else []), parts.more_or_less):
        # Sorting keeps the order of those with as many.
        yield from sorted(
            filter(_fits, _of_kinds(best, parts)), key=lambda chosen: -sum(part in also for part in chosen)
        )


def _fits(parts: Sequence[_Part]) -> bool:
    return len(_name(parts)) <= LONGEST_NAME


def _of_kinds(best: Sequence[_Part], parts: _Parts) -> Iterator[Sequence[_Part]]:
    """From two fields, two levels of one field, three parts, one; then with the middle, and with what fewer have."""
    middle, everything = parts.middle, (*best, *parts.middle, *parts.fewer)
    pairs = [*combinations(best, 2)]
    yield from (
        *filter(_of_different_fields, pairs),
        *(pair for pair in pairs if not _of_different_fields(pair)),
        *combinations(best[:MOST_IN_THREES], 3),
        *combinations(best, 1),
        *product(best, middle),
        *combinations(middle, 2),
        *filter(_of_different_fields, combinations(everything, 2)),
        *combinations(everything, 1),
    )


def _of_different_fields(parts: Sequence[_Part]) -> bool:
    return not parts[0].fields & parts[1].fields
