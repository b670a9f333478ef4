"""Dates of a history, and the days from each until the day of the history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

from schemas.dates import days_between
from schemas.roles import ProfileField


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
    """The date in each cell, text or of Parquet; a cell that does not hold one stays."""
    found = {cell: _date(cell, date_format) for cell in set(cells)}
    return [found[cell] for cell in cells]


def _date(cell: Any, date_format: str) -> Any:
    if isinstance(cell, datetime):
        return cell.date()
    if not isinstance(cell, str):
        return cell
    try:
        return datetime.strptime(cell.strip(), date_format).date()  # noqa: DTZ007  # only its day counts
    except ValueError:
        return cell
