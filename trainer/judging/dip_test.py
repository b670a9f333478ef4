"""Whether numbers are unimodal or multimodal: Hartigan's dip test, made safe for rounded numbers."""

from __future__ import annotations

from dataclasses import replace

import diptest
import numpy as np
import numpy.typing as npt

from models.encoding import Encoder, Floats, NumberColumn
from trainer.findings import Border
from trainer.fitting.sample import Sample
from trainer.fitting.scikit import Labels
from trainer.judging.heaping import without_heaps

GREATEST_P_VALUE = 0.05
# Two neighbours that differ by so much of their squared distance in one column of labels differ in nothing else.
MOST_OF_ONE_LABEL = 0.9
# Of the squared distance between two segments, in the columns of which a user has a value.
LEAST_OBSERVED = 0.5
# With fewer numbers the test is meaningless.
LEAST_NUMBERS = 4
DECIMALS = 9


def dip_p_value(values: Floats) -> float:
    """The chance of a dip at least as deep if the numbers, shape (n,), were unimodal (Hartigan & Hartigan 1985).

    Equal numbers are spread half way to the next: otherwise the test would take each value of a count, and each step
    of a rounded rate, for a mode of its own.
    """
    if len(values) < LEAST_NUMBERS or np.ptp(values) == 0:
        return 1.0
    return float(diptest.diptest(_spread(values))[1])


def _spread(values: Floats) -> Floats:
    """The numbers in ascending order, equal ones evenly over their share of the axis."""
    steps, counts = np.unique(values, return_counts=True)
    middles = (steps[1:] + steps[:-1]) / 2
    # The outermost have as much room outwards as inwards.
    edges = np.concatenate([[2 * steps[0] - middles[0]], middles, [2 * steps[-1] - middles[-1]]])
    rank = np.arange(len(values)) - np.repeat(np.cumsum(counts) - counts, counts)
    width = np.repeat(np.diff(edges) / counts, counts)
    spread: Floats = np.repeat(edges[:-1], counts) + (rank + 0.5) * width
    return spread


def multimodal_columns(sample: Sample) -> tuple[str, ...]:
    """Headers of the number columns that are multimodal by themselves, including those outside the distance.

    A column that repeats another one is not named again.

    Numbers are encoded as in the distance: clipped, and on a logarithmic scale if they are skewed. Modes that are only
    the numbers that users round to, or choose from a list, do not count. Bonferroni over the columns.
    """
    headers = {field.name: field.header for field in sample.distinct}
    columns = [
        replace(column, weight=1.0)
        for column in sample.encoder.columns
        if isinstance(column, NumberColumn) and column.name in headers
    ]
    limit = GREATEST_P_VALUE / max(len(columns), 1)

    def is_multimodal(column: NumberColumn) -> bool:
        values = sample.table[column.name].dropna().to_numpy(dtype=np.float64)
        encoded = Encoder((column,)).encode({column.name: values.tolist()}).matrix[:, 0]
        return dip_p_value(encoded) <= limit and dip_p_value(without_heaps(values, encoded)) <= limit

    return tuple(headers[column.name] for column in columns if is_multimodal(column))


def borders(sample: Sample, labels: Labels, centroids: Floats) -> tuple[Border, ...]:
    """Each cluster and the one with the nearest centre: the dip of the rows of both, projected on the line between.

    Between any two labels there is nothing, so a cut along one column of labels always shows a gap. Where neighbours
    differ in one such column alone, the p-value is 1: that is a label, and says nothing for a segment.
    """
    distances = np.linalg.norm(centroids[:, None] - centroids, axis=2)
    np.fill_diagonal(distances, np.inf)
    return tuple(
        Border(segment, neighbour, _dip_between(sample, labels, segment, neighbour, centroids))
        for segment, neighbour in enumerate(np.argmin(distances, axis=1).tolist())
    )


def _dip_between(sample: Sample, labels: Labels, one: int, other: int, centroids: Floats) -> float:
    difference = centroids[other] - centroids[one]
    for column, block in sample.encoder.blocks:
        apart = difference[block] @ difference[block]
        if not isinstance(column, NumberColumn) and apart > MOST_OF_ONE_LABEL * (difference @ difference):
            return 1.0
    pair = np.isin(labels, [one, other])
    if sample.holes is None:
        line = sample.scaled[pair] @ difference
    else:
        line = _observed_line(sample.scaled[pair], ~sample.holes[pair], labels[pair] == one, difference)
    # Equal users have one projection, whatever the last digit of a sum.
    return dip_p_value(np.round(line, DECIMALS))


def _observed_line(
    rows: Floats, observed: npt.NDArray[np.bool_], first: npt.NDArray[np.bool_], along: Floats
) -> Floats:
    """The projection of the rows (pair × width) by their observed values alone, from the middle between two segments.

    A missing value counts at the mean of all users. Projected there, it would fill the gap between two segments, or
    open one between users who have the value and users who lack it. Rows are left out if the columns that they lack
    make up most of the distance between the segments.
    """
    counts = [np.maximum(observed[each].sum(axis=0), 1) for each in (first, ~first)]
    sums = [(rows * observed)[each].sum(axis=0) for each in (first, ~first)]
    middle = (sums[0] / counts[0] + sums[1] / counts[1]) / 2
    share = observed @ along**2 / (along @ along)
    line: Floats = ((rows - middle) * observed) @ along / np.maximum(share, LEAST_OBSERVED)
    return line[share >= LEAST_OBSERVED]
