"""Tiers by one number, for data that have no segments: cut points that anybody can apply."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.encoding import Floats
from schemas.roles import Kind
from trainer.explaining.traits import traits
from trainer.findings import Tiers
from trainer.fitting.sample import Sample
from trainer.privacy import LEAST_SHOWN

QUANTILES = (1 / 3, 2 / 3)
LEAST_SHARE = 0.1
"""No tier has a smaller share of the sampled users."""


def tiers(sample: Sample, not_named: frozenset[str]) -> Tiers | None:
    """Low, middle and high users by one number that counts in the distance; None where no number can be cut.

    The number is the one that follows the first principal component most closely, and belongs to none of the groups
    not_named. Cuts are near its terciles, rounded to about a tenth of its standard deviation. Where many users have the
    same value, there may be one cut only. Every tier has at least a tenth of the users, and 20.
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
        cuts = _cuts(values)
        if cuts:
            bins = np.bincount(np.searchsorted(cuts, values, side="right"), minlength=len(cuts) + 1)
            return Tiers(field.name, field.header, field.kind, correlation, cuts, tuple((bins / len(values)).tolist()))
    return None


def _correlation(values: Floats, axis: Floats) -> float:
    product = float(np.sqrt((values**2).sum() * (axis**2).sum()))
    return float(values @ axis) / product if product > 0 else 0.0


def _cuts(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """At most two values, ascending; users at a cut are above it."""
    spread = float(values.std()) if values.size else 0.0
    if spread == 0:
        return ()
    decimals = 1 - math.floor(math.log10(spread))
    candidates: Sequence[float] = sorted({round(value, decimals) for value in values.tolist()})
    below = np.searchsorted(np.sort(values), candidates, side="left")
    least = max(LEAST_SHOWN, LEAST_SHARE * len(values))
    cuts: list[float] = []
    last = 0
    for quantile in QUANTILES:
        possible = np.flatnonzero((below - last >= least) & (len(values) - below >= least))
        if possible.size:
            best = possible[np.abs(below[possible] / len(values) - quantile).argmin()]
            cuts.append(candidates[best])
            last = int(below[best])
    return tuple(cuts)
