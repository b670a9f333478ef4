"""Dates of a history, and the days from each until the day of the history."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from schemas.dates import days_between
from schemas.roles import Kind, ProfileField, profile_fields
from trainer.errors import HistoryError
from trainer.history.rows import Source

# From the first of some blanks alone: from each of them, a cell of nothing else would take minutes.
_TIME: Final = re.compile(
    r"(?:T|(?<! ),? ++)(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?"
    r"(?: ?[AaPp]\.?[Mm]\.?)?(?: ?(?:Z|[A-Z]{3,4}|(?:UTC|GMT)?[+-]\d\d(?::?\d\d)?))?\Z"
)
_TIMED: Final = re.compile("%[HIMSfpXcTRzZ]")
"""What a format has that reads a time of day itself."""

# The zone whose days begin first is that far ahead of UTC.
_AHEAD = timedelta(hours=14)


@dataclass(frozen=True, slots=True)
class DateAt:
    """A date, and where it is in a history."""

    day: date
    header: str
    place: str
    """Such as "line 7"."""


@dataclass(frozen=True, slots=True)
class CountedTo:
    """The day to which the days since a date are counted, and why to this one."""

    day: date
    because: str

    def __str__(self) -> str:
        return f"{self.day} ({self.because})"


@dataclass(frozen=True, slots=True)
class DayRule:
    """Which day the days since the dates of a history are counted to.

    Without a given one it is the newest date of the history, since that is about when it was written, but no day before
    those of the fits that it is compared with: a part of a history may lack its newest dates.
    """

    given: date | None = None
    latest: date = date.max
    """Today: a newer date is wrong, or lies in the future on purpose."""
    fitted: Mapping[str, date] = dataclasses.field(default_factory=dict)
    """Version -> the day of its fit."""

    def after(self, newest: DateAt, path: Path) -> CountedTo:
        """The day for a history with this newest date; raises HistoryError where it lies in the future."""
        if newest.day > self.latest:
            raise HistoryError(
                f'{path}, {newest.place}: column "{newest.header}" has the date {newest.day}, which is in the future, '
                "and days are counted to the newest date. If the date is wrong, correct it, or give --as-of with the "
                "day on which the file was written: rows with a later date are then bad rows. If the column holds "
                "future dates on purpose, such as the end of a contract, remove it from the profile class, since "
                "events with such dates are rejected"
            )
        version = max(self.fitted, key=lambda each: self.fitted[each], default=None)
        if version is None or self.fitted[version] <= newest.day:
            return CountedTo(newest.day, f'the newest date, in column "{newest.header}"; --as-of sets another day')
        why = f"the day of version {version}, since no date here is newer; --as-of sets another day"
        return CountedTo(self.fitted[version], why)


NEWEST_DATE: Final = DayRule()


def today_anywhere(now: datetime) -> date:
    """The day that it is in the zone where the day begins first; now is in UTC."""
    return (now + _AHEAD).date()


def has_dates(profile_class: type[BaseModel]) -> bool:
    """Whether days since a date are counted for a field of the class."""
    return any(field.kind is Kind.DAYS_SINCE for field in profile_fields(profile_class))


def newest_date(source: Source, missing: Collection[str]) -> DateAt | None:
    """The newest date of a history, without the cells that are declared as missing; None where there is none."""
    newest: DateAt | None = None
    columns = zip(source.layout.fields, source.layout.field_at, strict=True)
    dated = [(at, field, {*missing, *field.missing}) for field, at in columns if field.kind is Kind.DAYS_SINCE]
    for rows in source.rows:
        for at, field, empty in dated if rows.numbers else ():
            cells = [None if isinstance(cell, str) and cell.strip() in empty else cell for cell in rows.columns[at]]
            dates = dates_in(cells, field.date_format)
            day = max((each for each in dates if isinstance(each, date)), default=date.min)
            if day > (date.min if newest is None else newest.day):
                newest = DateAt(day, field.header, f"{source.unit} {rows.numbers[dates.index(day)]}")
    return newest


def days_of(field: ProfileField, today: date) -> Callable[[Sequence[Any]], list[Any]]:
    """How the cells of a column of dates are read: as numbers of days, or as text that an event has, too.

    A cell that does not hold a date stays, for the profile class to refuse.
    """

    def value(cell: Any) -> Any:
        if not isinstance(cell, date):
            return cell
        return cell.isoformat() if field.has_dates else days_between(cell, today)

    return lambda cells: [*map(value, dates_in(cells, field.date_format))]


def dates_in(cells: Sequence[Any], date_format: str) -> list[Any]:
    """The date in each cell, text or of Parquet; a cell that does not hold one stays.

    A time of day after the date is ignored, and so is its zone: the day is the one that is written.
    """
    found = {cell: _date(cell, date_format) for cell in set(cells)}
    return [found[cell] for cell in cells]


def _date(cell: Any, date_format: str) -> Any:
    if isinstance(cell, datetime):
        return cell.date()
    if not isinstance(cell, str):
        return cell
    text = cell.strip()
    day = _day(text if _TIMED.search(date_format) else without_time(text), date_format)
    return cell if day is None else day


# Many stamps are of the same day.
@lru_cache(maxsize=10_000)
def _day(text: str, date_format: str) -> date | None:
    try:
        return datetime.strptime(text, date_format).date()  # noqa: DTZ007  # only its day counts
    except ValueError:
        return None


def without_time(text: str) -> str:
    """The text without a time of day at its end, since only the day counts: as 10:30, T10:30:00.5Z or 9:05 PM UTC."""
    return _TIME.sub("", text)
