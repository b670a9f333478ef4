"""Whether each input record has exactly one outcome: judged from what a read_committed reader received."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import orjson

from worker.tools.verify.ledger import EXAMPLES_MOST, Ledger, Offsets
from worker.tools.verify.references import Place

_DAMAGE: Final = ("missing", "doubled", "out_of_order", "strangers")


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at, fixed before the first record is read."""

    servers: str
    """Where to connect, as it was given."""
    group_id: str
    input_topic: str
    outcome_topics: tuple[str, str]
    """Results, and rejected events."""
    spans: Mapping[int, range]
    """Of each partition of the input the offsets that must have an outcome: all of them committed, none removed."""
    lost_before_ms: int | None
    """Outcomes sent before this time may have been removed by retention; None where all are still there."""
    begin_at_first_outcome: bool
    """Whether what comes before the first outcome of a partition was never meant to have one: WORKER_START_AT."""
    asked_for_all: bool
    """Whether a person named the beginning, so that a part that cannot be checked is a failure."""
    inputs_vanish: bool
    """Whether the input topic is compacted, so that an outcome without its input record is no stranger."""
    bounded: bool
    """Whether a person gave any bounds."""
    gone_before: Mapping[int, int]
    """Of each partition where input records that are meant were removed, the first offset that is still there."""
    gone_asked_for: frozenset[int]
    """Those of them of which a person named a beginning that is gone."""
    waiting: Mapping[int, int]
    """Of each partition how many offsets of the log the group has not committed, markers of transactions included."""


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """What one partition of the input came to. `examples` has, by kind of damage, the first offsets of it."""

    partition: int
    from_offset: int
    to_offset: int
    """The first offset that was not looked at."""
    inputs: int
    outcomes: int
    not_checkable: int
    """Input records without an outcome that may have had one: retention, or the group began later."""
    missing: int
    doubled: int
    out_of_order: int
    """Outcomes behind that of a later input record in the same partition of the same topic."""
    strangers: int
    """Outcomes of offsets where there is no input record."""
    waiting: int
    """Offsets of the log behind the committed one; at most so many input records wait there."""
    gone_before: int | None
    """The first offset that is still there, where input records before it were removed; else None."""
    uncommitted: int | None
    """The highest offset with an outcome although the group has not committed it; None: there is none."""
    examples: Mapping[str, tuple[int, ...]]

    @property
    def clean(self) -> bool:
        """Whether no damage was found."""
        return self.uncommitted is None and not any(getattr(self, kind) for kind in _DAMAGE)


@dataclass(frozen=True, slots=True)
class Verification:
    """All that was found."""

    scope: Scope
    partitions: tuple[PartitionReport, ...]
    of_other_topics: int
    """Outcomes of records of other input topics: no damage, and not looked at."""
    nameless: int
    """Records of the output and rejected topics that name no input record of this topic that there could be."""

    @property
    def damaged(self) -> bool:
        """Whether any partition has damage, or an outcome belongs to none."""
        return self.nameless > 0 or not all(each.clean for each in self.partitions)

    @property
    def nothing(self) -> bool:
        """Whether there was no input record to look at."""
        return not any(each.inputs for each in self.partitions)

    @property
    def unchecked(self) -> bool:
        """Whether a partition could not be checked at all, or not all that a person asked for."""
        if self.scope.gone_asked_for or (self.nothing and (self.scope.bounded or self.scope.gone_before)):
            return True
        partly = [each for each in self.partitions if each.not_checkable]
        return any(self.scope.asked_for_all or each.not_checkable == each.inputs for each in partly)

    @property
    def clean(self) -> bool:
        """Whether every input record in scope has exactly one outcome, in order, and all of that could be seen."""
        return not self.damaged and not self.unchecked


class Audit:
    """Takes records in any order of the topics, each partition in its own order, and says what they came to."""

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
        self._of_other_topics = self._nameless = 0

    def add_inputs(self, partition: int, offsets: Sequence[int]) -> None:
        """A reader received input records at these offsets."""
        self._ledger.add_inputs(partition, np.array(offsets, np.int64))

    def add_outcomes(self, topic: str, partition: int, answers: Sequence[tuple[Place | None, int]]) -> None:
        """A reader received outcomes from a partition of an outcome topic: which input each answers, and its time."""
        of: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for place, timestamp_ms in answers:
            if place is None:
                self._nameless += 1
            elif place.topic != self._scope.input_topic:
                self._of_other_topics += 1
            elif place.partition not in self._scope.spans:
                self._nameless += 1
            else:
                of[place.partition].append((place.offset, timestamp_ms))
        for number, several in of.items():
            rows = np.array(several, np.int64)
            self._add(topic, partition, number, rows[:, 0], rows[:, 1])

    def _add(self, topic: str, partition: int, number: int, offsets: Offsets, times_ms: Offsets) -> None:
        span = self._scope.spans[number]
        self._highest_of_all[number] = max(self._highest_of_all.get(number, -1), int(offsets.max()))
        reliable = offsets[times_ms >= (self._scope.lost_before_ms or 0)]
        if len(reliable):
            # Whoever sent this one sent those of later input records after it, so none of them can have been removed.
            self._checkable_from[number] = min(
                self._checkable_from.get(number, span.stop), max(span.start, int(reliable.min()))
            )
        offsets = offsets[(offsets >= span.start) & (offsets < span.stop)]
        self._outcomes[number] += len(offsets)
        # The second outcome of an offset is damage by itself; that it comes late says nothing more.
        offsets = offsets[self._ledger.add_outcomes(number, offsets)]
        source = (topic, partition, number)
        before = np.maximum.accumulate(np.concatenate(([self._highest.get(source, -1)], offsets)))
        late = offsets[offsets < before[:-1]]
        self._highest[source] = int(before[-1])
        self._out_of_order[number] += len(late)
        shown = self._out_of_order_at[number]
        self._out_of_order_at[number] = shown + tuple(late[: EXAMPLES_MOST - len(shown)].tolist())

    def verification(self, committed: Mapping[int, int]) -> Verification:
        """What all of it came to; `committed` is the group's offset of each partition after the last outcome."""
        return Verification(
            self._scope,
            tuple(self._report(number, committed.get(number, 0)) for number in sorted(self._scope.spans)),
            self._of_other_topics,
            self._nameless,
        )

    def _report(self, number: int, committed: int) -> PartitionReport:
        span = self._scope.spans[number]
        all_there = self._scope.lost_before_ms is None and not self._scope.begin_at_first_outcome
        missing_from = span.start if all_there else self._checkable_from.get(number, span.stop)
        tally = self._ledger.tally(number, missing_from)
        if self._scope.inputs_vanish:
            tally = replace(tally, strangers=0, strangers_at=())
        highest = self._highest_of_all.get(number, -1)
        return PartitionReport(
            partition=number,
            from_offset=span.start,
            to_offset=span.stop,
            inputs=tally.inputs,
            outcomes=self._outcomes[number],
            not_checkable=tally.unanswered,
            missing=tally.missing,
            doubled=tally.doubled,
            out_of_order=self._out_of_order[number],
            strangers=tally.strangers,
            waiting=self._scope.waiting.get(number, 0),
            gone_before=self._scope.gone_before.get(number),
            uncommitted=highest if highest >= committed else None,
            examples={
                "missing": tally.missing_at,
                "doubled": tally.doubled_at,
                "out_of_order": self._out_of_order_at[number],
                "strangers": tally.strangers_at,
            },
        )


_COLUMNS: Final = ("partition", "offsets", "inputs", "outcomes", *(kind.replace("_", " ") for kind in _DAMAGE))


def as_text(found: Verification) -> str:
    """A line that says of what, a table with a line for each partition, what is wrong with it, and a line to sum up."""
    rows = [_COLUMNS]
    for each in found.partitions:
        offsets = f"{each.from_offset}–{each.to_offset - 1}" if each.to_offset > each.from_offset else "none"
        damage = (str(getattr(each, kind)) for kind in _DAMAGE)
        rows.append((str(each.partition), offsets, str(each.inputs), str(each.outcomes), *damage))
    widths = [max(len(row[place]) for row in rows) for place in range(len(_COLUMNS))]
    table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([_subject(found.scope), *table, *_remarks(found), _summary(found)]) + "\n"


def _subject(scope: Scope) -> str:
    results, rejected = scope.outcome_topics
    return (
        f"group {scope.group_id}, input topic {scope.input_topic}, outcome topics {results} and {rejected}, "
        f"at {scope.servers}"
    )


def _remarks(found: Verification) -> Iterator[str]:
    for each in found.partitions:
        yield from _partition_remarks(each, found.scope)
    if found.nameless:
        yield f"{found.nameless} records of the outcome topics name no record of topic {found.scope.input_topic}"
    if found.of_other_topics:
        yield f"{found.of_other_topics} outcomes belong to other input topics, and were not looked at"
    if waiting := sum(each.waiting for each in found.partitions):
        yield f"up to {waiting} more wait behind the committed offsets"


def _partition_remarks(each: PartitionReport, scope: Scope) -> Iterator[str]:
    where = f"partition {each.partition}: "
    for kind in _DAMAGE:
        count, offsets = getattr(each, kind), each.examples[kind]
        if count:
            more = f" and {count - len(offsets)} more" if count > len(offsets) else ""
            yield f"{where}{kind.replace('_', ' ')}: offset {', '.join(map(str, offsets))}{more}"
    if each.uncommitted is not None:
        yield (
            f"{where}there is an outcome of offset {each.uncommitted}, which group {scope.group_id} has not "
            "committed: its offsets were moved back or deleted, or something else writes outcomes"
        )
    if each.not_checkable:
        why = (
            "the group began later (WORKER_START_AT=latest), or retention removed their outcomes"
            if scope.begin_at_first_outcome
            else "retention removed outcomes of that time"
        )
        yield f"{where}not checkable: {each.not_checkable} input records without an outcome; {why}"
    if each.gone_before is not None:
        yield f"inputs before offset {each.gone_before} of partition {each.partition} are gone: not checkable"


def _summary(found: Verification) -> str:
    inputs = sum(each.inputs for each in found.partitions)
    if found.damaged:
        return f"damaged: not each of {inputs} committed input records has exactly one outcome in its place"
    if found.nothing:
        return _nothing(found.scope)
    if found.unchecked:
        return "not proven: what is not checkable was asked for, or is all that there is in a partition"
    left_out = sum(each.not_checkable for each in found.partitions)
    but = f", {left_out} not checkable" if left_out else ""
    return f"clean: each of {inputs - left_out} committed input records has exactly one outcome{but}"


def _nothing(scope: Scope) -> str:
    if scope.bounded:
        return "nothing verified: no committed input record in these bounds"
    if scope.gone_before:
        return "nothing verified: no committed input record is left"
    return "no input record has been committed yet"


def as_json(found: Verification) -> str:
    """The same for machines: `ok`, and `partitions` with the same figures."""
    partitions: list[dict[str, Any]] = [{**asdict(each), "clean": each.clean} for each in found.partitions]
    document = {
        "ok": found.clean,
        "damaged": found.damaged,
        "nothing_verified": found.nothing,
        "servers": found.scope.servers,
        "group": found.scope.group_id,
        "topic": found.scope.input_topic,
        "outcome_topics": found.scope.outcome_topics,
        "partitions": partitions,
        "of_other_topics": found.of_other_topics,
        "nameless": found.nameless,
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"
