"""How the numbers of a CSV file are written: decimal sign, thousands, symbols; and where that is not certain."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from schemas.csv_format import CsvFormat
from trainer.history.numbers import numbers_of

# The share of a column's cells that must be numbers for it to be a column of numbers.
MOSTLY: Final = 0.9
# How many different values of a column decide how its numbers are written.
_VALUES_TRIED: Final = 2_000
# Where decimals lose their zeros at the end, so many with three digits each are found in one table of eight.
_LEAST_GROUPED: Final = 20
# With quotes alone it cannot be known whether 1,234 has thousands or three decimals.
_AMBIGUOUS_GROUPS: Final = CsvFormat(thousands=",")
_NUMBERS: Final = (
    CsvFormat(),
    _AMBIGUOUS_GROUPS,
    CsvFormat(decimal=","),
    CsvFormat(decimal=",", thousands="."),
    CsvFormat(thousands=" "),
    CsvFormat(decimal=",", thousands=" "),
    CsvFormat(thousands="'"),
    CsvFormat(decimal=",", thousands="'"),
)
_SYMBOL: Final = (
    r"%|[A-Z]{0,3}[$£¥₠-⃀]|Rs\.?|kr|zł|Kč"
    r"|AED|AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HKD|HUF|INR|JPY|KRW|MXN|NOK|NZD|PLN|RON|SEK|SGD|TRY|USD|ZAR"
)
_SIGN: Final = "[+\N{MINUS SIGN}-]?"
_AMOUNT: Final = re.compile(
    rf"{_SIGN}\s*+(?P<before>{_SYMBOL})?\s*+{_SIGN}[\d.,'’\s]++(?:[eE][+-]?\d+\s*)?"
    rf"(?P<after>{_SYMBOL})?"
)
_LONGEST_NUMBER: Final = 60

Values = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is not certain about the numbers of a column; both are empty where nothing is in doubt."""

    question: str = ""
    """Where another reading of all cells is possible, and no other column decides."""
    contrary: str = ""
    """Why the format of the whole file is wrong for this column."""


@dataclass(frozen=True, slots=True)
class _Readings:
    """The formats that read the most cells of a column, grouped by the values that they give."""

    column: Mapping[str, int]
    shares: Mapping[CsvFormat, float]
    meanings: tuple[frozenset[CsvFormat], ...]
    symbols: frozenset[str]

    def values(self, written: CsvFormat) -> Values:
        """What a format makes of the cells: read again, since the values of a thousand columns fill the memory."""
        return _values(_tried(self.column), written, self.symbols)


def sniffed_numbers(columns: Sequence[Mapping[str, int]], cells: CsvFormat) -> tuple[CsvFormat, tuple[Doubt, ...]]:
    """The format with the numbers that most columns agree on, and what is in doubt about each column.

    A column is a mapping from different cells to how often they occur, without those that are missing.
    """
    readings = [_readings(column) for column in columns]
    # With semicolons, a comma in numbers is usually the decimal sign.
    order = sorted(_NUMBERS, key=lambda each: cells.delimiter == ";" and each == _AMBIGUOUS_GROUPS)
    decided = [one.meanings[0] for one in readings if len(one.meanings) == 1]
    votes = {each: sum(each in meaning for meaning in decided) for each in order}
    scores = {each: sum(one.shares[each] for one in readings if one.meanings) for each in order}
    best = max(order, key=lambda each: (votes[each], round(scores[each], 6)))
    agreed = frozenset(each for each in order if votes[each] == len(decided))
    grouped = any(all(each.thousands == best.thousands for each in meaning) for meaning in decided)
    symbols = sorted(frozenset().union(*(one.symbols for one in readings)))
    return (
        replace(cells, decimal=best.decimal, thousands=best.thousands, symbols=tuple(symbols)),
        tuple(_doubt(one, best, agreed, grouped=grouped) for one in readings),
    )


def symbols_beside(cell: str) -> tuple[str, ...]:
    """The currencies or the percent sign that a cell with a number has: ("$",) for "-$3"."""
    found = _AMOUNT.fullmatch(cell.strip()) if len(cell) <= _LONGEST_NUMBER else None
    return tuple(filter(None, found.groups())) if found else ()


def _readings(column: Mapping[str, int]) -> _Readings:
    tried = _tried(column)
    symbols = frozenset(symbol for cell in tried for symbol in symbols_beside(cell))
    values = {each: _values(tried, each, symbols) for each in _NUMBERS}
    rows = {
        each: sum(n for n, value in zip(tried.values(), read, strict=True) if value is not None)
        for each, read in values.items()
    }
    most, total = max(rows.values()), sum(tried.values())
    meanings: dict[Values, set[CsvFormat]] = {}
    for each in _NUMBERS:
        if rows[each] == most >= max(1, MOSTLY * total):
            meanings.setdefault(values[each], set()).add(each)
    if len(meanings) > 1 and _are_grouped(tried, values[_NUMBERS[0]]):
        meanings = {read: written for read, written in meanings.items() if _are_whole(read)}
    return _Readings(
        column,
        {each: n / max(1, total) for each, n in rows.items()},
        tuple(map(frozenset, meanings.values())),
        symbols if meanings else frozenset(),
    )


def _tried(column: Mapping[str, int]) -> Mapping[str, int]:
    step = -(-len(column) // _VALUES_TRIED) or 1
    return {cell: n for i, (cell, n) in enumerate(column.items()) if i % step == 0}


def _values(cells: Mapping[str, int], written: CsvFormat, symbols: frozenset[str]) -> Values:
    read = numbers_of(replace(written, symbols=tuple(symbols)))([*cells])
    return tuple(value if isinstance(value, float) and math.isfinite(value) else None for value in read)


def _are_grouped(cells: Mapping[str, int], values: Values) -> bool:
    """Whether marks before three digits are thousands: there are many, and every number without one is below 1,000.

    Decimals would sometimes have fewer digits where some numbers have none.
    """
    plain = [
        abs(value)
        for cell, value in zip(cells, values, strict=True)
        if value is not None and not {".", ","} & set(cell)
    ]
    return max(plain, default=1_000) < 1_000 and any(plain) and len(cells) - len(plain) >= _LEAST_GROUPED


def _are_whole(values: Values) -> bool:
    return all(value is None or value.is_integer() for value in values)


def _doubt(one: _Readings, best: CsvFormat, agreed: frozenset[CsvFormat], *, grouped: bool) -> Doubt:
    """What is in doubt about a column that is read in the best format for all.

    The columns that can be read in one way only agree on some formats; grouped says whether one of them has thousands
    as the best format has them.
    """
    if not one.meanings:
        return Doubt()
    others = [meaning for meaning in one.meanings if best not in meaning]
    if len(others) == len(one.meanings):
        return Doubt(contrary=_contrary(one, best, others[0]))
    if agreed and others:
        # Programs write a decimal point, whatever people write in other columns.
        by_program = _are_whole(one.values(best)) and not grouped
        others = [meaning for meaning in others if meaning & agreed or (by_program and CsvFormat() in meaning)]
    return Doubt(question=_asked(one, best, others[0], agreed)) if others else Doubt()


def _asked(one: _Readings, best: CsvFormat, meaning: frozenset[CsvFormat], agreed: frozenset[CsvFormat]) -> str:
    other = min(meaning, key=_NUMBERS.index)
    cell, value, otherwise = _differing(one, best, other)
    declare = f'declare decimal="{other.decimal}" and thousands="{other.thousands}" in history_format'
    remedy = declare if other in agreed else "write the numbers of all columns in one way"
    return f"Is {cell} the number {value}, as it is read, or {otherwise}? If the latter, {remedy}."


def _contrary(one: _Readings, best: CsvFormat, meaning: frozenset[CsvFormat]) -> str:
    cell, value, otherwise = _differing(one, best, min(meaning, key=_NUMBERS.index))
    return (
        f"its numbers are written in another way than those of other columns: {cell} is {otherwise} here, and "
        f"{value} there; write all columns in one way"
    )


def _differing(one: _Readings, best: CsvFormat, other: CsvFormat) -> tuple[str, str, str]:
    """A cell that two formats read differently, preferably as two numbers, and what each makes of it."""
    differing = [
        (first is None, cell.strip(), _text(first), _text(second))
        for cell, first, second in zip(_tried(one.column), one.values(best), one.values(other), strict=True)
        if first != second and second is not None
    ]
    return min(differing, key=lambda each: each[0])[1:]


def _text(value: float | None) -> str:
    return "not a number" if value is None else f"{value:.15g}"
