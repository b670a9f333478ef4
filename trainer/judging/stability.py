"""Whether segments are found again in bootstrap resamples of the users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from models.encoding import Floats
from trainer.fitting.choose_k import Candidate, different_rows
from trainer.fitting.scikit import Labels, cluster_drawn, on_all_cores

# Keeps the random draws here apart from those of the data without segments.
STREAM = 1


@dataclass(frozen=True, slots=True)
class Resample:
    """A bootstrap resample of the users, and the segments that a new search finds in it."""

    rows: npt.NDArray[np.intp]
    """Drawn with replacement, shape (n,)."""
    labels: Labels
    """The cluster of each drawn row, under the number of the solution's cluster that it was matched to, shape (n,)."""

    def centroids(self, scaled: Floats) -> Floats:
        """The centres of these segments in the sample that was resampled; fewer where one was not found again."""
        sizes = np.bincount(self.labels)
        sums = np.zeros((len(sizes), scaled.shape[1]))
        np.add.at(sums, self.labels, scaled[self.rows])
        centroids: Floats = sums[sizes > 0] / sizes[sizes > 0, None]
        return centroids


@dataclass(frozen=True, slots=True)
class Stability:
    """How well each cluster of a solution is found again."""

    jaccard: tuple[float, ...]
    """Per cluster of the solution: mean over the resamples of the Jaccard index with its match (Hennig 2007)."""
    resamples: tuple[Resample, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How many resamples are drawn for one solution."""

    solution: Candidate
    resamples: int


def stabilities(
    scaled: Floats, plans: Sequence[Plan], seed: int, on_progress: Callable[[int, int], None]
) -> tuple[Stability, ...]:
    """How well the clusters of each solution of a sample (rows × width) are found again.

    A resample has as many rows as the sample, drawn with replacement, and is clustered from fresh starts: one that
    began at the solution would find it again too easily. Clusters are matched on the rows that were drawn, each
    counted once, so that the sum of the Jaccard indices is greatest. on_progress gets the number of resamples done and
    the total.
    """
    asked = [(plan.solution, draw) for plan in plans for draw in range(plan.resamples)]
    found: list[tuple[Floats, Resample]] = []
    for each in on_all_cores(partial(_resampled, scaled, seed), asked, scaled):
        found.append(each)
        on_progress(len(found), len(asked))
    ends = np.cumsum([plan.resamples for plan in plans]).tolist()
    parts = [found[end - plan.resamples : end] for plan, end in zip(plans, ends, strict=True)]
    return tuple(
        Stability(
            jaccard=tuple(np.mean([jaccard for jaccard, _ in part], axis=0).tolist()),
            resamples=tuple(resample for _, resample in part),
        )
        for part in parts
    )


def _resampled(scaled: Floats, seed: int, asked: tuple[Candidate, int]) -> tuple[Floats, Resample]:
    solution, draw = asked
    generator = np.random.default_rng(np.random.SeedSequence([seed, STREAM, draw]))
    times = np.bincount(generator.integers(0, len(scaled), len(scaled)), minlength=len(scaled))
    rows = np.flatnonzero(times)
    k = min(solution.k, different_rows(scaled[rows]))
    labels = cluster_drawn(scaled[rows], times[rows], k, int(generator.integers(2**31)))
    jaccard, match = _matched(solution.labels[rows], labels, solution.k)
    return jaccard, Resample(np.repeat(rows, times[rows]), np.repeat(match[labels], times[rows]))


def _matched(before: Labels, after: Labels, k: int) -> tuple[Floats, Labels]:
    """For each of the k clusters before, the Jaccard index with its match; for each cluster after, its match."""
    both = np.bincount(before * k + after, minlength=k * k).reshape(k, k).astype(np.float64)
    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0) - both
    shared = both / np.maximum(either, 1.0)
    of_before, of_after = linear_sum_assignment(shared, maximize=True)
    match = np.empty(k, dtype=np.intp)
    match[of_after] = of_before
    return shared[of_before, of_after], match
