"""Tiers by one number, for data that have no segments: cut points that anybody can apply."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from models.encoding import Floats
from schemas.roles import Kind
from trainer.explaining.traits import traits
from trainer.findings import Tiers
from trainer.fitting.sample import Sample
from trainer.privacy import LEAST_SHOWN

QUANTILES = (1 / 3, 2 / 3)
LEAST_SHARE = 0.1
"""No tier has a smaller share of the sampled users."""
NEAR = 0.02
"""A rounder number is taken for a cut if it moves this share of the users at most."""
MOST_DIGITS = 17
"""Digits of a float64."""


def tiers(sample: Sample, not_named: frozenset[str], thresholds: Mapping[str, float]) -> Tiers | None:
    """Low, middle and high users by one number that counts in the distance; None where no number can be cut.

    The number is the one that follows the first principal component most closely, and belongs to none of the groups
    not_named. Cuts are the roundest numbers within two points of its terciles, or as near as its values allow; where
    many users have the same value, there may be one cut only. A number with a limit among thresholds (by field) is cut
    there, since its values have several peaks. Every tier has at least a tenth of the users, and 20.
    """
    components = sample.scaled - sample.scaled.mean(axis=0)
    axis = components @ np.linalg.svd(components, full_matrices=False)[2][0]
    groups = {field.name: field.group for field in sample.fields}
    # Numbers and dates are the first columns of the matrix.
    names = [column.name for column in sample.encoder.kept if column.kind is Kind.NUMBER]
    found = [
        (abs(_correlation(components[:, place], axis)), name)
        for place, name in enumerate(names)
        if groups[name] not in not_named
    ]
    # Rounded, so that the last digits of a sum do not order equal numbers: then the order of the fields does.
    for correlation, name in sorted(found, key=lambda each: -round(each[0], 6)):
        (field,) = (field for field in sample.fields if field.name == name)
        values = traits(sample, field)[0].values
        values = values[~np.isnan(values)]
        between_peaks = _enough_on_both_sides(values, thresholds.get(name))
        cuts = _cuts(values) if between_peaks is None else (between_peaks,)
        if cuts:
            bins = np.bincount(np.searchsorted(cuts, values, side="right"), minlength=len(cuts) + 1)
            return Tiers(field.name, field.header, field.kind, correlation, cuts, tuple((bins / len(values)).tolist()))
    return None


def _correlation(values: Floats, axis: Floats) -> float:
    product = float(np.sqrt((values**2).sum() * (axis**2).sum()))
    return float(values @ axis) / product if product > 0 else 0.0


def _enough_on_both_sides(values: Floats, threshold: float | None) -> float | None:
    """The threshold, unless too few users are on one side of it."""
    if threshold is None:
        return None
    below = int((values < threshold).sum())
    return threshold if min(below, len(values) - below) >= _least(values) else None


def _least(values: Floats) -> float:
    return max(LEAST_SHOWN, LEAST_SHARE * len(values))


def _cuts(values: Floats) -> tuple[float, ...]:
    """At most two values, ascending; users at a cut are above it."""
    ordered, users, least = np.sort(values), len(values), _least(values)
    # A cut above one value and up to the next has this many users below it.
    possible = np.flatnonzero(np.diff(ordered) > 0) + 1
    cuts: list[float] = []
    last = 0
    for quantile in QUANTILES:
        possible = possible[(possible - last >= least) & (users - possible >= least)]
        if possible.size:
            off = np.abs(possible - quantile * users)
            near = possible[off <= off.min() + NEAR * users]
            cut = roundest(ordered[near[0] - 1], ordered[near[-1]], ordered[possible[off.argmin()]])
            cuts.append(cut)
            last = int((values < cut).sum())
    return tuple(cuts)


def roundest(above: float, up_to: float, wanted: float) -> float:
    """The number in (above, up_to] with the fewest decimals, or the most zeros; of those the nearest to the wanted."""
    low, high = Decimal(float(above)), Decimal(float(up_to))
    exponent = max(low.adjusted(), high.adjusted()) + 1
    while True:
        step = Decimal(1).scaleb(exponent)
        nearest = (Decimal(float(wanted)) / step).to_integral_value() * step
        for number in (nearest, nearest - step, nearest + step):
            # As a float it may have been rounded out of the range.
            if low < number <= high and above < (found := float(number)) <= up_to:
                return found + 0.0  # not −0
        if exponent < high.adjusted() - MOST_DIGITS:
            return float(up_to)
        exponent -= 1
