"""What a format of input records says, and how one record is read by it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Protocol

from pydantic import BaseModel

from schemas.formats.leaves import Expected, Leaf
from schemas.formats.parts import Part
from schemas.formats.pointers import Pointer
from schemas.formats.records import InputRecords
from schemas.formats.where import Where
from schemas.parsing import load_json, validate
from schemas.rejected import Rejection


class Ignored(Enum):
    """What a record is that is not an event for this worker."""

    IGNORED = "ignored"


IGNORED: Final = Ignored.IGNORED


@dataclass(frozen=True, slots=True)
class Layout:
    """One way in which events of a format are written, for reading many at once."""

    parts: Mapping[str, Part]
    """`subject`, `time` and `id`, each with at most one place."""
    data: Pointer
    """Where the profile is."""
    required: tuple[Leaf, ...] = ()
    """What else a value must have."""
    known: tuple[Leaf, ...] = ()
    """What many values have besides."""
    expected: tuple[Expected, ...] = ()
    ignores: Callable[[Any], bool] = lambda _: False
    """Whether a record with this JSON in its value is ignored."""


class InputFormat(Protocol):
    """Where the records of a topic have their parts, and which of them are events.

    The exact way validates the attributes of one record with the event class; the layouts may accept less, never more.
    """

    @property
    def where(self) -> Where:
        """Conditions for a record to be an event."""
        ...

    @property
    def ignores_tombstones(self) -> bool:
        """Whether a record without a value is ignored, not rejected."""
        ...

    @property
    def layouts(self) -> Sequence[Layout]:
        """All ways in which its events are written."""
        ...

    def event_class(self, profile_class: type[BaseModel]) -> type[BaseModel]:
        """The class of events, with `subject`, `time`, `id` and `data`."""
        ...

    def rows(self, records: InputRecords, rows: Sequence[int]) -> Sequence[Sequence[int]]:
        """Those of these rows that each layout may read."""
        ...

    def attributes(self, document: Any, records: InputRecords, row: int) -> Any | Rejection | Ignored:
        """What the event class validates, of a record with this JSON in its value, or what becomes of it instead."""
        ...

    def place(self, location: Sequence[str | int]) -> str:
        """How a detail names the place of an attribute, or of a value within."""
        ...


def can_ignore(of: InputFormat) -> bool:
    """Whether any record may be ignored."""
    return bool(of.ignores_tombstones or of.where.headers or of.where.values)


def attributes_of(of: InputFormat, records: InputRecords, row: int, max_bytes: int) -> Any | Rejection | Ignored:
    """What the event class validates, or what the record is before that is asked. The order of all outcomes:

    ignored by a condition on headers, or as a tombstone; rejected as empty, too_large, not_json; ignored by a condition
    on the value; then the reasons of `validate`. What is not JSON is rejected: no condition on its value can be judged.
    """
    if not of.where.headers_match(records.headers[row]) or (of.ignores_tombstones and records.values[row] is None):
        return IGNORED
    document = load_json(records.values[row], max_bytes)
    if isinstance(document, Rejection):
        return document
    return of.attributes(document, records, row)


def parse_record(
    of: InputFormat, event_class: type[BaseModel], records: InputRecords, row: int, max_bytes: int
) -> Any | Rejection | Ignored:
    """The event in a record, of this class, or what becomes of it instead; never raises for any bytes."""
    attributes = attributes_of(of, records, row, max_bytes)
    if isinstance(attributes, Rejection | Ignored):
        return attributes
    return validate(attributes, event_class, of.place)


def ignored_rows(of: InputFormat, records: InputRecords, max_bytes: int) -> Collection[int]:
    """The records that are ignored; the same ones as by `parse_record`."""
    if not can_ignore(of):
        return ()
    return [row for row in range(len(records)) if attributes_of(of, records, row, max_bytes) is IGNORED]
