"""How the dates of a column are written, and what stands for no date or for one to come."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import islice
from typing import Final

from trainer.history.dates import dates_in, without_time
from trainer.profiling.words import AMOUNTS, words_of

ISO_FORMAT: Final = "%Y-%m-%d"
_FORMATS: Final = (
    *(ISO_FORMAT, "%Y/%m/%d", "%Y%m%d", "%Y-%m", "%d.%m.%Y", "%d.%m.%y", "%d. %m. %Y"),
    *(f"{day}{year}" for day in ("%d/%m/", "%m/%d/", "%d-%m-", "%m-%d-") for year in ("%Y", "%y")),
    *("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%d.%b.%Y"),
    *("%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%a, %d %b %Y", "%A, %d %B %Y"),
)
"""How dates are written in tables, as `datetime.strptime` reads them; a time of day may follow."""
_FORMS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"\d{4}-\d{1,2}-\d{1,2}",
        r"(19|20)\d{2}-(0[1-9]|1[0-2])",  # a month, counted from its first day
        r"\d{4}/\d{1,2}/\d{1,2}",
        r"\d{1,2}\. ?\d{1,2}\. ?(\d{4}|\d{2})",
        r"\d{1,2}/\d{1,2}/(\d{4}|\d{2})",
        r"\d{1,2}-\d{1,2}-(\d{4}|\d{2})",
        r"([A-Za-z]{3,9}, )?\d{1,2}[ .-][A-Za-z]{3,9}[ ,.-]+(\d{4}|\d{2})",
        r"[A-Za-z]{3,9}\.? \d{1,2},? \d{4}",
        r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])",
        r"\d{1,2}:\d{2}(:\d{2})?( ?[AaPp][Mm])?",
    )
)
# The share of a column's cells that must be dates for it to be a column of dates.
_MOSTLY: Final = 0.9
# A format that reads none of so many different days reads too few of all.
_DAYS_TRIED: Final = 20
# Beyond these years programs write what is not a date, such as 9999-12-31 and 0001-01-01, and few different ones.
_FIRST_YEAR, _LAST_YEAR = 1800, 2200
_MOST_MARKERS: Final = 3
_OF_DATES: Final = frozenset(
    {
        *("date", "datum", "at", "since", "timestamp", "ts", "created", "updated", "registered"),
        *("joined", "signup", "fecha", "data", "dato", "seit", "desde", "depuis"),
    }
)
# So many different numbers that all have the form of a day are none by chance, whatever their header says.
_FEWEST_BY_VALUE: Final = 10
_PLAIN_DIGITS: Final = re.compile(r"\d+(?:[.,]\d+)?")
TO_COME: Final = frozenset(
    {
        *("end", "ends", "ending", "enddate", "expiry", "expires", "expire", "expiration", "due", "next", "upcoming"),
        *("renewal", "renews", "until", "till", "deadline", "scheduled", "planned", "maturity"),
        *("ende", "enddatum", "vertragsende", "ablauf", "ablaufdatum", "bis", "fällig", "fälligkeit", "nächste"),
        *("nächster", "nächstes", "geplant", "fin", "échéance", "prochain", "prochaine", "expira", "vencimiento"),
        *("caduca", "caducidad", "hasta", "próximo", "próxima", "fine", "scadenza", "prossimo", "prossima"),
        *("vencimento", "validade", "einde", "einddatum", "vervaldatum", "volgende"),
    }
)
"""Words of a header whose dates may be in the future."""


@dataclass(frozen=True, slots=True)
class Dates:
    """The dates of a column."""

    forms: Sequence[str]
    """An example of each way in which they are written."""
    formats: tuple[str, ...]
    """What reads nearly all of the cells: two where the day or the month may be first, or none."""
    days: Mapping[str, date]
    """The cells that the best format reads."""

    @property
    def day_first(self) -> bool | None:
        """Whether the day is known to be before the month, where both are digits with the year after them."""
        if len(self.formats) != 1 or self.numeric_separator is None:
            return None
        return self.formats[0].startswith("%d")

    @property
    def numeric_separator(self) -> str | None:
        """Between a day and a month of which either may be first; None where their order cannot be mistaken."""
        found = re.match("%[dm]([/-])%[dm]", self.formats[0]) if self.formats else None
        return found and found[1]

    @property
    def markers(self) -> tuple[str, ...]:
        """The cells that stand for no date by their year."""
        found = _none_of(self.days)
        return tuple(found) if len(found) <= min(_MOST_MARKERS, len(self.days) - 1) else ()

    def none_among(self, cells: Iterable[str]) -> list[str]:
        """Those of some other cells that stand for no date."""
        return _none_of(_days(cells, self.formats[0]))

    def example_of_two(self) -> str:
        """A cell that the formats read as different dates, and these dates."""
        read = [_days(self.days, each) for each in self.formats]
        by_all = [cell for cell in self.days if all(cell in days for days in read)]
        cell = max(by_all, key=lambda each: len({days[each] for days in read}))
        either = {str(days[cell]): None for days in read}
        return f"{cell} is {' or '.join(either)}" if len(either) > 1 else "they are the same in every cell"

    def with_order(self, *, day_first: bool) -> Dates:
        """The same where it is known whether the day is before the month."""
        known = next(each for each in self.formats if each.startswith("%d") is day_first)
        return replace(self, formats=(known,), days=_days(self.days, known))


def dates_of(header: str, cells: Mapping[str, int]) -> Dates | None:
    """The dates of a column whose different cells occur so often; None for a column of other things."""
    forms = date_forms(header, cells)
    if not forms:
        return None
    text_of = {cell: without_time(cell.strip()) for cell in cells}
    rows: Counter[str] = Counter()
    for cell, text in text_of.items():
        rows[text] += cells[cell]
    tried = [*islice(rows, _DAYS_TRIED)]
    found = {each: _days(rows, each) for each in _FORMATS if _days(tried, each)}
    read = {each: sum(rows[text] for text in days) for each, days in found.items()}
    most = max(read.values(), default=0)
    best = [each for each in read if read[each] == most]
    if not best:
        return Dates(forms, (), {})
    # The names of months may be short and long at once, as May is.
    others = [each for each in best if each.startswith("%d") is not best[0].startswith("%d")][:1]
    formats = (best[0], *others) if most >= _MOSTLY * sum(rows.values()) else ()
    days = found[best[0]]
    return Dates(forms, formats, {cell: days[text] for cell, text in text_of.items() if text in days})


def _none_of(days: Mapping[str, date]) -> list[str]:
    return [cell for cell, day in days.items() if not _FIRST_YEAR <= day.year <= _LAST_YEAR]


def _days(texts: Iterable[str], date_format: str) -> dict[str, date]:
    given = [*texts]
    read = zip(given, dates_in(given, date_format), strict=True)
    return {text: day for text, day in read if isinstance(day, date)}


def date_forms(header: str, cells: Mapping[str, int]) -> list[str]:
    """An example of each way in which the dates of a column are written; empty for a column of other things."""
    found: dict[re.Pattern[str], str] = {}
    # Most columns hold other things, which the first cells show.
    others_allowed = (1 - _MOSTLY) * sum(cells.values())
    plain_digits = len(cells) < _FEWEST_BY_VALUE and not words_of(header) & (_OF_DATES | {"day", "time", "on"})
    for cell, count in cells.items():
        text = without_time(cell.strip())
        for pattern in _FORMS:
            if pattern.fullmatch(text) and not (plain_digits and cell.isdigit()):
                found.setdefault(pattern, cell)
                break
        else:
            others_allowed -= count
            if others_allowed <= 0:
                return []
    return [*found.values()]


def timestamps_of(header: str, numbers: Mapping[str, float]) -> str:
    """What numbers count that are dates as programs store them, and which day one is; empty for other numbers.

    Few numbers are by chance all seconds of the years 2001 to 2050; many are days since 1900, unless the header names a
    date.
    """
    words = words_of(header)
    dated = bool(words & _OF_DATES)
    if words & (AMOUNTS - {"time", "seconds"}) or not (dated or len(numbers) >= _FEWEST_BY_VALUE):
        return ""
    plain = [number for cell, number in numbers.items() if _PLAIN_DIGITS.fullmatch(cell.strip())]
    for what, a_day, since, low, high in (
        ("seconds since 1970", 86_400, date(1970, 1, 1), 1e9, 2.5e9),
        ("milliseconds since 1970", 86_400_000, date(1970, 1, 1), 1e12, 2.5e12),
        ("Excel's days since 1900", 1, date(1899, 12, 30), 1e4, 73_415),
    ):
        found = [number for number in plain if low <= number <= high]
        if len(found) >= _MOSTLY * len(numbers) > 0 and (dated or a_day > 1):
            return f"{what} ({found[0]:.15g} is {since + timedelta(days=found[0] // a_day)})"
    return ""


Orders = Mapping[str, tuple[bool, str]]
"""The sign between numbers of a day and a month -> whether the day is first, and the column that proves it."""


def orders_of(columns: Iterable[tuple[str, Dates | None]]) -> Orders:
    """The orders that the columns prove; a sign with which they prove both is absent."""
    proofs: dict[str, dict[bool, str]] = {}
    for header, dates in columns:
        if dates is not None and dates.numeric_separator is not None and dates.day_first is not None:
            proofs.setdefault(dates.numeric_separator, {}).setdefault(dates.day_first, header)
    return {sign: (*found.items(),)[0] for sign, found in proofs.items() if len(found) == 1}
