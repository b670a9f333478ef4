"""The sample as a picture in two dimensions."""

from __future__ import annotations

import numpy as np

from trainer.explaining.division import Division
from trainer.findings import Map

# Enough to draw a mark. More would be a fingerprint of a user, as would the order of the file.
DECIMALS = 1
ORDER_SEED = 0


def projection(division: Division) -> Map:
    """The users of the sample on their first two principal components, to one decimal, shuffled.

    Each axis points in the direction in which its most important column grows. With one column, all users are at 0 on
    the second axis.
    """
    centred = division.sample.scaled - division.sample.scaled.mean(axis=0)
    _, spreads, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2][np.arange(len(axes[:2])), np.abs(axes[:2]).argmax(axis=1)])[:, None]
    places = np.zeros((len(centred), 2))
    places[:, : len(axes)] = centred @ axes.T
    variances = spreads**2
    explained = np.zeros(2)
    if variances.sum() > 0:
        explained[: len(axes)] = variances[:2] / variances.sum()
    order = np.random.default_rng(ORDER_SEED).permutation(len(places))
    # Adding 0 turns −0.0 into 0.0.
    x, y = (np.round(places[order], DECIMALS) + 0.0).T.tolist()
    return Map(
        x=tuple(x),
        y=tuple(y),
        segment=tuple(division.numbers[index] for index in division.labels[order].tolist()),
        explained=(float(explained[0]), float(explained[1])),
    )
