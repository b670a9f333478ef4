"""How many users lie between segments: few where there is a gap, as many as anywhere where one cloud was cut."""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Where rows lie at one set of centres."""

    centres: Centres
    rows: Numbers
    """Which rows."""
    own: Numbers
    """The place among the centres of the one nearest to each of these rows."""
    other: Numbers
    """That of the one between which and its own the row lies, or NOWHERE."""

    @property
    def between(self) -> tuple[Numbers, Numbers, Numbers]:
        """The rows that lie between two centres, and the places of the two."""
        here = self.other != NOWHERE
        return self.rows[here], self.own[here], self.other[here]


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
    each = np.arange(len(rows))
    return counted([Placed(centres, each, *neighbours(rows, centres.centroids)) for centres in found])


def out_of_bag(scaled: Floats, resamples: Sequence[Resample]) -> list[Placed]:
    """Where the rows lie at the centres of each resample that did not draw them.

    Centres lean towards gaps that chance has left among the rows they were found in; these rows are no evidence.
    """
    placed = []
    for resample in resamples:
        rows = np.flatnonzero(np.bincount(resample.rows, minlength=len(scaled)) == 0)
        centres = Centres(np.unique(resample.labels), resample.centroids(scaled))
        placed.append(Placed(centres, rows, *neighbours(scaled[rows], centres.centroids)))
    return placed


def bends(scaled: Floats, placed: Sequence[Placed]) -> Floats:
    """For each two segments, how far aside of the line between their centres the users between them lie, shape (k, k).

    It is the distance of their mean from the line, where the centres are 2 apart, less what chance accounts for.
    Between groups it is near 0; of half a circle, cut in two, .57. scaled has the rows that were placed.
    """
    k = _segments(placed)
    counts, lengths, sums = np.zeros((k, k)), np.zeros((k, k)), np.zeros((k, k, scaled.shape[1]))
    for each in placed:
        rows, own, other = each.between
        centroids, numbers = each.centres.centroids, each.centres.numbers
        halves = (centroids[other] - centroids[own]) / 2
        squares = (halves**2).sum(axis=1, keepdims=True)
        from_middle = scaled[rows] - (centroids[own] + centroids[other]) / 2
        aside = (from_middle - (from_middle * halves).sum(axis=1, keepdims=True) / squares * halves) / np.sqrt(squares)
        at = numbers[own], numbers[other]
        for ends in (at, at[::-1]):
            np.add.at(counts, ends, 1)
            np.add.at(lengths, ends, (aside**2).sum(axis=1))
            np.add.at(sums, ends, aside)
    counts = np.maximum(counts, 1)
    mean = ((sums / counts[:, :, None]) ** 2).sum(axis=2)
    # Each user is placed several times.
    users = np.maximum(counts * len(scaled) / sum(len(each.rows) for each in placed), 1)
    aside_of_line: Floats = np.sqrt(np.maximum(mean - (lengths / counts - mean) / users, 0))
    return aside_of_line


def are_joined(data: Between, nulls: Sequence[Between], least_separations: Floats, least_room: float) -> bool:
    """Whether the segments hang together by borders that are crowded, so that no gap goes all the way through.

    A border is crowded if the separation of its two segments alone is below the least one. Where data without segments
    have a smaller share of these users there than the least room, nothing can be said, and the border joins nothing.
    """
    expected = np.mean([null.shares for null in nulls], axis=0)
    crowded = (expected >= least_room) & (data.shares > (1 - least_separations) * expected)
    return int(connected_components(crowded, directed=False, return_labels=False)) == 1


def counted(placed: Sequence[Placed]) -> Between:
    """Where the rows lie, over all sets of centres."""
    k = _segments(placed)
    users, pairs = np.zeros(k), np.zeros((k, k))
    for each in placed:
        numbers = each.centres.numbers
        users += np.bincount(numbers[each.own], minlength=k)
        _, own, other = each.between
        np.add.at(pairs, (numbers[own], numbers[other]), 1)
    return Between(users, pairs + pairs.T)


def _segments(placed: Sequence[Placed]) -> int:
    return 1 + max(int(each.centres.numbers.max()) for each in placed)
