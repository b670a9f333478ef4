"""Which segments continue: two versions compared on the same users, and what became of each segment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from models.encoding import Columns, Floats, NumberColumn, SeveralOfColumn
from models.manifest import Reassigned
from models.segmentation import Segmentation
from trainer.findings import Fate, Lineage, SegmentFate
from trainer.fitting.scikit import one_thread
from trainer.privacy import shown

# The lowest Jaccard of a segment that continues, and the smallest share that counts as most of a segment.
MOST = 0.5

Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Overlap:
    """Numbers of users by their segment in two versions."""

    before: tuple[int, ...]
    """Stable numbers in the earlier version."""
    after: tuple[int, ...]
    """Numbers in the later version."""
    users: Counts
    """users[i, j]: in before[i] then, in after[j] now."""

    @property
    def jaccard(self) -> Floats:
        """Users in both ÷ users in either, for each pair; 0 where a segment is empty."""
        either = self.users.sum(axis=1, keepdims=True) + self.users.sum(axis=0) - self.users
        shared: Floats = self.users / np.maximum(either, 1)
        return shared

    @property
    def reassigned(self) -> int:
        """Users whose number changes."""
        same = np.equal.outer(np.array(self.before, dtype=np.int64), np.array(self.after, dtype=np.int64))
        return int(self.users[~same].sum())

    @property
    def compared(self) -> int:
        """All users."""
        return int(self.users.sum())

    def renumbered(self, numbers: Mapping[int, int]) -> Overlap:
        """The same users, the later version's segments under other numbers."""
        return replace(self, after=tuple(numbers[number] for number in self.after))

    def in_order(self) -> Overlap:
        """The same users, the segments of both versions in ascending order of their numbers."""
        rows, columns = np.argsort(self.before), np.argsort(self.after)
        return Overlap(tuple(sorted(self.before)), tuple(sorted(self.after)), self.users[np.ix_(rows, columns)])


def nothing_before(after: Segmentation) -> Overlap:
    """The overlap with no earlier version, or with one of another profile class: every segment is new."""
    return Overlap((), _numbers(after), np.zeros((0, after.k), dtype=np.int64))


def columns_needed(before: Segmentation, after: Segmentation) -> frozenset[str]:
    """The fields that `overlap` reads: those that count in the distance of either version."""
    return frozenset(column.name for model in (before, after) for column in model.encoder.kept)


def overlap(before: Segmentation, after: Segmentation, chunks: Iterable[Columns]) -> Overlap:
    """How many users of the chunks are in each pair of segments of two versions of the same profile class.

    A column of labels that the chunks lack, because it has too many different labels, counts as unknown.
    """
    users = np.zeros(before.k * after.k, dtype=np.int64)
    with one_thread():  # so that each user gets the same result as in the fit, to the last digit
        for chunk in chunks:
            users += np.bincount(
                segment_indices(before, chunk) * after.k + segment_indices(after, chunk), minlength=len(users)
            )
    return Overlap(_numbers(before), _numbers(after), users.reshape(before.k, after.k))


def segment_indices(model: Segmentation, columns: Columns) -> npt.NDArray[np.intp]:
    """The index, among the model's segments, of each user's segment.

    A missing column of labels counts as unknown; columns that do not count in the distance are not read.
    """
    # The same segments from only the columns that count, each numbered by its index.
    fewer = Segmentation(
        replace(model.encoder, columns=model.encoder.kept),
        tuple(replace(segment, number=place) for place, segment in enumerate(model.segments)),
    )
    return fewer.assign(_whole(columns, fewer)).segment


def _whole(chunk: Columns, model: Segmentation) -> Columns:
    """The chunk with all columns of the model; missing ones hold unknown labels only."""
    users = len(next(iter(chunk.values())))
    return {
        **{
            column.name: [()] * users if isinstance(column, SeveralOfColumn) else [""] * users
            for column in model.encoder.columns
            if column.name not in chunk and not isinstance(column, NumberColumn)
        },
        **chunk,
    }


# --- fates -----------------------------------------------------------------------------------------------------------


def matches(found: Overlap) -> dict[int, int]:
    """Number after -> number before of each segment that continues: a pair with a Jaccard of .5 or more.

    The pairs have the greatest total Jaccard among such pairs (linear_sum_assignment). A pair above .5 excludes every
    other, so there is a choice only where a segment was split into, or merged from, two equal halves: the half that is
    listed first is taken. Two segments without users match if they have the same number.
    """
    jaccard = found.jaccard
    # Lower ones count as 0: two weak pairs must not outweigh a strong one.
    rows, columns = linear_sum_assignment(np.where(jaccard >= MOST, jaccard, 0.0), maximize=True)
    empty_before = {number for number, users in zip(found.before, found.users.sum(axis=1), strict=True) if not users}
    empty_after = {number for number, users in zip(found.after, found.users.sum(axis=0), strict=True) if not users}
    return {number: number for number in empty_before & empty_after} | {
        found.after[j]: found.before[i]
        for i, j in zip(rows.tolist(), columns.tolist(), strict=True)
        if jaccard[i, j] >= MOST
    }


@dataclass(frozen=True, slots=True)
class Became:
    """What became of one segment, and the segments of the other version that are involved."""

    fate: Fate
    others: tuple[int, ...]


def fates_after(found: Overlap) -> tuple[Became, ...]:
    """The fate of each segment of the later version, in its order; the first that holds:

    kept: matched. Merged: most of two segments or more went into it. Split: most of it comes from one segment. Merged:
    most of one segment went into it, though that is not most of it. New: otherwise, and when it has no users. Most is
    half or more.
    """
    kept = matches(found)
    went, came = _went(found.users), _went(found.users.T).T
    return tuple(
        Became(Fate.KEPT, (kept[number],))
        if number in kept
        else _fate(
            together=_flagged(found.before, went[:, j], found.users[:, j]),
            apart=_flagged(found.before, came[:, j], found.users[:, j]),
            names=(Fate.MERGED, Fate.SPLIT, Fate.NEW),
        )
        for j, number in enumerate(found.after)
    )


def fates_before(found: Overlap) -> tuple[Became, ...]:
    """The fate of each segment of the earlier version, in its order; the first that holds:

    kept: matched. Split: most of two segments or more comes from it. Merged: most of it went into one segment. Split:
    most of one segment comes from it, though that is not most of it. Retired: otherwise, and when it has no users.
    The mirror image of `fates_after`: backwards, a split is a merger.
    """
    kept = {before: after for after, before in matches(found).items()}
    went, came = _went(found.users), _went(found.users.T).T
    return tuple(
        Became(Fate.KEPT, (kept[number],))
        if number in kept
        else _fate(
            together=_flagged(found.after, came[i], found.users[i]),
            apart=_flagged(found.after, went[i], found.users[i]),
            names=(Fate.SPLIT, Fate.MERGED, Fate.RETIRED),
        )
        for i, number in enumerate(found.before)
    )


def _fate(together: tuple[int, ...], apart: tuple[int, ...], names: tuple[Fate, Fate, Fate]) -> Became:
    several, one, nothing = names
    if len(together) >= 2:
        return Became(several, together)
    if apart:
        return Became(one, apart)
    if together:
        return Became(several, together)
    return Became(nothing, ())


def _went(users: Counts) -> Flags:
    """Whether half or more of the row's users are in the column; never where there are no users."""
    flags: Flags = (2 * users >= users.sum(axis=1, keepdims=True)) & (users > 0)
    return flags


def _flagged(numbers: Sequence[int], flags: Flags, users: Counts) -> tuple[int, ...]:
    """The flagged segments, those with the most users first."""
    order = np.argsort(-users, kind="stable")
    return tuple(numbers[i] for i in order.tolist() if flags[i])


# --- numbers and names -----------------------------------------------------------------------------------------------


def stable_numbers(found: Overlap, next_number: int) -> Mapping[int, int]:
    """Number after -> stable number: a kept segment keeps its number, the others get next_number and up, in order.

    next_number must be above every number ever used: the number of a retired segment must not come back.
    """
    kept = matches(found)
    new = (number for number in found.after if number not in kept)
    return kept | {number: next_number + i for i, number in enumerate(new)}


def renumbered(segmentation: Segmentation, numbers: Mapping[int, int]) -> Segmentation:
    """The same segments in the same order under other numbers, each with the name "Segment <number>"."""
    return replace(
        segmentation,
        segments=tuple(
            replace(segment, number=numbers[segment.number], name=f"Segment {numbers[segment.number]}")
            for segment in segmentation.segments
        ),
    )


def named(segmentation: Segmentation, names: Mapping[int, str]) -> Segmentation:
    """The same segments, renamed where `names` (by number) has a name."""
    return replace(
        segmentation,
        segments=tuple(
            replace(segment, name=names.get(segment.number, segment.name)) for segment in segmentation.segments
        ),
    )


def _numbers(segmentation: Segmentation) -> tuple[int, ...]:
    return tuple(segment.number for segment in segmentation.segments)


# --- for the report --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Earlier:
    """The version that is replaced, as a lineage names it."""

    version: str
    accepted_no_structure: bool
    names: Mapping[int, str]


def lineage(found: Overlap, before: Earlier, names_after: Mapping[int, str]) -> Lineage:
    """Who moves where when the later version replaces the earlier one; counts of too few users are left out.

    Takes the overlap under final numbers, of at least one user; the segments are in ascending order.
    """
    found = found.in_order()
    after = [
        _segment_fate(number, names_after[number], became, found.users[:, j], found.jaccard[:, j], found.before)
        for j, (number, became) in enumerate(zip(found.after, fates_after(found), strict=True))
    ]
    gone = [
        _segment_fate(number, before.names[number], became, found.users[i], found.jaccard[i], found.after)
        for i, (number, became) in enumerate(zip(found.before, fates_before(found), strict=True))
        if became.fate is not Fate.KEPT
    ]
    return Lineage(
        reassigned=Reassigned(
            against=before.version,
            share=found.reassigned / found.compared,
            users=found.reassigned,
            compared=found.compared,
        ),
        before_accepted_no_structure=before.accepted_no_structure,
        before_segments=found.before,
        after_segments=found.after,
        users=tuple(tuple(shown(count) for count in row) for row in found.users.tolist()),
        fates=(*after, *gone),
    )


def _segment_fate(
    number: int, name: str, became: Became, users: Counts, jaccard: Floats, numbers: Sequence[int]
) -> SegmentFate:
    """A fate with its overlap: that of a kept segment with its predecessor, otherwise the highest."""
    best = numbers.index(became.others[0]) if became.fate is Fate.KEPT else int(np.argmax(jaccard))
    overlapping = None if shown(int(users[best])) is None else float(jaccard[best])
    return SegmentFate(number, name, became.fate, overlapping, became.others)
