"""Numbers that many users share because they round, or choose from a list: heaps, which are no modes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.encoding import Floats

# One or two frequent numbers are a default or a threshold; rounding shows at many.
LEAST_HEAPS = 4
# Of the users that are expected at a number.
LEAST_EXCESS = 2.0
# In standard deviations of the users that are expected.
LEAST_SIGNIFICANCE = 4.0
# What is expected comes from the numbers around, on both sides this share of the middle 98 %.
AROUND = 1 / 16
# Steps are not smaller than this share of it: sums differ in their last digits.
ROUNDING = 1e-6
# Nearer to each other than this share of the mean distance, as 9.99 and 10.00 are, two heaps are one.
ONE_HEAP = 0.1
PARTS = 21


def without_heaps(values: Floats, encoded: Floats) -> Floats:
    """The encoded numbers, shape (n,), spread over the distances between the numbers that many users share.

    Any unit and offset will do, such as prices that end in 9.99 or inches in centimetres, and steps that grow, such as
    5, 10, 20, 50. A user's true number may be anywhere up to the next heap on either side, most likely near. So each
    number becomes a triangle as wide as two such distances, and triangles over equal heaps add up to a plateau. Modes
    farther apart than the heaps stay. Returned are n quantiles of the sum, or encoded itself if values has no heaps.
    """
    heaps = _heaps(values)
    while len(coarser := _heaps(_nearest(heaps, values))) < len(heaps) and len(coarser):
        # As of tens among fives.
        heaps = coarser
    distinct, at = np.unique(values, return_index=True)
    places = encoded[at[np.searchsorted(distinct, heaps)]]
    if len(places):
        distances = np.diff(places)
        places = places[np.concatenate([[True], distances > ONE_HEAP * distances.mean()])]
    if len(places) < LEAST_HEAPS:
        return encoded
    width = np.interp(encoded, places, np.gradient(places))
    share = (np.arange(PARTS) + 0.5) / PARTS
    triangle = np.where(share < 0.5, np.sqrt(2 * share) - 1, 1 - np.sqrt(2 - 2 * share))
    spread: Floats = np.sort((encoded[:, None] + width[:, None] * triangle).ravel())
    return spread[PARTS // 2 :: PARTS]


def _nearest(heaps: Floats, values: Floats) -> Floats:
    """The heap nearest to each number; without heaps, no numbers."""
    return heaps[np.searchsorted((heaps[1:] + heaps[:-1]) / 2, values)] if len(heaps) else heaps


def _heaps(values: Floats) -> Floats:
    """The numbers that far more users have than the numbers around would suggest, ascending; none if it is a few.

    Expected are as many at each step, the smallest difference between any two numbers.
    """
    if not len(values):
        return values
    distinct, counts = np.unique(values, return_counts=True)
    low, high = np.quantile(values, [0.01, 0.99])
    around = float(high - low) * AROUND
    if around <= 0 or len(distinct) < LEAST_HEAPS:
        return values[:0]
    step = max(float(np.diff(distinct).min()), ROUNDING * around)
    below, above = np.maximum(distinct - around, distinct[0]), np.minimum(distinct + around, distinct[-1])
    users = np.concatenate([[0], np.cumsum(counts)])
    inside = users[np.searchsorted(distinct, above, "right")] - users[np.searchsorted(distinct, below)]
    expected = inside * step / (above - below + step)
    deviations = (counts - expected) / np.sqrt(np.maximum(expected, 1))
    is_heap: npt.NDArray[np.bool_] = (counts > LEAST_EXCESS * expected) & (deviations > LEAST_SIGNIFICANCE)
    return distinct[is_heap] if np.count_nonzero(is_heap) >= LEAST_HEAPS else values[:0]
