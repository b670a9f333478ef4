"""Whether each input record has exactly one outcome: judged from what a read_committed reader received."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from worker.tools.verify.current_table import CurrentReport
from worker.tools.verify.ledger import EXAMPLES_MOST, Found, Ledger, Offsets
from worker.tools.verify.references import RecordReference

DAMAGE: Final = ("missing", "duplicates", "out_of_order", "orphans")


@dataclass(frozen=True, slots=True)
class Scope:
    """What is verified, fixed before the first record is read."""

    servers: str
    """The brokers' addresses, as they were given."""
    group_id: str
    input_topic: str
    outcome_topics: tuple[str, str]
    """Results, and rejected events."""
    spans: Mapping[int, range]
    """For each input partition the offsets that must have an outcome: all of them committed, none removed."""
    lost_before_ms: int | None
    """Outcomes sent before this time may have been removed by retention; None where all are still there."""
    begin_at_first_outcome: bool
    """Whether records before a partition's first outcome need none, because of WORKER_START_AT=latest."""
    asked_for_all: bool
    """Whether the beginning was given, so that a part that cannot be checked leaves the result unproven."""
    inputs_vanish: bool
    """Whether the input topic is compacted, so that an outcome without its input record is not an orphan."""
    bounded: bool
    """Whether any bounds were given."""
    gone_before: Mapping[int, int]
    """For each partition where input records in scope were removed, the first offset that is still there."""
    gone_asked_for: frozenset[int]
    """Those of them whose given beginning is gone."""
    waiting: Mapping[int, int]
    """For each partition where records wait after the committed offset, how many offsets those take at most."""


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """The findings for one input partition. `examples` has the first offsets of each kind of damage."""

    partition: int
    from_offset: int
    to_offset: int
    """The first offset that was not checked."""
    inputs: int
    """Without those that are ignored."""
    ignored: int
    """Input records that are not events, by the format and the conditions that are set now; they need no outcome."""
    outcomes: int
    not_checkable: int
    """Input records without an outcome that may have had one, or needed none: retention, or the group started later."""
    missing: int
    duplicates: int
    out_of_order: int
    """Outcomes that come after the outcome of a later input record in the same partition of the same topic."""
    orphans: int
    """Outcomes of offsets that do not have an input record."""
    waiting: int
    """How many input records wait after the committed offset, at most."""
    gone_before: int | None
    """The first offset that is still there, where input records before it were removed; else None."""
    uncommitted: int | None
    """The highest offset with an outcome although the group has not committed it; None if there is not any."""
    examples: Mapping[str, tuple[int, ...]]

    @property
    def damaged(self) -> bool:
        """Whether any damage was found."""
        return self.uncommitted is not None or any(getattr(self, kind) for kind in DAMAGE)


class Result(StrEnum):
    """What `verify` found out."""

    CLEAN = "clean"
    """Every input record in scope has exactly one outcome, in order, except those that can no longer be checked."""
    DAMAGED = "damaged"
    """An outcome is missing, or is there where it must not be."""
    UNPROVEN = "unproven"
    """The bounds include records that cannot be checked, or a whole partition cannot be checked."""
    NOTHING = "nothing"
    """No committed input record is in scope."""


@dataclass(frozen=True, slots=True)
class Verification:
    """All findings."""

    scope: Scope
    partitions: tuple[PartitionReport, ...]
    of_other_topics: int
    """Outcomes of records of other input topics; they are not checked."""
    unparseable: int
    """Records of the outcome topics that do not name a possible record of this input topic."""
    current: CurrentReport | None = None
    """Without WORKER_CURRENT_TOPIC None."""

    @property
    def result(self) -> Result:
        """What all of it means."""
        stale = self.current is not None and self.current.stale
        if self.unparseable or stale or any(each.damaged for each in self.partitions):
            return Result.DAMAGED
        if not any(each.inputs + each.ignored for each in self.partitions):
            return Result.NOTHING
        partly = [each for each in self.partitions if each.not_checkable]
        if self.scope.gone_asked_for or any(
            self.scope.asked_for_all or each.not_checkable == each.inputs for each in partly
        ):
            return Result.UNPROVEN
        return Result.CLEAN


class Audit:
    """Takes the records of all topics, each partition in its own order, and reports what they amount to."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._ledger = Ledger(scope.spans)
        self._outcomes: dict[int, int] = defaultdict(int)
        # The highest input offset so far in each partition of an outcome topic, by partition of the input.
        self._highest: dict[tuple[str, int, int], int] = {}
        self._highest_of_all: dict[int, int] = {}
        self._out_of_order: dict[int, int] = defaultdict(int)
        self._out_of_order_at: dict[int, tuple[int, ...]] = defaultdict(tuple)
        self._checkable_from: dict[int, int] = {}
        self._ignored: dict[int, int] = defaultdict(int)
        self._of_other_topics = self._unparseable = 0

    def add_inputs(self, partition: int, offsets: Sequence[int], ignored: Collection[int] = ()) -> None:
        """A reader received input records at these offsets; those in some rows are ignored by the worker."""
        self._ignored[partition] += len(ignored)
        self._ledger.add_inputs(partition, np.delete(np.array(offsets, np.int64), [*ignored]))

    def add_outcomes(self, topic: str, partition: int, answers: Sequence[tuple[RecordReference | None, int]]) -> None:
        """A reader received outcomes from a partition of an outcome topic: the input that each names, and its time."""
        of: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for reference, timestamp_ms in answers:
            if reference is None:
                self._unparseable += 1
            elif reference.topic != self._scope.input_topic:
                self._of_other_topics += 1
            elif reference.partition not in self._scope.spans:
                self._unparseable += 1
            else:
                of[reference.partition].append((reference.offset, timestamp_ms))
        for number, several in of.items():
            rows = np.array(several, np.int64)
            self._add(topic, partition, number, rows[:, 0], rows[:, 1])

    def _add(self, topic: str, partition: int, number: int, offsets: Offsets, times_ms: Offsets) -> None:
        span = self._scope.spans[number]
        self._highest_of_all[number] = max(self._highest_of_all.get(number, -1), int(offsets.max()))
        reliable = offsets[times_ms >= (self._scope.lost_before_ms or 0)]
        if len(reliable):
            # The outcomes of later input records were sent after this one, so none of them can have been removed.
            self._checkable_from[number] = min(
                self._checkable_from.get(number, span.stop), max(span.start, int(reliable.min()))
            )
        offsets = offsets[(offsets >= span.start) & (offsets < span.stop)]
        self._outcomes[number] += len(offsets)
        # The second outcome of an offset is a duplicate; that it comes late is not a second kind of damage.
        offsets = offsets[self._ledger.add_outcomes(number, offsets)]
        source = (topic, partition, number)
        before = np.maximum.accumulate(np.concatenate(([self._highest.get(source, -1)], offsets)))
        late = offsets[offsets < before[:-1]]
        self._highest[source] = int(before[-1])
        self._out_of_order[number] += len(late)
        shown = self._out_of_order_at[number]
        self._out_of_order_at[number] = shown + tuple(late[: EXAMPLES_MOST - len(shown)].tolist())

    def verification(self, committed: Mapping[int, int]) -> Verification:
        """All findings; `committed` is the group's offset of each partition, asked for after the last outcome."""
        return Verification(
            self._scope,
            tuple(self._report(number, committed.get(number, 0)) for number in sorted(self._scope.spans)),
            self._of_other_topics,
            self._unparseable,
        )

    def _report(self, number: int, committed: int) -> PartitionReport:
        span = self._scope.spans[number]
        all_there = self._scope.lost_before_ms is None and not self._scope.begin_at_first_outcome
        missing_from = span.start if all_there else self._checkable_from.get(number, span.stop)
        tally = self._ledger.tally(number, missing_from)
        orphans = Found(0, ()) if self._scope.inputs_vanish else tally.orphans
        highest = self._highest_of_all.get(number, -1)
        return PartitionReport(
            partition=number,
            from_offset=span.start,
            to_offset=span.stop,
            inputs=tally.inputs,
            ignored=self._ignored[number],
            outcomes=self._outcomes[number],
            not_checkable=tally.unanswered,
            missing=tally.missing.count,
            duplicates=tally.duplicates.count,
            out_of_order=self._out_of_order[number],
            orphans=orphans.count,
            waiting=self._scope.waiting.get(number, 0),
            gone_before=self._scope.gone_before.get(number),
            uncommitted=highest if highest >= committed else None,
            examples={
                "missing": tally.missing.examples,
                "duplicates": tally.duplicates.examples,
                "out_of_order": self._out_of_order_at[number],
                "orphans": orphans.examples,
            },
        )
