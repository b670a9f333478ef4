"""How many segments: the number whose segments are the most apart, among those that leave none too small."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from kneed import KneeLocator

from models.encoding import Floats
from trainer.errors import FitRefused
from trainer.scikit import Clusters, cluster, silhouette

FEWEST_SEGMENTS = 2
MOST_SEGMENTS = 10
SAMPLE_ROWS = 3_000
LEAST_ROWS = 20
LEAST_SHARE = 0.03


@dataclass(frozen=True, slots=True)
class Candidate:
    """One number of segments that was tried, measured on the sample."""

    k: int
    silhouette: float
    inertia: float
    smallest_share: float
    """Share of rows in its smallest segment."""
    centroids: Floats
    """Shape (k, width), scaled space: where the fit on all rows starts."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The number of segments with all that was weighed."""

    chosen: Candidate
    runner_up: Candidate | None
    candidates: tuple[Candidate, ...]
    """In ascending k; one only where k was given."""
    elbow_k: int | None
    """Where the curve of inertia bends most; shown, never decides."""


def least_share(rows: int) -> float:
    """The smallest share of rows that a segment may have: 20 rows, and 3 %."""
    return max(LEAST_ROWS / rows, LEAST_SHARE)


def choose_k(scaled: Floats, seed: int, tried: Callable[[int, int], None]) -> Choice:
    """The k of 2 … 10 with the highest silhouette on a sample of at most 3,000 rows, its segments large enough.

    tried is told how many numbers were tried, of how many. Raises FitRefused when no k leaves every segment large
    enough.
    """
    rows = len(scaled)
    if rows < FEWEST_SEGMENTS * LEAST_ROWS:
        raise FitRefused(
            f"{rows} rows are too few to choose a number of segments, {FEWEST_SEGMENTS * LEAST_ROWS} are needed: "
            "add history, or give the number with --k"
        )
    sample = _sample(scaled, seed)
    ks = range(FEWEST_SEGMENTS, min(MOST_SEGMENTS, len(np.unique(sample, axis=0))) + 1)
    candidates: list[Candidate] = []
    for k in ks:
        candidates.append(_candidate(sample, k, seed))
        tried(len(candidates), len(ks))
    least = least_share(rows)
    qualified = sorted(
        (candidate for candidate in candidates if candidate.smallest_share >= least),
        key=lambda candidate: (-candidate.silhouette, candidate.k),
    )
    if not qualified:
        raise FitRefused(
            f"any number of segments leaves one with under {math.ceil(least * rows):,} of the {rows:,} rows: "
            "look for extreme rows in the history, add history, or give the number with --k"
        )
    return Choice(
        chosen=qualified[0],
        runner_up=qualified[1] if len(qualified) > 1 else None,
        candidates=tuple(candidates),
        elbow_k=_elbow(candidates),
    )


def given_k(scaled: Floats, k: int, seed: int) -> Choice:
    """The choice that someone else made; raises FitRefused when there are too few rows for it."""
    if len(scaled) <= k:
        raise FitRefused(f"{len(scaled)} rows are too few for {k} segments: give a smaller --k, or add history")
    sample = _sample(scaled, seed)
    different = len(np.unique(sample, axis=0))
    if different < k:
        raise FitRefused(
            f"{k} segments are more than the {different} different users in the history: give a smaller --k"
        )
    chosen = _candidate(sample, k, seed)
    return Choice(chosen, None, (chosen,), None)


def _sample(scaled: Floats, seed: int) -> Floats:
    if len(scaled) <= SAMPLE_ROWS:
        return scaled
    return scaled[np.sort(np.random.default_rng(seed).choice(len(scaled), SAMPLE_ROWS, replace=False))]


def _candidate(sample: Floats, k: int, seed: int) -> Candidate:
    found: Clusters = cluster(sample, k, seed)
    return Candidate(
        k=k,
        silhouette=silhouette(sample, found.labels),
        inertia=found.inertia,
        smallest_share=float(np.bincount(found.labels, minlength=k).min() / len(sample)),
        centroids=found.centroids,
    )


def _elbow(candidates: list[Candidate]) -> int | None:
    if len(candidates) < 3:  # a curve of two points does not bend
        return None
    bend = KneeLocator(
        [candidate.k for candidate in candidates],
        [candidate.inertia for candidate in candidates],
        curve="convex",
        direction="decreasing",
    ).elbow
    return None if bend is None else int(bend)
