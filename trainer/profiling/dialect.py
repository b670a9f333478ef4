"""How the cells of a CSV file are separated, quoted and encoded, found from its first lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from statistics import mode
from typing import Final

from schemas.csv_format import CsvFormat
from trainer.history.csv_source import DELIMITER_NAMES, SEPARATOR_LINE

_LIKELY: Final = (",", ";", "\t", "|")
# Cells contain these, too, so they separate only where nothing else does, and three columns or more.
_RARE: Final = (":", "^")
# The encodings of spreadsheets in the west; bytes that neither has are named with their line.
UTF_8: Final = "utf-8"
WINDOWS: Final = "windows-1252"


def sniffed_cells(lines: Sequence[str], encoding: str) -> CsvFormat:
    """How the cells of these first lines of a file are separated and quoted; nothing yet of its numbers."""
    separator = SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    quote = "'" if _single_quoted(lines) else '"'
    if separator:
        return CsvFormat(delimiter=separator[1], quote=quote, encoding=encoding)
    best = max(_LIKELY, key=lambda delimiter: _fit(lines, delimiter, quote))
    if _fit(lines, best, quote)[1] < 2:
        best = next((rare for rare in _RARE if _fit(lines, rare, quote) >= (1, 3)), best)
    return CsvFormat(delimiter=best, quote=quote, encoding=encoding)


def single_column_hint(lines: Sequence[str]) -> str:
    """What to do about a header that is a single cell, by the lines after it."""
    for delimiter, name in {**DELIMITER_NAMES, " ": "spaces"}.items():
        widths = [line.strip().count(delimiter) + 1 for line in lines]
        width = mode(widths)
        if width == 1 or widths.count(width) <= 0.5 * len(lines):
            continue
        if widths[0] != width:
            return (
                f"most lines have {width}, separated by {name}: remove the lines above line {widths.index(width) + 1}"
            )
        if delimiter in _LIKELY:
            return "its lines are in quotes as a whole: remove these quotes"
        return f"its lines seem to be separated by {name}: separate them by commas"
    return "a table needs several, separated by commas, semicolons, tabs or vertical bars"


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
