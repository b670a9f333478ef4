"""Reads many events at once into columns: a few steps for all of them instead of many for each.

What an event has to be is defined once, by `parse_event`. An event that is decoded here, where never more than that is
accepted, is not parsed again; all others are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import chain, compress
from math import isfinite
from operator import attrgetter
from typing import Annotated, Any, Final, Literal

import msgspec
import orjson
from pydantic import BaseModel

from schemas.column_types import OnlyByClass, column_types
from schemas.dates import days_between
from schemas.events import IDENTIFIER_MAX, OBSERVED_TYPE, UserEvent
from schemas.parsing import MAX_VALUES, parse_event
from schemas.rejected import Rejection, RejectReason
from schemas.roles import Kind, ProfileField, profile_fields
from schemas.values import NOT_CAUSED_BY_EVENT, BadValue, know_too_little, plain_values

_ATTRIBUTES: Final = attrgetter("id", "subject", "time", "data")
# Others that many events have.
_IGNORED: Final = ("datacontenttype", "dataschema", "traceparent", "tracestate")
# All that a decoder raises: grammar, types and bounds; UTF-8; nesting.
_REFUSED: Final = (msgspec.DecodeError, orjson.JSONDecodeError, UnicodeDecodeError, RecursionError)
# A part of what RFC 3339 allows: all other times are left to the exact way. -00:00 is one, and digits of a microsecond.
_TIME: Final = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    r"(?:Z|(?:\+(?:[01][0-9]|2[0-3])|-(?!00:00)(?:[01][0-9]|2[0-3])):[0-5][0-9])"
)
_ONE_TIME: Final = re.compile(_TIME)
_TIMES: Final = re.compile(rf"(?:{_TIME}\n)*")

_ANY_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)

Wrong = Collection[int]
"""Positions in a column."""


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


class EventReader:
    """Reads the events of one profile class."""

    def __init__(self, profile_class: type[BaseModel], max_bytes: int) -> None:
        """Raises ProfileClassError for a class that cannot be a profile."""
        self._fields = profile_fields(profile_class)
        self._names = tuple(field.name for field in self._fields)
        self._event_class: type[UserEvent[Any]] = UserEvent[profile_class]  # type: ignore[valid-type]  # known at run time
        self._max_bytes = max_bytes
        self._decoders: _Decoders | None = None
        self.one_by_one_because: str | None = None
        """Why events are parsed one by one; None where they are read in columns."""
        try:
            self._decoders = _Decoders(profile_class, min(max_bytes, MAX_VALUES))
        except OnlyByClass as error:
            self.one_by_one_because = str(error)

    def read(self, values: Sequence[bytes | None]) -> tuple[Events, Mapping[int, Rejection]]:
        """The accepted events, and for each other value, by its position, why it is rejected.

        Never raises for any bytes.
        """
        events, rejections = self._accepted(values)
        too_little = know_too_little([*events.profile.values()], self._fields)
        for at in too_little:
            rejections[events.rows[at]] = Rejection(
                RejectReason.TOO_LITTLE_KNOWN, f"data: more than half of its {len(self._fields)} fields have no value"
            )
        return _without_rows(events, too_little), rejections

    def _accepted(self, values: Sequence[bytes | None]) -> tuple[Events, dict[int, Rejection]]:
        decoded = self._decoders.decoded(values) if self._decoders else None
        if decoded is not None and len(decoded.rows) == len(values):
            return decoded, {}
        known = frozenset(decoded.rows) if decoded else frozenset()
        parsed, rejections = self._parsed(values, [row for row in range(len(values)) if row not in known])
        return (_merged(decoded, parsed) if decoded else parsed), rejections

    def _parsed(self, values: Sequence[bytes | None], rows: Sequence[int]) -> tuple[Events, dict[int, Rejection]]:
        events: list[tuple[int, UserEvent[Any]]] = []
        rejections: dict[int, Rejection] = {}
        for row in rows:
            parsed = parse_event(values[row], self._event_class, self._max_bytes)
            if isinstance(parsed, Rejection):
                rejections[row] = parsed
            else:
                events.append((row, parsed))
        profile = _plain_columns([event.data for _, event in events], self._fields)
        if profile is None:
            profile = {name: [] for name in self._names}
            accepted = []
            for row, event in events:
                plain = plain_values(event.data, self._fields, event.time)
                if isinstance(plain, BadValue):
                    rejections[row] = Rejection(RejectReason.INVALID_PROFILE, f"data.{plain.field}: {plain.rule}")
                    continue
                accepted.append((row, event))
                for name, value in plain.items():
                    profile[name].append(value)
            events = accepted
        return (
            Events(
                [row for row, _ in events],
                [event.id for _, event in events],
                [event.subject for _, event in events],
                [event.time for _, event in events],
                profile,
            ),
            rejections,
        )


class _Decoders:
    """Decodes events as msgspec can, which is a part of what `parse_event` accepts."""

    def __init__(self, profile_class: type[BaseModel], max_bytes: int) -> None:
        """Raises OnlyByClass."""
        types = column_types(profile_class)
        self._names = tuple(types)
        # Longer ones may hold too many values, which parse_event counts before it reads them.
        self._max_bytes = max_bytes
        fields = profile_fields(profile_class)
        defaults = profile_class.model_fields
        may_be_absent = {field.name for field in fields if field.optional and defaults[field.name].default is None}
        profile = [(name, each.msgspec, *([None] if name in may_be_absent else [])) for name, each in types.items()]
        self._closed, self._open = (_decoder(profile, closed) for closed in (True, False))
        self._values_of = attrgetter(*types) if len(types) > 1 else lambda profile: (getattr(profile, *types),)
        self._fits = [(index, each.fits) for index, each in enumerate(types.values()) if each.fits]
        self._dates = tuple(field.name for field in fields if field.has_dates)

    def decoded(self, values: Sequence[bytes | None]) -> Events | None:
        """The events that it accepts; None if there are none."""
        rows, events = [], []
        decode = closed = self._closed
        for row, value in enumerate(values):
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
                    decode = self._with_more
                events.append(event)
                rows.append(row)
        if not events:
            return None
        ids, subjects, times, profiles = zip(*map(_ATTRIBUTES, events), strict=True)
        fields: list[Sequence[Any]] = [*zip(*map(self._values_of, profiles), strict=True)]
        moments, not_read = _moments(times)
        wrong = {*not_read}
        for index, fits in self._fits:
            wrong.update(at for at, value in enumerate(fields[index]) if not fits(value))
        found = Events(rows, ids, subjects, moments, dict(zip(self._names, fields, strict=True)))
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

    def _with_more(self, value: bytes) -> Any:
        """The event, with attributes or fields that are not named here."""
        # msgspec skips them, and what it skips it does not check for UTF-8 and for numbers that no float can hold.
        orjson.loads(value)
        return self._open(value)


def _decoder(profile: Iterable[tuple[Any, ...]], closed: bool) -> Callable[[bytes], Any]:  # noqa: FBT001  # a fact, not a mode
    def object_of(name: str, fields: Iterable[tuple[Any, ...]]) -> type[msgspec.Struct]:
        # Nothing in it can refer back to it, so that garbage collection need not look at it.
        return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=closed, gc=False)

    identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=IDENTIFIER_MAX)]
    attributes = {
        "specversion": Literal["1.0"],
        "type": Literal[OBSERVED_TYPE],
        **dict.fromkeys(("source", "id", "subject"), identifier),
        "time": str,
        "data": object_of("Profile", profile),
    }
    ignored = ((name, str | None, None) for name in _IGNORED)
    return msgspec.json.Decoder(object_of("Event", chain(attributes.items(), ignored))).decode


def _moments(times: Sequence[str]) -> tuple[Sequence[datetime], Wrong]:
    """The times, and the positions of those that only parse_event can judge, where any time stands for them."""
    text = "\n".join([*times, ""])
    # As many line ends as times: none of them has one in it.
    if text.count("\n") == len(times) and _TIMES.fullmatch(text):
        with suppress(ValueError):
            return [*map(datetime.fromisoformat, times)], ()
    moments, wrong = [], []
    for at, time in enumerate(times):
        try:
            if _ONE_TIME.fullmatch(time):
                moments.append(datetime.fromisoformat(time))
                continue
        except ValueError:
            pass
        moments.append(_ANY_TIME)
        wrong.append(at)
    return moments, wrong


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


def _merged(one: Events, other: Events) -> Events:
    if not other.rows:
        return one
    rows = [*one.rows, *other.rows]
    order = sorted(range(len(rows)), key=rows.__getitem__)

    def merged(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
        both = [*first, *second]
        return [both[at] for at in order]

    return Events(
        merged(one.rows, other.rows),
        merged(one.ids, other.ids),
        merged(one.subjects, other.subjects),
        merged(one.times, other.times),
        {name: merged(column, other.profile[name]) for name, column in one.profile.items()},
    )
