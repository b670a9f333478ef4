"""How a CSV file is written, found from its first rows: encoding, delimiter, quotes, and its numbers."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Final

from schemas.csv_format import CsvFormat
from trainer.history.csv_source import SEPARATOR_LINE
from trainer.history.numbers import number_pattern

DELIMITERS: Final = (",", ";", "\t", "|")
# The encodings of spreadsheets in the west; bytes that neither has are named with their line.
ENCODINGS: Final = ("utf-8", "windows-1252")
SYMBOLS: Final = ("%", "$", "€", "£", "¥", "₹", "USD", "EUR", "GBP", "CHF", "JPY", "kr", "zł")
# The share of a column's cells that must be numbers for it to be a column of numbers.
MOSTLY: Final = 0.9
# How many different values of a column decide how its numbers are written.
_VALUES_TRIED: Final = 2_000
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


def sniffed_cells(lines: Sequence[str], encoding: str) -> CsvFormat:
    """How the cells of these first lines of a file are separated and quoted; nothing yet of its numbers."""
    separator = SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    quote = "'" if _single_quoted(lines) else '"'
    if separator:
        return CsvFormat(delimiter=separator[1], quote=quote, encoding=encoding)
    best = max(DELIMITERS, key=lambda delimiter: _fit(lines, delimiter, quote))
    return CsvFormat(delimiter=best, quote=quote, encoding=encoding)


def _single_quoted(lines: Iterable[str]) -> bool:
    text = "".join(lines)
    # Two cells with nothing but the mark look like one that is quoted, but begins or ends with a separator.
    mark = r"(^|[,;\t|]){0}(?![,;\t|])[^{0}\r\n]*(?<![,;\t|]){0}(?=[,;\t|]|\r?$)"
    single, double = (len(re.findall(mark.format(quote), text, re.MULTILINE)) for quote in ("'", '"'))
    return single > 0 and double == 0


def _fit(lines: Sequence[str], delimiter: str, quote: str) -> tuple[float, int]:
    """How well a delimiter fits: the share of rows as wide as the header, and the width; worst with a single column."""
    rows: list[list[str]] = []
    reader = csv.reader(lines, delimiter=delimiter, quotechar=quote, strict=True)
    try:
        rows.extend(row for row in reader if row)
    except csv.Error:
        # The last quoted cell may be longer than these lines; with another delimiter, quotes rarely fit at all.
        rows = rows[:-1]
    if not rows or len(rows[0]) < 2:
        return 0.0, 0
    alike = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
    return round(alike, 1), len(rows[0])


def sniffed_numbers(columns: Iterable[Mapping[str, int]], cells: CsvFormat) -> CsvFormat:
    """The format with the decimal sign, thousands and symbols that read most of the columns with numbers.

    A column is a mapping from different cells to how often they occur, without those that are missing.
    """
    symbols: Counter[str] = Counter()
    scores = dict.fromkeys(_NUMBERS, 0.0)
    for column in columns:
        tried = _some(column)
        shares = {
            written: sum(n for cell, n in tried.items() if _pattern(written).fullmatch(cell)) / max(1, tried.total())
            for written in _NUMBERS
        }
        if max(shares.values(), default=0) < MOSTLY:
            continue
        for written, share in shares.items():
            scores[written] += share
        best = max(shares, key=lambda written: shares[written])
        symbols.update(
            symbol
            for cell in tried
            if (found := _pattern(best).fullmatch(cell))
            for symbol in (found["before"], found["after"])
            if symbol
        )
    # With semicolons, a comma in numbers is usually the decimal sign.
    order = [*_NUMBERS]
    if cells.delimiter == ";":
        order.remove(_AMBIGUOUS_GROUPS)
        order.append(_AMBIGUOUS_GROUPS)
    best = max(order, key=lambda written: round(scores[written], 6))
    return replace(cells, decimal=best.decimal, thousands=best.thousands, symbols=tuple(sorted(symbols)))


def _some(column: Mapping[str, int]) -> Counter[str]:
    step = -(-len(column) // _VALUES_TRIED) or 1
    return Counter({cell: n for i, (cell, n) in enumerate(column.items()) if i % step == 0})


@cache
def _pattern(written: CsvFormat) -> re.Pattern[str]:
    return re.compile(number_pattern(replace(written, symbols=SYMBOLS)))
