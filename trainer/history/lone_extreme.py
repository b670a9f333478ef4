"""Numbers that stand for a missing value, such as -999: alone at one end of a column, and far from all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.encoding import Floats

# With fewer different numbers, their range says nothing about how far one may be from the others.
LEAST_OTHERS = 10
# Codes hide each other, as -999 and -998 do, or -1 and 999.
MOST_CODES = 3
LEAST_USERS = 3
# Compared with the largest difference between so many neighbouring numbers at the same end.
LEAST_GAP = 5
NEIGHBOURS = 10
# A tail grows thinner: a number in it does not have more users than the next so many together.
OUTNUMBERED = 5

Counts = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class LoneExtreme:
    """One of the least or greatest numbers of a column, far from the others, and how many users have it."""

    number: float
    users: int


def lone_extremes(numbers: Floats, users: Sequence[int] | None) -> tuple[LoneExtreme, ...]:
    """The extremes of a column that at least three users have each, ascending: at most three, at one end or both.

    They are farther from the others than these are from each other, or one alone has its sign; or the gap to the
    others is large for that end, and more users are beyond it than next to it. Zero is not one. users are how many
    have each of the numbers; None: one each.
    """
    values, at = np.unique(numbers, return_inverse=True)
    counts = np.bincount(at, weights=users, minlength=len(values)).astype(np.intp)
    first, end = 0, len(values)
    while (found := _ends(values[first:end], counts[first:end], MOST_CODES - first - len(values) + end)) is not None:
        first, end = first + found[0], end - found[1]
    return tuple(LoneExtreme(float(values[at]), int(counts[at])) for at in (*range(first), *range(end, len(values))))


def _ends(values: Floats, counts: Counts, most: int) -> tuple[int, int] | None:
    """How many of the ascending numbers at each end are codes, as few as there can be; None if none is."""
    for codes in range(1, min(most, len(values) - LEAST_OTHERS) + 1):
        for below in range(codes, -1, -1):
            others = len(values) - codes
            chosen = np.r_[:below, others + below : len(values)]
            if (
                np.all(values[chosen] != 0)
                and counts[chosen].min() >= LEAST_USERS
                and _are_alone(values, counts, below, others)
                and _are_alone(-values[::-1], counts[::-1], codes - below, others)
            ):
                return below, codes - below
    return None


def _are_alone(values: Floats, counts: Counts, codes: int, others: int) -> bool:
    """Whether the first of the ascending numbers, so many codes, are far from the others that follow."""
    if not codes:
        return True
    rest = values[codes : codes + others]
    gap = rest[0] - values[codes - 1]
    if gap > rest[-1] - rest[0] or (codes == 1 and values[0] < 0 <= rest[0]):
        return True
    is_large = gap > LEAST_GAP * np.diff(rest[: NEIGHBOURS + 1]).max()
    return bool(is_large and counts[:codes].sum() > counts[codes : codes + OUTNUMBERED].sum())
