"""Reads many events at once into columns: a few steps for all of them instead of many for each.

What an event has to be is defined once, by `parse_event`. An event that passes the checks here, which never accept more
than that, is not parsed again; all others are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import chain, compress
from math import isfinite
from operator import attrgetter, itemgetter
from typing import Any, Final

import orjson
from pydantic import BaseModel

from schemas.column_checks import Check, OnlyByClass, column_checks
from schemas.dates import days_between
from schemas.events import IDENTIFIER_MAX, OBSERVED_TYPE, UserEvent
from schemas.parsing import MAX_VALUES, parse_event
from schemas.rejected import Rejection, RejectReason
from schemas.roles import Kind, ProfileField, profile_fields
from schemas.values import NOT_CAUSED_BY_EVENT, BadValue, know_too_little, plain_values

_ATTRIBUTES: Final = ("specversion", "type", "source", "id", "subject", "time", "data")
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
        self._dates = tuple(index for index, field in enumerate(self._fields) if field.has_dates)
        self._values_of = _getter(self._names)
        defaults = profile_class.model_fields
        may_be_absent = [
            field.name for field in self._fields if field.optional and defaults[field.name].default is None
        ]
        if may_be_absent:
            self._values_of = _or_missing(self._values_of, dict.fromkeys(may_be_absent))
        self._event_class: type[UserEvent[Any]] = UserEvent[profile_class]  # type: ignore[valid-type]  # known at run time
        self._max_bytes = max_bytes
        self._checks: Mapping[str, Check] = {}
        self.one_by_one_because: str | None = None
        """Why events are parsed one by one; None where they are checked in columns."""
        try:
            self._checks = column_checks(profile_class)
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
        return (_known_enough(events, too_little) if too_little else events), rejections

    def _accepted(self, values: Sequence[bytes | None]) -> tuple[Events, dict[int, Rejection]]:
        checked = self._checked(values) if self._checks else None
        if checked is not None and len(checked.rows) == len(values):
            return checked, {}
        known = frozenset(checked.rows) if checked else frozenset()
        parsed, rejections = self._parsed(values, [row for row in range(len(values)) if row not in known])
        return (_merged(checked, parsed) if checked and checked.rows else parsed), rejections

    def _checked(self, values: Sequence[bytes | None]) -> Events | None:
        """The events that pass all checks; None if there are none."""
        columns = _table(itemgetter(*_ATTRIBUTES), *self._documents(values))
        if columns is None:
            return None
        rows, specversions, types, sources, ids, subjects, times, profiles = columns
        wrong: set[int] = set()
        for constant, column in (("1.0", specversions), (OBSERVED_TYPE, types)):
            if column.count(constant) != len(column):
                wrong.update(at for at, value in enumerate(column) if value != constant)
        for column in (sources, ids, subjects):
            wrong.update(_no_identifiers(column))
        moments, no_times = _moments(times)
        wrong.update(no_times)
        if wrong:
            rows, ids, subjects, moments, profiles = _without(wrong, rows, ids, subjects, moments, profiles)
        names = self._names
        table = _table(self._values_of, range(len(rows)), profiles)
        if table is None:
            return None
        at, *fields = table
        wrong = {
            position for name, column in zip(names, fields, strict=True) for position in self._checks[name](column)
        }
        if wrong:
            at, *fields = _without(wrong, at, *fields)
        if self._dates:
            at, *fields = self._with_days(at, fields, moments)
        if len(at) < len(rows):
            rows, ids, subjects, moments = ([column[each] for each in at] for column in (rows, ids, subjects, moments))
        return Events(rows, ids, subjects, moments, dict(zip(names, fields, strict=True)))

    def _with_days(
        self, at: Sequence[int], fields: list[Sequence[Any]], moments: Sequence[datetime]
    ) -> Iterator[Sequence[Any]]:
        """The columns with days until the event in place of dates, without events before one of their dates."""
        late: set[int] = set()
        for index in self._dates:
            days = [
                None if day is None else days_between(date.fromisoformat(day), moments[row])
                for day, row in zip(fields[index], at, strict=True)
            ]
            late.update(position for position, each in enumerate(days) if each is not None and each < 0)
            fields[index] = days
        return _without(late, at, *fields)

    def _documents(self, values: Sequence[bytes | None]) -> tuple[list[int], list[Any]]:
        rows, documents = [], []
        # Longer ones may hold too many values, which parse_event counts before it reads them.
        most = min(self._max_bytes, MAX_VALUES)
        read = orjson.loads
        for row, value in enumerate(values):
            if value and len(value) <= most:
                try:
                    documents.append(read(value))
                except orjson.JSONDecodeError:
                    continue
                rows.append(row)
        return rows, documents

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


ValuesOf = Callable[[Any], tuple[Any, ...]]
"""Takes the values of some keys out of an object of JSON; raises KeyError, TypeError or IndexError if one has none."""


def _getter(names: Sequence[str]) -> ValuesOf:
    return itemgetter(*names) if len(names) > 1 else lambda profile: (profile[names[0]],)


def _or_missing(values_of: ValuesOf, missing: Mapping[str, None]) -> ValuesOf:
    def values(profile: Any) -> tuple[Any, ...]:
        try:
            return values_of(profile)
        except KeyError:
            return values_of({**missing, **profile})

    return values


def _table(values_of: ValuesOf, rows: Sequence[int], objects: Sequence[Any]) -> Sequence[Sequence[Any]] | None:
    """The rows and the columns of the objects that have all the values; None if none has."""
    try:
        table = [*map(values_of, objects)]
    except (KeyError, TypeError, IndexError):
        kept, table = [], []
        for row, one in zip(rows, objects, strict=True):
            try:
                table.append(values_of(one))
            except (KeyError, TypeError, IndexError):
                continue
            kept.append(row)
        rows = kept
    return [rows, *zip(*table, strict=True)] if table else None


def _no_identifiers(column: Sequence[Any]) -> Wrong:
    if {str}.issuperset(map(type, column)):
        lengths = [*map(len, column)]
        if min(lengths) >= 1 and max(lengths) <= IDENTIFIER_MAX:
            return ()
    return [at for at, value in enumerate(column) if not (type(value) is str and 1 <= len(value) <= IDENTIFIER_MAX)]


def _moments(times: Sequence[Any]) -> tuple[Sequence[datetime], Wrong]:
    """The times, and the positions of those that only parse_event can judge, where any time stands for them."""
    try:
        text = "\n".join([*times, ""])
        # As many line ends as times: none of them has one in it.
        if text.count("\n") == len(times) and _TIMES.fullmatch(text):
            return [*map(datetime.fromisoformat, times)], ()
    except (TypeError, ValueError):
        pass
    moments, wrong = [], []
    for at, time in enumerate(times):
        try:
            if isinstance(time, str) and _ONE_TIME.fullmatch(time):
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


def _known_enough(events: Events, too_little: Wrong) -> Events:
    rows, ids, subjects, times, *profile = _without(
        too_little, events.rows, events.ids, events.subjects, events.times, *events.profile.values()
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
