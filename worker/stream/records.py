"""What travels through the worker: records, a batch of them, and its outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, overload

from schemas.formats.records import HEADERS_MOST, Headers
from schemas.rejected import RejectReason

TRACE_CONTEXT: Final = ("traceparent", "tracestate")
"""Headers of W3C Trace Context: a result and a rejected record belong to the trace of their input."""
# The length that the standard requires to be passed on.
_TRACE_MAX_BYTES: Final = 512


def trace_context(headers: Headers) -> tuple[tuple[str, bytes], ...]:
    """The trace context among the first HEADERS_MOST headers; the last one of a name counts, as for OpenTelemetry."""
    found = {name: content for name, content in headers[:HEADERS_MOST] if name in TRACE_CONTEXT}
    return tuple((name, content) for name, content in found.items() if content and len(content) <= _TRACE_MAX_BYTES)


class Record(NamedTuple):
    """One input record as the broker holds it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """The record's own time, milliseconds since 1970; -1 if the producer gave none."""
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    """In the order they were sent. Bytes of a header's name that are not UTF-8 read as "?". If there are more than
    HEADERS_MOST, at least HEADERS_MOST + 1 of them are here."""


@dataclass(frozen=True, slots=True)
class Records(Sequence[Record]):
    """Records of one topic as columns of equal length, in input order for each partition.

    Iterating makes a Record of each: where many are read, take the columns.
    """

    topic: str
    partitions: Sequence[int] = ()
    offsets: Sequence[int] = ()
    timestamps_ms: Sequence[int] = ()
    keys: Sequence[bytes | None] = ()
    values: Sequence[bytes | None] = ()
    headers: Sequence[Headers] = ()

    @classmethod
    def of(cls, records: Sequence[Record]) -> Records:
        """These records, which are of one topic, as columns."""
        topics, *columns = zip(*records, strict=True) if records else ((),)
        return cls(*dict.fromkeys(topics) or ("",), *columns)

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> Records: ...
    def __getitem__(self, at: int | slice) -> Record | Records:
        """The record there, or the records of a slice."""
        if isinstance(at, slice):
            return Records(
                self.topic,
                self.partitions[at],
                self.offsets[at],
                self.timestamps_ms[at],
                self.keys[at],
                self.values[at],
                self.headers[at],
            )
        return Record(
            self.topic,
            self.partitions[at],
            self.offsets[at],
            self.timestamps_ms[at],
            self.keys[at],
            self.values[at],
            self.headers[at],
        )


class Message(NamedTuple):
    """One record to be sent."""

    key: bytes | None
    value: bytes | None
    """None for a rejected tombstone, which is forwarded as it was; never None together with the key."""
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int | None = None
    """The record's time, milliseconds since 1970, at least 1; None for the time of sending."""


@dataclass(frozen=True, slots=True)
class Membership:
    """This worker's membership in its group when something was read; opaque to all but the transport."""

    group_id: str
    member_id: str
    generation: int
    instance_id: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that are processed and committed together, in input order for each partition."""

    records: Records
    next_offsets: Mapping[tuple[str, int], int]
    """The committed offset of each (topic, partition) once this batch is committed."""
    membership: Membership
    """As it was before the first record was read; a commit under another membership is refused."""


class Verdict(StrEnum):
    """What becomes of a record that is not rejected."""

    ASSIGNED = "assigned"
    """It has a result."""
    ERASED = "erased"
    """Its user is to be forgotten: it has a result that says so, and a tombstone in the current topic."""
    IGNORED = "ignored"
    """It is not an event for this worker: nothing is sent, and its offset is committed."""


Verdicts = tuple[Verdict | RejectReason, ...]
"""What becomes of each record in turn, or why it is rejected."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one batch: one message for each record that is not ignored, and the counts for the metrics."""

    results: tuple[Message, ...] = ()
    rejected: tuple[Message, ...] = ()
    segments: Mapping[int, int] = field(default_factory=dict)
    """How many events each segment received."""
    reasons: Mapping[RejectReason, int] = field(default_factory=dict)
    """How many records were rejected for each reason."""
    unknown_values: Mapping[str, int] = field(default_factory=dict)
    """How many events held a value unknown to the model, for each field."""
    missing_values: Mapping[str, int] = field(default_factory=dict)
    """How many assigned events had no value, for each field."""
    outliers: int = 0
    verdicts: Verdicts = ()
    """The verdict on each record of the batch, in order."""
    errors: tuple[Exception, ...] = ()
    """What was raised on the records that were rejected as `internal_error`, in their order."""
    ignored: int = 0
    erasures: Mapping[int, Message] = field(default_factory=dict)
    """Which of the results say that a user was erased, each with its tombstone for the current topic."""

    @property
    def assigned(self) -> int:
        """How many results are assignments."""
        return len(self.results) - len(self.erasures)

    @property
    def current(self) -> tuple[Message, ...]:
        """The results for the current topic: an erasure has no value there, so that compaction removes the user."""
        if not self.erasures:
            return self.results
        return tuple(self.erasures.get(at, result) for at, result in enumerate(self.results))
