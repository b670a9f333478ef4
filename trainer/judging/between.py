"""How many users lie between segments: few where there is a gap, as many as anywhere where one cloud was cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.encoding import Floats
from trainer.judging.stability import Resample

# Of the way from the border to the own centre. Three widths from 0.2 to 0.5 judge alike.
NEAR_THE_BORDER = 1 / 3


def are_between(rows: Floats, centroids: Floats) -> npt.NDArray[np.bool_]:
    """Which rows (rows × width) lie between the nearest centre and another one.

    On the line between the two centres a row's position is 0 on the border and 1 at its own centre:
    (|x − c′|² − |x − c|²) / |c′ − c|². Directions in which the centres do not differ have no influence.
    """
    each = np.arange(len(rows))
    squares = (centroids**2).sum(axis=1) - 2 * rows @ centroids.T
    own = squares.argmin(axis=1)
    apart = ((centroids[:, None] - centroids) ** 2).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    positions = (squares - squares[each, own, None]) / apart[own]
    positions[each, own] = np.inf
    between: npt.NDArray[np.bool_] = positions.min(axis=1) < NEAR_THE_BORDER
    return between


def share_between(rows: Floats, found: Sequence[Floats]) -> float:
    """The share of rows between centres, mean over several sets of centres."""
    return float(np.mean([are_between(rows, centroids).mean() for centroids in found]))


def share_between_out_of_bag(scaled: Floats, resamples: Sequence[Resample]) -> float:
    """The share of rows between the centres of a resample that did not draw them, over all resamples.

    Centres lean towards gaps that chance has left among the rows they were found in; these rows are no evidence.
    """
    left_out = [np.bincount(resample.rows, minlength=len(scaled)) == 0 for resample in resamples]
    between = [
        are_between(scaled[rows], resample.centroids(scaled))
        for rows, resample in zip(left_out, resamples, strict=True)
    ]
    return float(np.concatenate(between).mean())
