"""Numbers that people round: the units that they round to, as multiples of 5 or of 10 (heaping, digit preference)."""

from __future__ import annotations

import numpy as np

from models.encoding import Floats

# Times powers of ten: also dozens, quarters of an hour, weeks and half minutes.
UNITS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 5.0, 6.0, 7.0)
# The smallest unit that is looked for, in units of the middle 98 % of the numbers; smaller heaps are no modes.
SMALLEST_UNIT = 1e-3
# One or two frequent numbers are a default or a threshold; rounding shows at many multiples.
LEAST_HEAPS = 4
LEAST_EXCESS = 1.5
# In standard deviations of the count that is expected.
LEAST_SIGNIFICANCE = 4.0
ROUNDING = 1e-6


def without_heaps(values: Floats) -> Floats:
    """The numbers rounded to the units that many of them are rounded to already, shape (n,).

    Who rounds to fives in any case and who is rounded here then look alike: what is left is the distribution of the
    numbers in steps of five, and its modes are theirs. Numbers without heaps stay as they are.
    """
    low, high = np.quantile(values, [0.01, 0.99])
    spread = float(high - low)
    if spread <= 0:
        return values
    first, last = (int(np.floor(np.log10(bound))) for bound in (spread * SMALLEST_UNIT, spread))
    units = [unit * 10.0**power for power in range(first, last + 1) for unit in UNITS]
    units = [unit for unit in units if spread * SMALLEST_UNIT <= unit <= spread / LEAST_HEAPS]
    while units:
        heaped = {unit: _heaped_users(values, unit) for unit in units}
        unit = max(units, key=lambda unit: heaped[unit])
        if not heaped[unit]:
            break
        values = _rounded(values, unit) * unit
        # Heaps of a coarser unit may be left, as of tens among fives.
        units = [coarser for coarser in units if coarser > unit and abs(coarser / unit % 1) < ROUNDING]
    return values


def _rounded(values: Floats, unit: float) -> Floats:
    """The nearest multiple, in units; half way always up, so that every multiple takes in as much of the axis."""
    multiples: Floats = np.floor(values / unit + 0.5)
    return multiples


def _heaped_users(values: Floats, unit: float) -> float:
    """How many users more than expected have a multiple of the unit; 0 if that is not rounding.

    Expected are as many as have any other of the numbers that are nearest to the same multiple.
    """
    distinct, counts = np.unique(values, return_counts=True)
    nearest = _rounded(distinct, unit)
    # 0 is a multiple of every unit, and often a heap for reasons of its own.
    distinct, counts, nearest = (each[nearest != 0] for each in (distinct, counts, nearest))
    _, cell = np.unique(nearest, return_inverse=True)
    expected = np.bincount(cell, counts) / np.bincount(cell)
    at_multiple = np.abs(distinct / unit - nearest) < ROUNDING
    heaps = np.bincount(cell, counts * at_multiple)
    excess = float((heaps - expected).sum())
    is_rounding = (
        np.count_nonzero(heaps > LEAST_EXCESS * expected) >= LEAST_HEAPS
        and heaps.sum() > LEAST_EXCESS * expected.sum()
        and excess > LEAST_SIGNIFICANCE * np.sqrt(expected.sum())
    )
    return excess if is_rounding else 0.0
