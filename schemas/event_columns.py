"""Reads many events at once into columns: a few steps for all of them instead of many for each.

What an event has to be is defined once, by `parse_record`. An event that is decoded here, where never more than that is
accepted, is not parsed again; all others are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import chain, compress
from math import isfinite
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
import orjson
from pydantic import BaseModel

from schemas.column_types import OnlyByClass, column_types
from schemas.dates import days_between
from schemas.events import Erasure
from schemas.formats.cloudevents import CLOUDEVENTS
from schemas.formats.input_format import IGNORED, Attributes, InputFormat, Layout, Load, attributes_of, parse_record
from schemas.formats.leaves import REQUIRED, Leaf, ObjectReader
from schemas.formats.parts import Part
from schemas.formats.pointers import Pointer
from schemas.formats.records import InputRecords
from schemas.formats.times import Wrong
from schemas.parsing import MAX_VALUES, Located, load_json
from schemas.rejected import Rejection, RejectReason
from schemas.roles import Kind, ProfileField, profile_fields
from schemas.values import NOT_CAUSED_BY_EVENT, BadValue, know_too_little, plain_values

# All that a decoder raises: grammar, types and bounds; UTF-8; nesting.
_REFUSED: Final = (msgspec.DecodeError, orjson.JSONDecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Events:
    """Accepted events as columns of equal length, in the order of their values."""

    rows: Sequence[int]
    """Which of the values each event is, ascending."""
    ids: Sequence[str]
    subjects: Sequence[str]
    times: Sequence[datetime]
    profile: Mapping[str, Sequence[Any]]
    """Field name -> plain float or int (also for a date), bool, str, or collection of str; None for a missing value."""


class Read(NamedTuple):
    """What records are: each is in exactly one of these."""

    events: Events
    rejections: Mapping[int, Rejection]
    """By row."""
    ignored: Collection[int] = ()
    """Rows that are not events for this worker."""
    erasures: Mapping[int, Erasure] = {}
    """By row."""


class EventReader:
    """Reads the events of one profile class out of records of one format."""

    def __init__(
        self,
        profile_class: type[BaseModel],
        max_bytes: int,
        input_format: InputFormat = CLOUDEVENTS,
        used: Collection[str] = (),
    ) -> None:
        """An event has values for half of the used fields, which are those of the model.

        Raises ProfileClassError for a class that cannot be a profile.
        """
        self._fields = profile_fields(profile_class)
        self._names = tuple(field.name for field in self._fields)
        self.input_format = input_format
        self._event_class = input_format.event_class(profile_class)
        self._max_bytes = max_bytes
        self._used = len(used)
        self._optional = tuple(field.name for field in self._fields if field.optional and field.name in used)
        self._decoders: tuple[_Decoder, ...] = ()
        self.one_by_one_because: str | None = None
        """Why events are parsed one by one; None where they are read in columns."""
        try:
            # Longer values may hold too many, which are counted before they are read.
            most = min(max_bytes, MAX_VALUES)
            self._decoders = tuple(
                _Decoder(profile_class, each, input_format.load, most) for each in input_format.layouts
            )
        except OnlyByClass as error:
            self.one_by_one_because = str(error)

    def read(self, records: InputRecords) -> Read:
        """The accepted events, why others are rejected, and which records are ignored. Never raises for any bytes."""
        events, rejections, ignored, erasures = self._accepted(records)
        too_little = know_too_little([events.profile[name] for name in self._optional], self._used)
        if too_little:
            rule = f"more than half of the {self._used} fields that the model uses have no value"
            for at in too_little:
                place = self._place(records, events.rows[at], ("data",))
                rejections[events.rows[at]] = Rejection(RejectReason.TOO_LITTLE_KNOWN, f"{place}: {rule}")
        return Read(_without_rows(events, too_little), rejections, ignored, erasures)

    def _place(self, records: InputRecords, row: int, location: Sequence[str]) -> str:
        attributes = attributes_of(self.input_format, records, row, self._max_bytes)
        return (attributes if isinstance(attributes, Located) else self.input_format).place(location)

    def _accepted(
        self, records: InputRecords
    ) -> tuple[Events, dict[int, Rejection], Collection[int], Mapping[int, Erasure]]:
        rows: Sequence[int] = range(len(records))
        ignored: list[int] = []
        matches = self.input_format.where.headers_match
        if self.input_format.where.headers:
            ignored = [row for row in rows if not matches(records.headers[row])]
            rows = _others(rows, ignored)
        found: list[Events] = []
        for decoder, may_read in zip(self._decoders, self.input_format.rows(records, rows), strict=False):
            decoded, others = decoder.decoded(records, may_read, _others([*may_read], _rows(found, ignored)))
            ignored += others
            if decoded is not None:
                found.append(decoded)
        rows = _others(rows, _rows(found, ignored))
        parsed, rejections, others, erasures = self._parsed(records, rows)
        ignored += others
        return _merged([*found, parsed]), rejections, ignored, erasures

    def _parsed(
        self, records: InputRecords, rows: Sequence[int]
    ) -> tuple[Events, dict[int, Rejection], Sequence[int], Mapping[int, Erasure]]:
        events: list[tuple[int, Any]] = []
        rejections: dict[int, Rejection] = {}
        ignored: list[int] = []
        erasures: dict[int, Erasure] = {}
        for row in rows:
            parsed = parse_record(self.input_format, self._event_class, records, row, self._max_bytes)
            if isinstance(parsed, Rejection):
                rejections[row] = parsed
            elif parsed is IGNORED:
                ignored.append(row)
            elif isinstance(parsed, Erasure):
                erasures[row] = parsed
            else:
                events.append((row, parsed))
        profile = _plain_columns([event.data for _, event in events], self._fields)
        if profile is None:
            profile = {name: [] for name in self._names}
            accepted = []
            for row, event in events:
                plain = plain_values(event.data, self._fields, event.time)
                if isinstance(plain, BadValue):
                    place = self._place(records, row, ("data", plain.field))
                    rejections[row] = Rejection(RejectReason.INVALID_PROFILE, f"{place}: {plain.rule}")
                    continue
                accepted.append((row, event))
                for name, value in plain.items():
                    profile[name].append(value)
            events = accepted
        read = Events(
            [row for row, _ in events],
            [event.id for _, event in events],
            [event.subject for _, event in events],
            [event.time for _, event in events],
            profile,
        )
        return read, rejections, ignored, erasures


class _Decoder:
    """Decodes events of one layout as msgspec can, which is a part of what the exact way accepts."""

    def __init__(self, profile_class: type[BaseModel], layout: Layout, load: Load, max_bytes: int) -> None:
        """Raises OnlyByClass."""
        self._max_bytes = max_bytes
        self._load = load
        self._ignores = layout.ignores
        self._parts = layout.parts
        fields = profile_fields(profile_class)
        defaults = profile_class.model_fields
        may_be_absent = {field.name for field in fields if field.optional and defaults[field.name].default is None}
        profile = {
            name: Leaf((*layout.data, *each.at), each.msgspec, None if name in may_be_absent else REQUIRED, each.fits)
            for name, each in column_types(profile_class).items()
        }
        self._at = {name: leaf.at for name, leaf in profile.items()}
        parts = [Leaf(part.places[0], part.type.msgspec) for part in layout.parts.values() if part.places]
        self._objects = ObjectReader([*parts, *profile.values()], layout.required, layout.expected, layout.known)
        self._dates = tuple(field.name for field in fields if field.has_dates)

    def decoded(
        self, records: InputRecords, attributes: Mapping[int, Attributes], candidates: Sequence[int]
    ) -> tuple[Events | None, Sequence[int]]:
        """The events among these rows that it accepts, None if there are none; and rows that are ignored."""
        rows, events, ignored = [], [], []
        closed: Callable[[bytes], Any] = self._objects.closed
        decode, values = closed if self._load is load_json else self._loaded, records.values
        for row in candidates:
            value = values[row]
            if value and len(value) <= self._max_bytes:
                try:
                    event = decode(value)
                except _REFUSED:
                    if decode is not closed:
                        continue
                    try:
                        event = self._with_more(value)
                    except _REFUSED:
                        continue
                    # Its neighbours may well have more, too.
                    if event is not IGNORED:
                        learned = self._objects.learn(orjson.loads(value))
                        decode = closed = self._objects.closed
                        if not learned:
                            decode = self._with_more
                if event is IGNORED:
                    ignored.append(row)
                    continue
                events.append(event)
                rows.append(row)
        return self._events(records, attributes, rows, events) if events else None, ignored

    def _events(
        self, records: InputRecords, attributes: Mapping[int, Attributes], rows: Sequence[int], decoded: Sequence[Any]
    ) -> Events | None:
        columns = self._objects.columns(decoded)
        wrong: set[int] = set()
        for place, fits in self._objects.fits:
            wrong.update(at for at, value in enumerate(columns[place]) if not fits(value))
        parts = {}
        for name, part in self._parts.items():
            parts[name], not_read = part.type.column(_given(name, part, columns, records, attributes, rows))
            wrong.update(not_read)
        profile = {name: columns[at] for name, at in self._at.items()}
        found = Events(rows, parts["id"], parts["subject"], parts["time"], profile)
        found = _without_rows(found, wrong)
        if self._dates:
            found = self._with_days(found)
        return found if found.rows else None

    def _with_days(self, events: Events) -> Events:
        """The events with days until each in place of dates, without those before one of their dates."""
        late: set[int] = set()
        profile = dict(events.profile)
        for name in self._dates:
            profile[name] = days = [
                None if day is None else days_between(date.fromisoformat(day), time)
                for day, time in zip(profile[name], events.times, strict=True)
            ]
            late.update(at for at, each in enumerate(days) if each is not None and each < 0)
        return _without_rows(replace(events, profile=profile), late)

    def _loaded(self, value: bytes) -> Any:
        """The event in a value that is not JSON, or IGNORED."""
        document = self._load(value, self._max_bytes)
        if isinstance(document, Rejection):
            raise msgspec.DecodeError(document.reason)
        return IGNORED if self._ignores(document) else self._objects.of_document(document)

    def _with_more(self, value: bytes) -> Any:
        """The event, with names that are not known here, or IGNORED."""
        # msgspec skips them, and what it skips it does not check for UTF-8 and for numbers that no float can hold.
        document = orjson.loads(value)
        return IGNORED if self._ignores(document) else self._objects.open(value)


def _given(
    name: str,
    part: Part,
    columns: Mapping[Pointer, Sequence[Any]],
    records: InputRecords,
    attributes: Mapping[int, Attributes],
    rows: Sequence[int],
) -> Sequence[Any]:
    if part.places:
        return columns[part.places[0]]
    if part.of_record is not None:
        return [part.of_record(records, row) for row in rows]
    return [attributes[row].get(name) for row in rows]


def _rows(found: Sequence[Events], ignored: Sequence[int]) -> Sequence[int]:
    return [*ignored, *chain.from_iterable(each.rows for each in found)]


def _others(rows: Sequence[int], some: Collection[int]) -> Sequence[int]:
    if not some or not rows:
        return rows
    out = frozenset(some)
    return [row for row in rows if row not in out]


def _without(wrong: Collection[int], *columns: Sequence[Any]) -> Iterator[Sequence[Any]]:
    kept = bytearray(b"\x01") * len(columns[0])
    for at in wrong:
        kept[at] = 0
    return ([*compress(column, kept)] for column in columns)


def _plain_columns(profiles: Sequence[object], fields: Sequence[ProfileField]) -> dict[str, list[Any]] | None:
    """The columns of the profiles; None if a value of one is not plain, or cannot be got."""
    try:
        columns = {field.name: [*map(attrgetter(field.name), profiles)] for field in fields}
        return columns if all(_are_plain(columns[field.name], field) for field in fields) else None
    except NOT_CAUSED_BY_EVENT:
        raise
    except BaseException:  # noqa: BLE001  # the class's own code may raise anything; plain_values says on which event
        return None


def _are_plain(column: Sequence[Any], field: ProfileField) -> bool:
    return _PLAIN[field.kind]([value for value in column if value is not None] if field.optional else column)


def _plain_numbers(column: Sequence[Any]) -> bool:
    return {float, int}.issuperset(map(type, column)) and all(map(isfinite, column))


def _plain_booleans(column: Sequence[Any]) -> bool:
    return {bool}.issuperset(map(type, column))


def _plain_labels(column: Sequence[Any]) -> bool:
    return {str}.issuperset(map(type, column)) and "" not in column


def _plain_lists(column: Sequence[Any]) -> bool:
    return {tuple, list, set, frozenset}.issuperset(map(type, column)) and {str}.issuperset(
        map(type, chain.from_iterable(column))
    )


_PLAIN: Final = {
    Kind.NUMBER: _plain_numbers,
    Kind.DAYS_SINCE: _plain_numbers,
    Kind.BOOLEAN: _plain_booleans,
    Kind.ORDERED: _plain_labels,
    Kind.CATEGORY: _plain_labels,
    Kind.SEVERAL_OF: _plain_lists,
}


def _without_rows(events: Events, wrong: Wrong) -> Events:
    if not wrong:
        return events
    rows, ids, subjects, times, *profile = _without(
        wrong, events.rows, events.ids, events.subjects, events.times, *events.profile.values()
    )
    return Events(rows, ids, subjects, times, dict(zip(events.profile, profile, strict=True)))


def _merged(parts: Sequence[Events]) -> Events:
    """All of these events, which are of different rows."""
    some = [part for part in parts if part.rows]
    if len(some) <= 1:
        return some[0] if some else parts[-1]
    rows = [*chain.from_iterable(part.rows for part in some)]
    order = sorted(range(len(rows)), key=rows.__getitem__)

    def merged(columns: Iterable[Sequence[Any]]) -> list[Any]:
        together = [*chain.from_iterable(columns)]
        return [together[at] for at in order]

    return Events(
        merged(part.rows for part in some),
        merged(part.ids for part in some),
        merged(part.subjects for part in some),
        merged(part.times for part in some),
        {name: merged(part.profile[name] for part in some) for name in some[0].profile},
    )
