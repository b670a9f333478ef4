"""What a new model takes over from the one in production: numbers, names given by people, and who would move."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from models.encoding import Columns, Floats
from models.errors import OlderFormat
from models.manifest import ProfileReference
from models.segmentation import Segmentation
from models.store import ModelStore
from trainer.findings import Lineage
from trainer.fitting.sample import Sample
from trainer.lineage.lineage import (
    Earlier,
    Overlap,
    columns_needed,
    lineage,
    named,
    nothing_before,
    overlap,
    renumbered,
    segment_indices,
    stable_numbers,
)


@dataclass(frozen=True)
class Before:
    """What a store has when a fit begins."""

    parent: str | None
    """The version in production."""
    model: Segmentation | None
    """Its model; None where there is none, or where it has another profile class."""
    accepted_no_structure: bool
    given_names: Mapping[int, str]
    next_number: int
    """The number of the first new segment."""


NOTHING_BEFORE = Before(None, None, accepted_no_structure=False, given_names={}, next_number=0)
"""What a store has before its first promotion: no number has been used yet, however many versions were fitted."""


@dataclass(frozen=True)
class Continued:
    """A new model under stable numbers."""

    segmentation: Segmentation
    """Kept segments keep their numbers and the names given by people; the others are named "Segment <number>"."""
    numbers: Mapping[int, int]
    """Number in the model as it was fitted -> stable number."""
    given_names: Mapping[int, str]
    """The earlier given names whose segments were kept."""
    overlap: Overlap | None
    """With the model in production, over the users of the fit, under stable numbers; None without a model."""


def before_fit(store: ModelStore, alias: str, profile: ProfileReference) -> Before:
    """What a store has under an alias, to be continued; raises whatever ModelStore.load raises.

    A version of an earlier format counts as none, but its numbers are not used again.
    """
    if store.current(alias) is None:
        return NOTHING_BEFORE
    try:
        stored = store.load_alias(alias)
    except OlderFormat:  # fitting again is the way out: the numbers do not continue, and none is used twice
        return replace(NOTHING_BEFORE, next_number=store.next_number(profile.name))
    manifest = stored.manifest
    same = manifest.profile == profile
    return Before(
        parent=manifest.id,
        model=stored.segmentation if same else None,
        accepted_no_structure=stored.accepted_no_structure,
        given_names=manifest.given_names if same else {},
        next_number=store.next_number(profile.name),
    )


def warm_start(before: Before, sample: Sample) -> Floats | None:
    """Where k-means starts to find the segments in production again: the means of their users, shape (k, width).

    In the space of the new encoder, whatever the old one was; with the same encoder it is the first step of k-means
    from the old centres. A segment without users in the sample is left out. None without an earlier model, or when the
    sample's users are in fewer than two of its segments.
    """
    if before.model is None:
        return None
    of_user = segment_indices(before.model, sample.columns)
    means = np.unique([sample.scaled[of_user == index].mean(axis=0) for index in np.unique(of_user)], axis=0)
    return means if len(means) > 1 else None


def continued(fitted: Segmentation, before: Before, chunks: Callable[[Iterable[str]], Iterable[Columns]]) -> Continued:
    """The fitted model as the successor of the one before; chunks returns some columns of all users of the fit.

    It is called only when there is an earlier model.
    """
    if before.model is None:
        found = nothing_before(fitted)
    else:
        found = overlap(before.model, fitted, chunks(columns_needed(before.model, fitted)))
    numbers = stable_numbers(found, before.next_number)
    given = {number: name for number, name in before.given_names.items() if number in numbers.values()}
    return Continued(
        segmentation=named(renumbered(fitted, numbers), given),
        numbers=numbers,
        given_names=given,
        overlap=None if before.model is None else found.renumbered(numbers),
    )


def lineage_of(found: Continued, before: Before, names: Mapping[int, str]) -> Lineage | None:
    """Who moves where, once the segments have their names; None without an earlier model."""
    if before.parent is None or before.model is None or found.overlap is None:
        return None
    earlier = Earlier(before.parent, before.accepted_no_structure, before.model.names)
    return lineage(found.overlap, earlier, names)
