"""From a checked history to a fitted segmentation: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import starmap

import numpy as np

from models.encoding import Columns, Floats
from models.segmentation import Segment, Segmentation
from schemas.counting import counted
from trainer.errors import FitRefused
from trainer.explaining.division import Division
from trainer.explaining.explain import Explained, explain
from trainer.findings import Judgement, Lineage
from trainer.fitting.assignment import AssignedUsers, assign_users
from trainer.fitting.choose_k import Candidate, Choice, SearchRange, Start, choose_k, given_k
from trainer.fitting.columns import ChosenColumns, ColumnRule, choose_columns
from trainer.fitting.lloyd import Refined, refined, scaled_users, unrefined
from trainer.fitting.sample import JUDGED_ROWS, Sample
from trainer.fitting.scikit import one_thread
from trainer.history.history import History
from trainer.judging.judge import judge
from trainer.lineage.lineage import named
from trainer.lineage.succession import Before, continued, lineage_of, warm_start
from trainer.text.progress import Watcher


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
    """The largest number of segments to try."""
    min_segment_users: int
    """A smaller segment is never published."""
    not_named: frozenset[str]
    """Feature groups whose fields give no name, suggestion or tier."""


@dataclass(frozen=True)
class Fitted:
    """A fitted segmentation with its judgement and explanation."""

    segmentation: Segmentation
    history: History
    """The users of whom enough is known."""
    assigned: AssignedUsers
    """These users, in their order."""
    sample: Sample
    columns: ChosenColumns
    judgement: Judgement
    explained: Explained
    lineage: Lineage | None
    """None where no version of the same profile class was in production."""
    given_names: Mapping[int, str]
    """Stable number -> name given by a person."""


def fit(history: History, options: FitOptions, before: Before, watcher: Watcher) -> Fitted:
    """The segmentation of a history, judged, explained, and numbered as the successor of the one before.

    Equal histories, options, predecessors and libraries give equal segmentations, bit for bit. Raises FitRefused when
    a selected group does not exist, no column varies, or there are too few rows or a segment with too few users.
    """
    with one_thread():
        columns, history = _columns_and_users(history, options, watcher)
        users = history.sample(JUDGED_ROWS, options.seed)
        sample = Sample(users, history.fields, columns.encoder, columns.repeated)
        choice = _chosen(sample, history.rows, options, warm_start(before, sample), watcher)
        judged = judge(sample, choice, columns.related, options.seed, watcher)
        by_size, assigned, cluster_of = _fit_all(history, columns, judged.chosen, options.seed, watcher)
        _refuse_small(assigned, options.min_segment_users)

        watcher.at("matching the segments with those in production")
        # As `compare` has them: of the others, the model before knew too little.
        compared = history if before.model is None else history.known_enough(before.model.encoder.used)
        if not compared.rows:
            before = replace(before, model=None)
        followed = continued(by_size, before, partial(_columns, compared))
        assigned = assigned.renumbered(followed.numbers)
        number_of = dict(zip(cluster_of, assigned.numbers, strict=True))
        judgement = judged.renumbered(number_of)

        watcher.at("explaining the segments")
        clusters = range(by_size.k)
        sizes, outliers = assigned.sizes, assigned.outliers()
        division = Division(
            sample=sample,
            labels=np.array(cluster_of, dtype=np.intp)[by_size.assign(sample.columns).segment],
            resamples=judged.stability.resamples,
            numbers=tuple(number_of[cluster] for cluster in clusters),
            users=tuple(sizes[number_of[cluster]] for cluster in clusters),
        )
        explained = explain(
            division,
            [outliers[number_of[cluster]] for cluster in clusters],
            judgement.verdict,
            judgement.multimodal_columns,
            followed.given_names,
            options.not_named,
            options.seed,
        )
    names = {card.segment: card.name for card in explained.cards}
    return Fitted(
        segmentation=named(followed.segmentation, names),
        history=history,
        assigned=assigned,
        sample=sample,
        columns=columns,
        judgement=judgement,
        explained=explained,
        lineage=lineage_of(followed, before, names),
        given_names=followed.given_names,
    )


def _columns_and_users(history: History, options: FitOptions, watcher: Watcher) -> tuple[ChosenColumns, History]:
    """The columns, and the users of whom enough is known in those that count.

    All users choose the columns; where some are left out, the others choose again, so that every figure is theirs.
    """

    def choose(history: History) -> ChosenColumns:
        return choose_columns(history, options.groups, options.columns, options.seed, watcher)

    columns = choose(history)
    known = history.known_enough(columns.kept)
    if known is not history:
        columns = choose(known) if known.rows else columns
        known = known.known_enough(columns.kept)
        users = counted(known.too_little_known, "user")
        note = f"left out {users} of whom more than half of the fields that the model uses have no value"
        columns = replace(columns, notes=(*columns.notes, note))
    return columns, known


def _columns(history: History, names: Iterable[str]) -> Iterator[Columns]:
    return (chunk.columns for chunk in history.chunks([*names]))


def _chosen(sample: Sample, rows: int, options: FitOptions, warm: Floats | None, watcher: Watcher) -> Choice:
    if options.k is not None:
        watcher.at(f"trying {options.k} segments")
        return given_k(sample.scaled, options.k, options.seed, warm)
    step = "choosing the number of segments"
    watcher.at(step)
    limits = SearchRange(options.max_k, options.min_segment_users, rows)
    return choose_k(sample.scaled, limits, options.seed, warm, partial(watcher.at, step))


def _fit_all(
    history: History, columns: ChosenColumns, chosen: Candidate, seed: int, watcher: Watcher
) -> tuple[Segmentation, AssignedUsers, tuple[int, ...]]:
    """The segments of all users, numbered by size from the largest, the users, and the original centre of each."""
    watcher.at("encoding all users")
    with scaled_users(history, columns.encoder, partial(watcher.at, "encoding all users")) as scaled:
        watcher.at(f"fitting {chosen.k} segments to {history.rows:,} users")
        # From the halves, k-means would move to the extreme users again.
        found = (unrefined if chosen.start is Start.HALVES else refined)(scaled, chosen.centroids)
    cluster_of = _largest_first(found)
    # Without outlier limits yet: those are quantiles of the distances to these segments.
    unlimited = Segmentation(columns.encoder, tuple(starmap(_segment, enumerate(found.centroids[[*cluster_of]]))))
    watcher.at("assigning all users")
    return (*assign_users(history, unlimited, seed, partial(watcher.at, "assigning all users")), cluster_of)


def _largest_first(found: Refined) -> tuple[int, ...]:
    """The centres, largest first, so that equal data always get equal numbers."""
    return tuple(sorted(range(len(found.users)), key=lambda i: (-found.users[i], found.centroids[i].tolist())))


def _segment(number: int, centroid: Floats) -> Segment:
    return Segment(
        number=number,
        name=f"Segment {number}",
        centroid=tuple(centroid.tolist()),
        median_distance=0.0,
        outlier_distance=np.inf,
    )


def _refuse_small(assigned: AssignedUsers, least: int) -> None:
    users = min(assigned.sizes.values())
    if users < least:
        raise FitRefused(
            f"one of {len(assigned.sizes)} segments would have {users:,} of {sum(assigned.sizes.values()):,} users, "
            f"fewer than the {least:,} that a published segment needs: give a smaller --k, add history, or lower "
            "--min-segment-users"
        )
