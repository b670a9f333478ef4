"""What a format of input records says, and how one record is read by it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Protocol

from pydantic import BaseModel, create_model

from schemas.events import Erasure, UserErased
from schemas.formats.leaves import Expected, Leaf
from schemas.formats.parts import OF_RECORD, Part
from schemas.formats.pointers import Pointer
from schemas.formats.records import Headers, InputRecords
from schemas.formats.where import Where
from schemas.parsing import validate
from schemas.rejected import Rejection


class Ignored(Enum):
    """What a record is that is not an event for this worker."""

    IGNORED = "ignored"


IGNORED: Final = Ignored.IGNORED


class Tombstones(Enum):
    """What records are that have no value."""

    REJECTED = "rejected"
    """Empty."""
    IGNORED = "ignored"
    ERASURES = "erasures"
    """Each erases the user that its key names."""


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


Attributes = Mapping[str, Any]
NO_ATTRIBUTES: Final[Attributes] = {}

Load = Callable[[bytes | None, int], Any | Rejection]
"""Reads a value of at most so many bytes: a document, or why the record is rejected before anything in it is judged."""


class InputFormat(Protocol):
    """Where the records of a topic have their parts, and which of them are events.

    The exact way validates the attributes of one record with the event class; the layouts may accept less, never more.
    """

    @property
    def where(self) -> Where:
        """Conditions for a record to be an event."""
        ...

    @property
    def tombstones(self) -> Tombstones:
        """What a record without a value is."""
        ...

    def of_compacted_topic(self) -> InputFormat:
        """The same for a compacted topic, where a tombstone erases a user if keys are users."""
        ...

    @property
    def load(self) -> Load:
        """What reads a record's value."""
        ...

    @property
    def layouts(self) -> Sequence[Layout]:
        """All ways in which its events are written."""
        ...

    def event_class(self, profile_class: type[BaseModel]) -> type[BaseModel]:
        """The class of events, with `subject`, `time`, `id` and `data`."""
        ...

    def rows(self, records: InputRecords, rows: Sequence[int]) -> Sequence[Mapping[int, Attributes]]:
        """Those of these rows that each layout may read, with the attributes in their headers."""
        ...

    def ignores_by_headers(self, headers: Headers) -> bool:
        """Whether a record with these headers is ignored, whatever its value."""
        ...

    def attributes(self, document: Any, records: InputRecords, row: int) -> Any | Rejection | Ignored:
        """What the event class validates, of a record with this JSON in its value, or what becomes of it instead.

        Asked only of a record that is not ignored by its headers.
        """
        ...

    def is_erasure(self, attributes: Any) -> bool:
        """Whether these are the attributes of a UserErased event."""
        ...

    def place(self, location: Sequence[str | int]) -> str:
        """How a detail names the place of an attribute, or of a value within."""
        ...


def can_ignore(of: InputFormat) -> bool:
    """Whether any record may be ignored."""
    return of.tombstones is Tombstones.IGNORED or bool(of.where.headers or of.where.values)


def attributes_of(
    of: InputFormat, records: InputRecords, row: int, max_bytes: int
) -> Any | Erasure | Rejection | Ignored:
    """What the event class validates, or what the record is before that is asked. The order of all outcomes:

    ignored by a condition on headers, or on what headers say of the event; an erasure without data; ignored, or an
    erasure, as a tombstone; rejected as empty, too_large, or by `load`; ignored by a condition on the value; then the
    reasons of `validate`. What cannot be read is rejected: no condition on its value can be judged.
    """
    if of.ignores_by_headers(records.headers[row]):
        return IGNORED
    if not records.values[row] and of.is_erasure(without_data := of.attributes(None, records, row)):
        return without_data
    if records.values[row] is None and of.tombstones is not Tombstones.REJECTED:
        return IGNORED if of.tombstones is Tombstones.IGNORED else _erasure_by_key(records, row)
    document = of.load(records.values[row], max_bytes)
    if isinstance(document, Rejection):
        return document
    return of.attributes(document, records, row)


def parse_record(
    of: InputFormat, event_class: type[BaseModel], records: InputRecords, row: int, max_bytes: int
) -> Any | Erasure | Rejection | Ignored:
    """The event in a record, of this class, or what becomes of it instead; never raises for any bytes."""
    attributes = attributes_of(of, records, row, max_bytes)
    if isinstance(attributes, Erasure | Rejection | Ignored):
        return attributes
    return (
        _erasure(attributes, UserErased, of.place)
        if of.is_erasure(attributes)
        else validate(attributes, event_class, of.place)
    )


_IN_RECORD: Final = {"subject": "$key", "time": "$timestamp", "id": "$offset"}
_PARTS: Final = {name: OF_RECORD[part] for name, part in _IN_RECORD.items()}
_TYPES: Final[dict[str, Any]] = {name: (part.type.exact, ...) for name, part in _PARTS.items()}
_TOMBSTONE: Final = create_model("_Tombstone", **_TYPES)


def _erasure_by_key(records: InputRecords, row: int) -> Erasure | Rejection:
    attributes = {name: part.of_record(records, row) for name, part in _PARTS.items() if part.of_record}
    return _erasure(attributes, _TOMBSTONE, lambda location: _IN_RECORD[str(location[0])])


def _erasure(
    attributes: Any, erasure_class: type[Any], place: Callable[[Sequence[str | int]], str]
) -> Erasure | Rejection:
    found = validate(attributes, erasure_class, place)
    return found if isinstance(found, Rejection) else Erasure(found.id, found.subject, found.time)


def ignored_rows(of: InputFormat, records: InputRecords, max_bytes: int) -> Collection[int]:
    """The records that are ignored; the same ones as by `parse_record`."""
    return [row for row in range(len(records)) if attributes_of(of, records, row, max_bytes) is IGNORED]
