"""Whether the current topic has the last result of each user."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from schemas.events import SEGMENT_ERASED_TYPE
from worker.stream.records import Record
from worker.tools.verify.ledger import EXAMPLES_MOST
from worker.tools.verify.references import RecordReference, answered_by_result, answered_by_tombstone


class _Last(NamedTuple):
    offset: int
    erased: bool


class _Row(NamedTuple):
    answered: RecordReference | None
    place: tuple[int, int]


@dataclass(frozen=True, slots=True)
class CurrentReport:
    """The findings for the current topic."""

    topic: str
    rows: int
    """Users with a record, tombstones included."""
    stale: int
    """Those whose record is not the last result of the user."""
    absent: int
    """Users with a result and without a record."""
    examples: tuple[str, ...]
    """Partition and offset of the first stale records."""


class CurrentTable:
    """Takes the records of the output topic, then those of the current topic, each partition in its own order.

    It holds about 300 bytes for each user.
    """

    def __init__(self, topic: str, input_topic: str) -> None:
        self._topic, self._input_topic = topic, input_topic
        # By user and partition of the input: only within one partition do results have an order.
        self._last: dict[bytes, dict[int, _Last]] = {}
        self._rows: dict[bytes, _Row] = {}

    def add_results(self, records: Iterable[Record]) -> None:
        """A reader received these records of the output topic."""
        for record in records:
            answered = answered_by_result(record)
            if answered is not None and answered.topic == self._input_topic:
                erased = orjson.loads(record.value or b"").get("type") == SEGMENT_ERASED_TYPE
                self._last.setdefault(record.key or b"", {})[answered.partition] = _Last(answered.offset, erased)

    def add_rows(self, records: Iterable[Record]) -> None:
        """A reader received these records of the current topic, up to an end that was asked for after all results."""
        for record in records:
            answered = answered_by_tombstone(record) if record.value is None else answered_by_result(record)
            self._rows[record.key or b""] = _Row(answered, (record.partition, record.offset))

    def report(self) -> CurrentReport:
        """What they amount to; a record that is younger than all results that were read is not stale."""
        stale = sorted(row.place for user, row in self._rows.items() if self._is_stale(user, row))
        absent = sum(
            user not in self._rows and not all(last.erased for last in several.values())
            for user, several in self._last.items()
        )
        examples = tuple(f"{partition}/{offset}" for partition, offset in stale[:EXAMPLES_MOST])
        return CurrentReport(self._topic, len(self._rows), len(stale), absent, examples)

    def _is_stale(self, user: bytes, row: _Row) -> bool:
        results = self._last.get(user, {})
        if row.answered is None:
            return True
        return (
            row.answered.topic == self._input_topic
            and row.answered.partition in results
            and row.answered.offset < results[row.answered.partition].offset
        )
