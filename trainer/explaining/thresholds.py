"""Where to cut a number that has several peaks: at the fewest users between two of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np

from models.encoding import Encoder, Floats, NumberColumn
from trainer.explaining.tiers import LEAST_SHARE, roundest
from trainer.explaining.traits import in_its_unit
from trainer.findings import Threshold
from trainer.fitting.sample import Sample

BINS = 511
# A valley is this much lower than the lower of its peaks, or nothing is said of where it is.
LEAST_DEPTH = 0.1
# The numbers that are as rare as this share of the valley's depth above its ground are as good a limit.
GROUND = 0.1


def thresholds(sample: Sample, multimodal: Collection[str]) -> tuple[Threshold, ...]:
    """A limit in each number column of these headers, round, between the two peaks with the deepest valley.

    The density is estimated as the column counts in the distance: clipped, and on a logarithmic scale if it is skewed.
    A column whose valley is too shallow for a limit has none.
    """
    return tuple(_limits(sample, multimodal))


def _limits(sample: Sample, multimodal: Collection[str]) -> Iterator[Threshold]:
    columns = {column.name: column for column in sample.encoder.columns if isinstance(column, NumberColumn)}
    for field in sample.fields:
        column = columns.get(field.name)
        if column is not None and field.header in multimodal:
            values = sample.table[field.name].dropna().tolist()
            encoded = Encoder((replace(column, weight=1.0),)).encode({field.name: values}).matrix[:, 0]
            valley = _valley(encoded)
            if valley is not None:
                limit = roundest(*(in_its_unit(column, each) for each in valley))
                yield Threshold(field.name, field.header, field.kind, limit)


def _valley(values: Floats) -> tuple[float, float, float] | None:
    """Where the ground of the deepest valley of the density begins and ends, and its lowest place.

    Gaussian kernels, with Silverman's bandwidth (1986, 3.31), which smooths two peaks rather too much than too little,
    and at least the usual step from one number to the next. A tenth of the users is on either side.
    """
    quartiles = np.quantile(values, [0.25, 0.75])
    spread = min(float(values.std()), float(np.diff(quartiles)[0]) / 1.34) or float(values.std())
    step = float(np.median(np.diff(np.unique(values))))
    counts, edges = np.histogram(values, BINS)
    places = (edges[:-1] + edges[1:]) / 2
    bandwidth = max(0.9 * spread * len(values) ** -0.2, step)
    kernel = np.exp(-0.5 * ((places - places[BINS // 2]) / bandwidth) ** 2)
    density = np.convolve(counts, kernel, "same")
    peaks = np.minimum(np.maximum.accumulate(density), np.maximum.accumulate(density[::-1])[::-1])
    below = np.cumsum(counts) / len(values)
    depth = np.where(np.minimum(below, 1 - below) >= LEAST_SHARE, peaks - density, 0.0)
    lowest = int(depth.argmax())
    if depth[lowest] <= LEAST_DEPTH * peaks[lowest]:
        return None
    high = np.flatnonzero(density > density[lowest] + GROUND * depth[lowest])
    at = int(np.searchsorted(high, lowest))
    return float(places[high[at - 1]]), float(places[high[at] - 1]), float(places[lowest])
