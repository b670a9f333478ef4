"""What sets each segment apart, as effect sizes with intervals, and where a segment is in the middle."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.encoding import Floats
from schemas.roles import Kind
from trainer.explaining.division import Division
from trainer.explaining.traits import Trait, traits
from trainer.findings import Effect, Measure
from trainer.privacy import LEAST_SHOWN, shown

MEASURES: Mapping[Kind, Measure] = {
    Kind.NUMBER: Measure.STANDARDISED_DIFFERENCE,
    Kind.DAYS_SINCE: Measure.STANDARDISED_DIFFERENCE,
    Kind.BOOLEAN: Measure.SHARE_DIFFERENCE,
    Kind.ORDERED: Measure.CLIFFS_DELTA,
    Kind.CATEGORY: Measure.SHARE_DIFFERENCE,
    Kind.SEVERAL_OF: Measure.SHARE_DIFFERENCE,
}
# Each is above what its literature calls small, and they are about equally large: a standardised difference of .2 is
# small (Cohen 1988), a delta under .147 negligible (Romano et al. 2006), and 10 points are an h of .2 or more wherever
# they lie (Cohen 1988, h = 2·asin√p₁ − 2·asin√p₂).
LEAST_SIZE: Mapping[Measure, float] = {
    Measure.STANDARDISED_DIFFERENCE: 0.3,
    Measure.CLIFFS_DELTA: 0.2,
    Measure.SHARE_DIFFERENCE: 0.1,
}
INTERVAL = (0.025, 0.975)
Way = tuple[str, str | None, bool]
"""The field and label of an effect, and whether the segment is higher in it."""
PROMINENT = 0.5
"""An effect under half as strong as another segment's in the same field and direction gives no name or suggestion."""


def effects(division: Division, fields: frozenset[str]) -> Mapping[int, tuple[Effect, ...]]:
    """Stable number of each segment -> its certain effects in the fields named, strongest first, as `all_effects`."""
    found = all_effects(division, fields)
    return {number: tuple(effect for effect in each if effect.is_certain) for number, each in found.items()}


def all_effects(division: Division, fields: frozenset[str]) -> Mapping[int, tuple[Effect, ...]]:
    """Stable number of each segment -> its effects in the fields named, certain or not, strongest first.

    An effect is large enough (standardised difference .3, delta .2, 10 percentage points). Segments and cells of under
    20 users have none. If under 20 of the others have a label, the share is computed as if 20 had it; if under 20 of a
    segment or of the others lack it, as if 20 lacked it, unless all have it. The difference is then understated, and
    nobody can be counted from it.
    """
    found: dict[int, list[Effect]] = {number: [] for number in division.numbers}
    for field in division.sample.fields:
        if field.name in fields:
            for trait in traits(division.sample, field):
                for number, effect in _effects(trait, division):
                    found[number].append(effect)
    # Rounded, so that the last digits of a sum do not order equal effects: then the order of the fields does.
    return {
        number: tuple(sorted(each, key=lambda effect: -round(strength(effect), 6))) for number, each in found.items()
    }


def strength(effect: Effect) -> float:
    """How strong an effect is, 0 … 1, on one scale for all measures: the size of Cliff's delta.

    That is P(higher) − P(lower) of a user of the segment compared with another user. A difference in share is itself a
    delta; a standardised difference d is equivalent to 2·Φ(d / √2) − 1 = erf(d / 2) if both are normal (McGraw and
    Wong 1992).
    """
    return _strength(effect.measure, effect.size)


def _strength(measure: Measure, size: float) -> float:
    return abs(math.erf(size / 2)) if measure is Measure.STANDARDISED_DIFFERENCE else abs(size)


def prominent(effects: Mapping[int, Sequence[Effect]]) -> Mapping[int, tuple[Effect, ...]]:
    """The effects of each segment that are at least half as strong as any segment's in the same field and direction.

    Next to a segment whose income is far below the others', one that is a little below does not stand for low income.
    """
    strongest: dict[Way, float] = {}
    for effect in (effect for each in effects.values() for effect in each):
        strongest[way_of(effect)] = max(strength(effect), strongest.get(way_of(effect), 0.0))
    return {
        number: tuple(effect for effect in each if strength(effect) >= PROMINENT * strongest[way_of(effect)])
        for number, each in effects.items()
    }


def way_of(effect: Effect) -> Way:
    """In what, and in which direction, the segment differs."""
    return effect.field, effect.level, effect.size > 0


@dataclass(frozen=True, slots=True)
class Middle:
    """A number, date or ordered field in which a segment is between others: some are much higher, some much lower."""

    field: str
    header: str
    group: str
    kind: Kind
    strength: float
    """Of the weaker of the strongest effects upwards and downwards."""


def middles(division: Division, effects: Mapping[int, Sequence[Effect]]) -> Mapping[int, tuple[Middle, ...]]:
    """Stable number of each segment -> the fields in which it is in the middle, from those that differ most.

    Other segments have effects upwards and downwards, both more than twice as strong as what the segment has. A
    segment of under 20 users is in the middle of nothing.
    """
    found: dict[int, list[Middle]] = {number: [] for number in division.numbers}
    for field in division.sample.fields:
        ends = [each for effect in effects.values() for each in effect if each.field == field.name]
        higher, lower = ([each for each in ends if each.size * sign > 0] for sign in (1, -1))
        if MEASURES[field.kind] is not Measure.SHARE_DIFFERENCE and higher and lower:
            least = min(max(map(strength, higher)), max(map(strength, lower)))
            for number in _between(traits(division.sample, field)[0], least, division):
                found[number].append(Middle(field.name, field.header, field.group, field.kind, least))
    return {
        number: tuple(sorted(each, key=lambda middle: -round(middle.strength, 6))) for number, each in found.items()
    }


def _between(trait: Trait, least: float, division: Division) -> Iterator[int]:
    """The segments that are neither highest nor lowest, and not half as far from the others as the ends."""
    contrast = _contrast(trait, division.memberships[:1], division)
    measure, inside = MEASURES[trait.field.kind], contrast.inside[0]
    may_be_shown = _may_be_shown(trait, division)
    for index, size in enumerate(contrast.size[0].tolist()):
        inner = inside.min() < inside[index] < inside.max()
        if may_be_shown[index] and inner and _strength(measure, size) < PROMINENT * least:
            yield division.numbers[index]


def _effects(trait: Trait, division: Division) -> Iterator[tuple[int, Effect]]:
    measure = MEASURES[trait.field.kind]
    only_sample = _contrast(trait, division.memberships[:1], division)
    large = _may_be_shown(trait, division) & (np.abs(only_sample.size[0]) >= LEAST_SIZE[measure])
    if not large.any():
        return
    low, high = np.quantile(_contrast(trait, division.memberships[1:], division).size, INTERVAL, axis=0)
    for index in np.flatnonzero(large).tolist():
        inside, outside = float(only_sample.inside[0, index]), float(only_sample.outside[0, index])
        yield (
            division.numbers[index],
            Effect(
                field=trait.field.name,
                header=trait.field.header,
                group=trait.field.group,
                kind=trait.field.kind,
                level=trait.level,
                measure=measure,
                size=float(only_sample.size[0, index]),
                low=float(low[index]),
                high=float(high[index]),
                inside=inside,
                outside=outside,
                lift=_lift(inside, outside, index, division) if trait.is_share else None,
                levels=trait.field.levels,
            ),
        )


def _may_be_shown(trait: Trait, division: Division) -> npt.NDArray[np.bool_]:
    """Per segment, whether enough of its users have the trait."""
    having = division.memberships[0].T @ (np.nan_to_num(trait.values) if trait.is_share else trait.known)
    cells = np.minimum(division.users_at_least(having), division.users)
    return np.array([shown(users) is not None for users in cells.tolist()])


def _lift(inside: float, outside: float, index: int, division: Division) -> float | None:
    in_segment = division.users[index]
    # From both shares as they are reported, so that no other share can be worked out from the lift.
    share = (inside * in_segment + outside * (division.all_users - in_segment)) / division.all_users
    return inside / share if share * in_segment >= LEAST_SHOWN else None


# --- the sizes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Contrast:
    """Each segment compared with all other users, in each resample; all of shape (resamples, k)."""

    size: Floats
    """0 if a resample has no user in the segment: a segment that is not found again differs in nothing."""
    inside: Floats
    outside: Floats


def _contrast(trait: Trait, memberships: Floats, division: Division) -> _Contrast:
    """memberships: how often each user is in each segment, shape (resamples, n, k)."""
    known = trait.known
    values, counted = trait.values[known], memberships[:, known]
    users = counted.sum(axis=1)
    others = users.sum(axis=1, keepdims=True) - users
    # Measured from the mean of all: a difference between large numbers keeps its digits.
    middle = values.mean() if values.size and not trait.is_share else 0.0
    sums = np.einsum("n,rnk->rk", values - middle, counted)
    inside = _quotient(sums, users)
    outside = _quotient(sums.sum(axis=1, keepdims=True) - sums, others)
    if trait.is_share:
        exact = inside - outside
        # Of the users with a value, of whom the sample has this share.
        members = division.memberships[0]
        in_segment = _quotient(np.array(division.users) * members[known].sum(axis=0), members.sum(axis=0))
        inside = _privacy_bounded(inside, in_segment, _everybody(trait, division.memberships[0]))
        outside = _privacy_bounded(
            outside, in_segment.sum() - in_segment, _everybody(trait, 1 - division.memberships[0])
        )
        size = inside - outside
        # A reported difference never overstates, and never has the wrong sign.
        size = np.where((size * exact > 0) & (np.abs(size) <= np.abs(exact)), size, 0.0)
    elif trait.field.kind is Kind.ORDERED:
        size = _cliffs_delta(values, len(trait.field.levels), counted)
        # Of two skewed groups, one can be higher more often and lower on average: then the direction is not known.
        size = np.where(size * (inside - outside) > 0, size, 0.0)
    else:
        squares = np.einsum("n,rnk->r", (values - middle) ** 2, counted)
        everybody = users.sum(axis=1)
        variance = _quotient(squares, everybody) - _quotient(sums.sum(axis=1), everybody) ** 2
        size = _quotient(inside - outside, np.sqrt(np.maximum(variance, 0.0))[:, None])
    return _Contrast(np.where((users > 0) & (others > 0), size, 0.0), inside + middle, outside + middle)


def _privacy_bounded(share: Floats, users: Floats, everybody: npt.NDArray[np.bool_]) -> Floats:
    """Shares of this many users, as if at least 20 had the trait, and at least 20 lacked it unless everybody has it."""
    least = np.minimum(_quotient(np.full(len(users), float(LEAST_SHOWN)), users), 1.0)
    return np.where(everybody, share, np.minimum(np.maximum(share, least), 1 - least))


def _everybody(trait: Trait, members: Floats) -> npt.NDArray[np.bool_]:
    """Whether everybody in each column of members, shape (n, k), has the trait."""
    without: npt.NDArray[np.bool_] = np.nan_to_num(1 - trait.values) @ members == 0
    return without


def _cliffs_delta(places: Floats, levels: int, memberships: Floats) -> Floats:
    """P(higher than the others) − P(lower), from counts by rank of the level."""
    indicators = (places[:, None] == np.arange(levels)).astype(np.float64)
    inside = np.einsum("nl,rnk->rkl", indicators, memberships)
    outside = inside.sum(axis=1, keepdims=True) - inside
    up_to = np.cumsum(outside, axis=2)
    lower, higher = up_to - outside, up_to[:, :, -1:] - up_to
    pairs = inside.sum(axis=2) * outside.sum(axis=2)
    return _quotient((inside * (lower - higher)).sum(axis=2), pairs)


def _quotient(above: Floats, below: npt.NDArray[np.floating] | npt.NDArray[np.integer]) -> Floats:
    """The quotient, and 0 where the divisor is 0."""
    above, divisor = np.broadcast_arrays(above, below)
    quotient = np.zeros(above.shape)
    np.divide(above, divisor, out=quotient, where=divisor > 0)
    return quotient
