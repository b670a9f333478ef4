"""From a checked history to a fitted segmentation: values in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import starmap

import numpy as np

from models.encoding import Floats
from models.manifest import Verdict
from models.segmentation import Segment, Segmentation
from trainer.choose import Choice, SearchRange, choose_k, given_k
from trainer.columns import ChosenColumns, ColumnRule, choose_columns
from trainer.errors import FitRefused
from trainer.history import History
from trainer.placing import Placed, place
from trainer.progress import Watcher
from trainer.refine import Refined, refined, scaled_users
from trainer.sample import JUDGED_ROWS, Sample
from trainer.scikit import one_thread


@dataclass(frozen=True, slots=True)
class FitOptions:
    """What the user asked for."""

    k: int | None
    """Number of segments; None: chosen."""
    groups: frozenset[str] | None
    """Feature groups that may count; None: all."""
    columns: ColumnRule
    seed: int
    max_k: int
    """The most segments that are tried."""
    min_segment_users: int
    """A smaller segment is never published."""


@dataclass(frozen=True)
class Fitted:
    """A fitted segmentation with all that is said about it."""

    segmentation: Segmentation
    placed: Placed
    """The users of the history, in its order."""
    sample: Sample
    choice: Choice
    columns: ChosenColumns
    verdict: Verdict
    verdict_reason: str


def fit(history: History, options: FitOptions, watcher: Watcher) -> Fitted:
    """The segmentation of a history; equal histories, options and libraries give equal segmentations, bit for bit.

    Raises FitRefused when there is no group as asked, no column that varies, too few rows, or a segment of too few
    users.
    """
    with one_thread():
        columns = choose_columns(history, options.groups, options.columns, options.seed, watcher)
        sample = Sample(history.sample(JUDGED_ROWS, options.seed), history.fields, columns.encoder)
        choice = _chosen(sample, history.rows, options, watcher)
        segmentation, placed = _fit_all(history, columns, choice.chosen.centroids, options.seed, watcher)
    _refuse_small(placed, options.min_segment_users)
    return Fitted(
        segmentation=segmentation,
        placed=placed,
        sample=sample,
        choice=choice,
        columns=columns,
        verdict=Verdict.UNJUDGED if columns.related else Verdict.NONE,
        verdict_reason="the structure has not been judged" if columns.related else "no two columns are related",
    )


def _chosen(sample: Sample, rows: int, options: FitOptions, watcher: Watcher) -> Choice:
    if options.k is not None:
        watcher.at(f"trying {options.k} segments")
        return given_k(sample.scaled, options.k, options.seed, None)
    step = "choosing the number of segments"
    watcher.at(step)
    limits = SearchRange(options.max_k, options.min_segment_users, rows)
    return choose_k(sample.scaled, limits, options.seed, None, partial(watcher.at, step))


def _fit_all(
    history: History, columns: ChosenColumns, centroids: Floats, seed: int, watcher: Watcher
) -> tuple[Segmentation, Placed]:
    """The segments of all users, and where each of them belongs: the number of a segment is its rank by size."""
    watcher.at("encoding all users")
    with scaled_users(history, columns.encoder, partial(watcher.at, "encoding all users")) as scaled:
        watcher.at(f"fitting {len(centroids)} segments to {history.rows:,} users")
        found = refined(scaled, centroids)
    # Without limits yet: they are quantiles of the distances that it gives.
    unlimited = Segmentation(columns.encoder, tuple(starmap(_segment, enumerate(_largest_first(found)))))
    watcher.at("placing all users")
    return place(history, unlimited, seed, partial(watcher.at, "placing all users"))


def _largest_first(found: Refined) -> Floats:
    """The centres in the order of their numbers, which therefore mean the same in every fit of the same data."""
    order = sorted(range(len(found.users)), key=lambda i: (-found.users[i], found.centroids[i].tolist()))
    return found.centroids[order]


def _segment(number: int, centroid: Floats) -> Segment:
    return Segment(
        number=number,
        name=f"Segment {number}",
        centroid=tuple(centroid.tolist()),
        median_distance=0.0,
        outlier_distance=np.inf,
    )


def _refuse_small(placed: Placed, least: int) -> None:
    users = min(placed.sizes.values())
    if users < least:
        raise FitRefused(
            f"one of {len(placed.sizes)} segments would have {users:,} of the {sum(placed.sizes.values()):,} users, "
            f"and one under {least:,} is not published: give a smaller --k, add history, or lower --min-segment-users"
        )
