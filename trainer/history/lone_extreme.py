"""Numbers that stand for a missing value, such as -999: alone at one end of a column, and far from all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.encoding import Floats

# With fewer different numbers, their range says nothing about how far one may be from the others.
LEAST_OTHERS = 10


@dataclass(frozen=True, slots=True)
class LoneExtreme:
    """The least or greatest number of a column, far from the others, and how many users have it."""

    number: float
    users: int


def lone_extreme(numbers: Floats, users: Sequence[int] | None, least_users: int) -> LoneExtreme | None:
    """The extreme of a column that at least so many users have; None if there is none.

    It is farther from its neighbour than all others are from each other, or the only negative number. Zero is not one.
    users are how many have each of the numbers; None: one each.
    """
    values, at = np.unique(numbers, return_inverse=True)
    counts = np.bincount(at, weights=users, minlength=len(values))
    if len(values) <= LEAST_OTHERS:
        return None
    low, high = values[[0, -1]]
    alone_below = values[1] - low > high - values[1] or low < 0 <= values[1]
    alone_above = high - values[-2] > values[-2] - low
    for value, count, alone in ((low, counts[0], alone_below), (high, counts[-1], alone_above)):
        if alone and value != 0 and count >= least_users:
            return LoneExtreme(float(value), int(count))
    return None
