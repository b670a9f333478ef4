"""How many users lie between segments: few where there is a gap, as many as anywhere where one cloud was cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
    return _counted(_out_of_bag(scaled, resamples))


def _out_of_bag(scaled: Floats, resamples: Sequence[Resample]) -> Iterator[tuple[Floats, Centres]]:
    for resample in resamples:
        yield scaled[np.bincount(resample.rows, minlength=len(scaled)) == 0], centres_of(resample, scaled)


def bends_out_of_bag(scaled: Floats, resamples: Sequence[Resample]) -> Floats:
    """For each two segments, how far aside of the line between their centres the users between them lie, shape (k, k).

    It is the distance of their mean from the line, where the centres are 2 apart, less what chance accounts for, at the
    centres of resamples that did not draw these users. Between groups it is near 0; of half a circle, cut in two, .57.
    """
    k = 1 + max(int(resample.labels.max()) for resample in resamples)
    counts, lengths, sums = np.zeros((k, k)), np.zeros((k, k)), np.zeros((k, k, scaled.shape[1]))
    left_out = 0
    for rows, centres in _out_of_bag(scaled, resamples):
        own, other = neighbours(rows, centres.centroids)
        here = other != NOWHERE
        pair = centres.centroids[own[here]], centres.centroids[other[here]]
        halves = (pair[1] - pair[0]) / 2
        squares = (halves**2).sum(axis=1, keepdims=True)
        from_middle = rows[here] - (pair[0] + pair[1]) / 2
        aside = (from_middle - (from_middle * halves).sum(axis=1, keepdims=True) / squares * halves) / np.sqrt(squares)
        at = centres.numbers[own[here]], centres.numbers[other[here]]
        for ends in (at, at[::-1]):
            np.add.at(counts, ends, 1)
            np.add.at(lengths, ends, (aside**2).sum(axis=1))
            np.add.at(sums, ends, aside)
        left_out += len(rows)
    counts = np.maximum(counts, 1)
    mean = ((sums / counts[:, :, None]) ** 2).sum(axis=2)
    # Each user is left out by several resamples.
    users = np.maximum(counts * len(scaled) / left_out, 1)
    bends: Floats = np.sqrt(np.maximum(mean - (lengths / counts - mean) / users, 0))
    return bends


def centres_of(resample: Resample, scaled: Floats) -> Centres:
    """The centres of a resample of the sample."""
    return Centres(np.unique(resample.labels), resample.centroids(scaled))


def are_joined(data: Between, nulls: Sequence[Between], least_separations: Floats, least_room: float) -> bool:
    """Whether the segments hang together by borders that are crowded, so that no gap goes all the way through.

    A border is crowded if the separation of its two segments alone is below the least one. Where data without segments
    have a smaller share of these users there than the least room, nothing can be said, and the border joins nothing.
    """
    expected = np.mean([null.shares for null in nulls], axis=0)
    crowded = (expected >= least_room) & (data.shares > (1 - least_separations) * expected)
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
