"""The number of segments: the one with the best separated segments, none of them too small."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from models.encoding import Floats
from schemas.counting import counted
from trainer.errors import FitRefused
from trainer.fitting.scikit import Clusters, Labels, cluster, cluster_from, silhouettes

FEWEST_SEGMENTS = 2
MOST_SEGMENTS = 10
LEAST_USERS = 20
LEAST_SHARE = 0.03
# The gain in silhouette for which a fresh start replaces the segments in production: people who know those must learn
# new ones.
GAIN_TO_START_AFRESH = 0.02


class Start(Enum):
    """Where k-means began."""

    FRESH = auto()
    """At users drawn at random (k-means++)."""
    WARM = auto()
    """At the centres of the model in production."""
    HALVES = auto()
    """Nowhere: wherever it begins, a few extreme users get a segment of their own. The users were halved instead."""


@dataclass(frozen=True, slots=True)
class SearchRange:
    """Which numbers of segments are tried, and how small a segment may be."""

    max_k: int
    min_segment_users: int
    rows: int
    """Users of the whole history, of which the judged sample is a part."""

    @property
    def least_share(self) -> float:
        """The smallest share of users that a segment may have."""
        return max(self.min_segment_users / self.rows, LEAST_SHARE)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One number of segments that was tried, measured on the sample."""

    k: int
    start: Start
    silhouette: float
    inertia: float
    labels: Labels
    """The cluster of each row of the sample."""
    centroids: Floats
    """Shape (k, width), scaled space: where the fit on all rows starts."""

    @property
    def smallest_rows(self) -> int:
        """Rows of its smallest segment."""
        return int(np.bincount(self.labels, minlength=self.k).min())

    @property
    def smallest_share(self) -> float:
        """Share of rows in its smallest segment."""
        return self.smallest_rows / len(self.labels)


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen number of segments, with the evidence."""

    chosen: Candidate
    runner_up: Candidate | None
    """The next best that could have been chosen, of another k."""
    candidates: tuple[Candidate, ...]
    """In ascending k; one only where k was given. The chosen one is among them."""
    elbow_k: int | None
    """Where the curve of inertia bends most; at best tried, never decisive."""
    least_share: float
    """The smallest share of rows that a segment might have; 0 where k was given."""
    k_was_given: bool


def choose_k(
    scaled: Floats, limits: SearchRange, seed: int, warm: Floats | None, on_progress: Callable[[int, int], None]
) -> Choice:
    """The k of 2 … max_k with the highest silhouette on a sample (rows × width), its segments large enough.

    warm are the centres of the model in production (k₀ × width), in the same space: the result of k-means
    from there is chosen unless a fresh start gains more than 0.02 in silhouette. Where no k leaves every segment large
    enough, two halves are chosen, which show no more than that. on_progress is called with how many numbers were
    tried, of how many. Raises FitRefused when there are too few rows, or too few different ones to halve them.
    """
    least = limits.least_share
    needed = FEWEST_SEGMENTS * limits.min_segment_users
    if limits.rows < needed:
        raise FitRefused(
            f"the history has {counted(limits.rows, 'row')}, too few to choose a number of segments ({needed:,} are "
            "needed): add history, or give the number with --k"
        )
    ks = range(FEWEST_SEGMENTS, limits.max_k + 1)
    fresh = search(scaled, ks, seed, on_progress)
    best = best_first(fresh, least)
    chosen = best[0] if best else None
    candidates = fresh
    if warm is not None and len(warm) in [candidate.k for candidate in fresh]:
        (kept,) = _candidates(Start.WARM, [cluster_from(scaled, warm)], scaled)
        if kept.smallest_share >= least:
            chosen = first = _unless_better(kept, chosen)
            candidates = tuple(first if each.k == first.k else each for each in fresh)
    if chosen is None and fresh:
        halves = _halves(scaled)
        if halves.smallest_share >= least:
            chosen = halves
            candidates = (halves, *fresh[1:])
    if chosen is None:
        too_few = math.ceil(least * limits.rows)
        raise FitRefused(
            f"every number of segments leaves one with fewer than {too_few:,} of the {limits.rows:,} rows: "
            "look for extreme rows in the history, add history, or give the number with --k"
        )
    return Choice(
        chosen=chosen,
        runner_up=next((candidate for candidate in best if candidate.k != chosen.k), None),
        candidates=candidates,
        elbow_k=_elbow(fresh),
        least_share=least,
        k_was_given=False,
    )


def given_k(scaled: Floats, k: int, seed: int, warm: Floats | None) -> Choice:
    """The choice of the user, started warm as in choose_k where production has as many segments.

    Raises FitRefused when there are too few rows for it.
    """
    if len(scaled) <= k:
        rows = counted(len(scaled), "row")
        raise FitRefused(f"the history has {rows}, too few for {k} segments: give a smaller --k, or add history")
    found = search(scaled, (k,), seed, lambda *_: None)
    if not found:
        users = counted(different_rows(scaled), "different user")
        raise FitRefused(f"the history has only {users}, too few for {k} segments: give a smaller --k")
    (chosen,) = found
    if warm is not None and len(warm) == k:
        (kept,) = _candidates(Start.WARM, [cluster_from(scaled, warm)], scaled)
        chosen = _unless_better(kept, chosen)
    return Choice(chosen, None, (chosen,), None, least_share=0.0, k_was_given=True)


def search(
    scaled: Floats, ks: Sequence[int], seed: int, on_progress: Callable[[int, int], None]
) -> tuple[Candidate, ...]:
    """A candidate for each k with enough distinct rows: the same search for data and for its null data sets."""
    different = different_rows(scaled)
    possible = [k for k in ks if k <= different]
    found: list[Clusters] = []
    for k in possible:
        found.append(cluster(scaled, k, seed))
        on_progress(len(found), len(possible))
    return _candidates(Start.FRESH, found, scaled)


def different_rows(scaled: Floats) -> int:
    """The number of distinct rows."""
    rows = np.ascontiguousarray(scaled) + 0.0  # turns −0 into 0: bytes are compared below
    return len(np.unique(rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))))


def best_first(candidates: Sequence[Candidate], least_share: float) -> list[Candidate]:
    """The candidates with large enough segments, by silhouette, highest first; ties go to the smaller k."""
    allowed = [candidate for candidate in candidates if candidate.smallest_share >= least_share]
    return sorted(allowed, key=lambda candidate: (-candidate.silhouette, candidate.k))


def _unless_better(warm: Candidate, fresh: Candidate | None) -> Candidate:
    if fresh is not None and fresh.silhouette - warm.silhouette > GAIN_TO_START_AFRESH:
        return fresh
    return warm


def _candidates(start: Start, found: Sequence[Clusters], sample: Floats) -> tuple[Candidate, ...]:
    apart = silhouettes(sample, [clusters.labels for clusters in found])
    return tuple(
        Candidate(
            k=len(clusters.centroids),
            start=start,
            silhouette=silhouette,
            inertia=clusters.inertia,
            labels=clusters.labels,
            centroids=clusters.centroids,
        )
        for clusters, silhouette in zip(found, apart, strict=True)
    )


def _halves(scaled: Floats) -> Candidate:
    """Users on either side of the median of their main axis, at the medians of these halves, which no extreme moves."""
    axis = np.linalg.svd(scaled - scaled.mean(axis=0), full_matrices=False)[2][0]
    along = scaled @ axis
    upper = along > np.median(along)
    if not upper.any():  # more than half of the users are at the end
        upper = along >= np.median(along)
    centroids = np.array([np.median(scaled[half], axis=0) for half in (~upper, upper)])
    squares = np.square(scaled[:, None] - centroids).sum(axis=2)
    labels: Labels = squares.argmin(axis=1)
    (silhouette,) = silhouettes(scaled, [labels])
    return Candidate(len(centroids), Start.HALVES, silhouette, float(squares.min(axis=1).sum()), labels, centroids)


def _elbow(candidates: Sequence[Candidate]) -> int | None:
    """Where the curve of inertia is furthest below the line between its ends (Satopää et al. 2011).

    None where that is less than the line falls from one number of segments to the next.
    """
    if len(candidates) < 3:  # a curve of two points does not bend
        return None
    inertia = np.array([candidate.inertia for candidate in candidates])
    below = np.linspace(inertia[0], inertia[-1], len(inertia)) - inertia
    furthest = int(below.argmax())
    bends = below[furthest] > (inertia[0] - inertia[-1]) / (len(inertia) - 1)
    return candidates[furthest].k if bends else None
