"""How many users lie between segments: few where there is a gap, as many as anywhere where one cloud was cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components

from models.encoding import Floats
from trainer.judging.stability import Resample

# Of the way from the border to the own centre. Three widths from 0.2 to 0.5 judge alike.
NEAR_THE_BORDER = 1 / 3
NOWHERE = -1

Numbers = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Centres:
    """The centres of the segments that were found again in a resample."""

    numbers: Numbers
    """The number of each one's segment."""
    centroids: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Between:
    """Where users lie, counted over several sets of centres."""

    users: Floats
    """Users of each segment, shape (k,)."""
    pairs: Floats
    """Of these, the users between each two segments, on either side of their border; symmetric, shape (k, k)."""

    @property
    def share(self) -> float:
        """The share of users that lie between segments."""
        return float(self.pairs.sum() / 2 / self.users.sum())

    @property
    def shares(self) -> Floats:
        """For each two segments, the share of their users that lie between them, shape (k, k)."""
        shares: Floats = self.pairs / np.maximum(self.users[:, None] + self.users, 1)
        return shares


def neighbours(rows: Floats, centroids: Floats) -> tuple[Numbers, Numbers]:
    """The nearest centre of each row (rows × width), and the one that the row lies between this and, or NOWHERE.

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
    other = positions.argmin(axis=1)
    return own, np.where(positions[each, other] < NEAR_THE_BORDER, other, NOWHERE)


def between(rows: Floats, found: Sequence[Centres]) -> Between:
    """Where rows lie, over several sets of centres."""
    return _counted((rows, centres) for centres in found)


def between_out_of_bag(scaled: Floats, resamples: Sequence[Resample]) -> Between:
    """Where rows lie at the centres of a resample that did not draw them, over all resamples.

    Centres lean towards gaps that chance has left among the rows they were found in; these rows are no evidence.
    """
    return _counted(
        (scaled[np.bincount(resample.rows, minlength=len(scaled)) == 0], centres_of(resample, scaled))
        for resample in resamples
    )


def centres_of(resample: Resample, scaled: Floats) -> Centres:
    """The centres of a resample of the sample."""
    return Centres(np.unique(resample.labels), resample.centroids(scaled))


def are_joined(data: Between, nulls: Sequence[Between], least_separation: float, least_room: float) -> bool:
    """Whether the segments hang together by borders that are crowded, so that no gap goes all the way through.

    A border is crowded if the separation of its two segments alone is below the least one. Where data without segments
    have a smaller share of these users there than the least room, nothing can be said, and the border joins nothing.
    """
    expected = np.mean([null.shares for null in nulls], axis=0)
    crowded = (expected >= least_room) & (data.shares > (1 - least_separation) * expected)
    return int(connected_components(crowded, directed=False, return_labels=False)) == 1


def _counted(placed: Iterable[tuple[Floats, Centres]]) -> Between:
    parts = [*placed]
    k = 1 + max(int(centres.numbers.max()) for _, centres in parts)
    users, pairs = np.zeros(k), np.zeros((k, k))
    for rows, centres in parts:
        own, other = neighbours(rows, centres.centroids)
        users += np.bincount(centres.numbers[own], minlength=k)
        here = other != NOWHERE
        np.add.at(pairs, (centres.numbers[own[here]], centres.numbers[other[here]]), 1)
    return Between(users, pairs + pairs.T)
