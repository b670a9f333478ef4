"""From a checked history to a fitted segmentation: values in, values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import starmap

import numpy as np

from models.encoding import Floats
from models.manifest import Verdict
from models.segmentation import Assignments, Segment, Segmentation
from schemas.roles import ProfileField
from trainer.choose import LEAST_USERS, MOST_SEGMENTS, Choice, SearchRange, choose_k, given_k
from trainer.errors import FitRefused
from trainer.features import Learned, encoder, learn
from trainer.history import History
from trainer.progress import Watcher
from trainer.relations import related, relations
from trainer.sample import JUDGED_ROWS
from trainer.scikit import Clusters, cluster_from, one_thread
from trainer.summary import reasons_in_words

OUTLIER_QUANTILE = 0.995
# Below it, a segment's own 99.5 % quantile rests on fewer than five users.
USERS_FOR_OWN_QUANTILE = 1_000
# Distances of equal users differ in the last digits; that makes none of them an outlier.
LEAST_OUTLIER_DISTANCE = 1e-6


class ColumnRule(StrEnum):
    """Which of the columns that vary count in the distance."""

    RELATED = "related"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class FitOptions:
    """What the user asked for."""

    k: int | None
    """Number of segments; None: chosen."""
    groups: frozenset[str] | None
    """Feature groups that may count; None: all."""
    columns: ColumnRule
    seed: int


@dataclass(frozen=True)
class Fitted:
    """A fitted segmentation with all that is said about it."""

    segmentation: Segmentation
    assignments: Assignments
    """Of the users of the history, in its order."""
    inertia: float
    """Sum of squared distances of the users to the centres of their segments."""
    choice: Choice
    kept: tuple[str, ...]
    left_out: Mapping[str, str]
    """Field name -> why."""
    verdict: Verdict
    verdict_reason: str
    notes: tuple[str, ...]

    @property
    def sizes(self) -> Mapping[int, int]:
        """Stable number of each segment -> users of the history."""
        counts = np.bincount(self.assignments.segment, minlength=self.segmentation.k)
        return dict(enumerate(counts.tolist()))


def fit(history: History, options: FitOptions, watcher: Watcher) -> Fitted:
    """The segmentation of a history; equal histories, options and libraries give equal segmentations, bit for bit.

    Raises FitRefused when there is no group as asked, no column that varies, or too few rows.
    """
    with one_thread():
        watcher.at("looking at the columns")
        learned = tuple(learn(history.table[field.name], field) for field in history.fields)
        left_out = _useless(history.fields, learned, options.groups)
        usable = tuple(field for field in history.fields if field.name not in left_out)
        if not usable:
            raise FitRefused(f"there is nothing to tell users apart by: {reasons_in_words(left_out)}")
        connected = related(relations(history.table, usable))
        kept = frozenset(field.name for field in usable)
        if options.columns is ColumnRule.RELATED and connected:
            kept = connected
        left_out |= {field.name: "not related to any other column" for field in usable if field.name not in kept}
        encode = encoder(learned, kept)
        columns = history.columns
        scaled = encode.scale(encode.encode(columns).matrix)

        sample = _sample(scaled, options.seed)
        choosing = "choosing the number of segments"
        if options.k is None:
            watcher.at(choosing)
            limits = SearchRange(MOST_SEGMENTS, LEAST_USERS, len(scaled))
            choice = choose_k(sample, limits, options.seed, None, lambda done, total: watcher.at(choosing, done, total))
        else:
            watcher.at(f"trying {options.k} segments")
            choice = given_k(sample, options.k, options.seed, None)
        watcher.at(f"fitting {choice.chosen.k} segments to {len(scaled):,} users")
        clusters = cluster_from(scaled, choice.chosen.centroids)
        # Without limits yet: they are quantiles of the distances that it gives.
        unlimited = Segmentation(encode, tuple(starmap(_segment, enumerate(_largest_first(clusters)))))
        segmentation = _with_limits(unlimited, unlimited.assign(columns))
        assignments = segmentation.assign(columns)
    return Fitted(
        segmentation=segmentation,
        assignments=assignments,
        inertia=clusters.inertia,
        choice=choice,
        kept=tuple(field.name for field in history.fields if field.name in kept),
        left_out={field.name: left_out[field.name] for field in history.fields if field.name in left_out},
        verdict=Verdict.UNJUDGED if connected else Verdict.NONE,
        verdict_reason="the structure has not been judged" if connected else "no two columns are related",
        notes=_notes(history, learned),
    )


def _sample(scaled: Floats, seed: int) -> Floats:
    if len(scaled) <= JUDGED_ROWS:
        return scaled
    return scaled[np.sort(np.random.default_rng(seed).choice(len(scaled), JUDGED_ROWS, replace=False))]


def _useless(
    fields: tuple[ProfileField, ...], learned: tuple[Learned, ...], groups: frozenset[str] | None
) -> dict[str, str]:
    known = sorted({field.group for field in fields})
    unknown = sorted((groups or frozenset()) - set(known))
    if unknown:
        raise FitRefused(f"there is no feature group {unknown[0]!r}: --only takes {', '.join(known)}")
    useless: dict[str, str] = {}
    for field, each in zip(fields, learned, strict=True):
        if groups is not None and field.group not in groups:
            useless[field.name] = f"its group, {field.group}, was not asked for"
        elif each.useless_because is not None:
            useless[field.name] = each.useless_because
    return useless


def _notes(history: History, learned: tuple[Learned, ...]) -> tuple[str, ...]:
    notes = [each.note for each in learned if each.note is not None]
    if history.ignored_headers:
        names = ", ".join(f'"{header}"' for header in history.ignored_headers)
        notes.append(f"columns that the profile class does not have were ignored: {names}")
    return tuple(notes)


def _largest_first(clusters: Clusters) -> Floats:
    """The centres in the order of their numbers, which therefore mean the same in every fit of the same data."""
    sizes = np.bincount(clusters.labels, minlength=len(clusters.centroids))
    order = sorted(range(len(sizes)), key=lambda i: (-sizes[i], clusters.centroids[i].tolist()))
    return clusters.centroids[order]


def _segment(number: int, centroid: Floats) -> Segment:
    return Segment(
        number=number,
        name=f"Segment {number}",
        centroid=tuple(centroid.tolist()),
        median_distance=0.0,
        outlier_distance=np.inf,
    )


def _with_limits(segmentation: Segmentation, assignments: Assignments) -> Segmentation:
    """The segmentation with the distance beyond which a user is an outlier of each segment.

    A segment of 1,000 users or more has its own quantile; a smaller one the quantile of distance ÷ median over all
    users, times its median.
    """
    distances = [assignments.distance[assignments.segment == segment.number] for segment in segmentation.segments]
    if not all(distance.size for distance in distances):
        raise FitRefused(f"{segmentation.k} segments leave one without a user: give a smaller --k")
    medians = [float(np.median(distance)) for distance in distances]
    ratios = [distance / median for distance, median in zip(distances, medians, strict=True) if median > 0]
    pooled = float(np.quantile(np.concatenate(ratios), OUTLIER_QUANTILE)) if ratios else 0.0
    limits = [
        float(np.quantile(distance, OUTLIER_QUANTILE)) if distance.size >= USERS_FOR_OWN_QUANTILE else pooled * median
        for distance, median in zip(distances, medians, strict=True)
    ]
    return replace(
        segmentation,
        segments=tuple(
            replace(segment, median_distance=median, outlier_distance=max(limit, LEAST_OUTLIER_DISTANCE))
            for segment, median, limit in zip(segmentation.segments, medians, limits, strict=True)
        ),
    )
