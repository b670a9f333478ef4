"""Numbers as people and programs write them in a file: 1234.5, 1.234,50 or 12 %."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from schemas.csv_format import ALIKE, CsvFormat

Numbers = Callable[[Sequence[str]], list[Any]]
"""Converts cells to numbers; a cell that does not hold one stays, for the profile class to refuse."""


def numbers_of(written: CsvFormat) -> Numbers:
    """How the cells of a column of numbers are read."""
    if (written.decimal, written.thousands, written.symbols) == (".", "", ()):
        return _plain_numbers
    number = _reader(written)
    return lambda cells: [*map(number, cells)]


def whole_numbers_of(written: CsvFormat) -> Numbers:
    """The same for a field of the type int, which takes no float, as float may not take an int."""
    numbers = numbers_of(written)

    def whole_number(cell: str, number: float | str) -> float | str:
        # Beyond 2**53 a float need not be the number in the cell. 5.0 stays a float, as in an event.
        if cell.isdecimal() and cell.isascii():
            try:
                return int(cell)
            except ValueError:  # too many digits for Python's int
                return cell
        if isinstance(number, str) or not written.thousands or {written.decimal, "e", "E"} & set(cell):
            return number
        return int(number) if abs(number) < 2**53 else number

    def whole_numbers(cells: Sequence[str]) -> list[Any]:
        return [whole_number(cell, number) for cell, number in zip(cells, numbers(cells), strict=True)]

    return whole_numbers


def _plain_numbers(cells: Sequence[str]) -> list[Any]:
    if "_" not in "".join(cells):  # only Python reads 1_000 as a number
        try:
            return [*map(float, cells)]
        except ValueError:
            pass
    return [*map(_plain_number, cells)]


def _plain_number(cell: str) -> float | str:
    if "_" in cell:
        return cell
    try:
        return float(cell)
    except ValueError:
        return cell


def _reader(written: CsvFormat) -> Callable[[str], float | str]:
    pattern = re.compile(number_pattern(written))
    groups = str.maketrans({written.decimal: "."} | dict.fromkeys(ALIKE.get(written.thousands, written.thousands)))

    def number(cell: str) -> float | str:
        found = pattern.fullmatch(cell.strip())
        if found is None:
            return cell
        digits = f"{found['sign'] or found['sign_after']}{found['digits'].translate(groups)}"
        return float(digits.replace("\N{MINUS SIGN}", "-"))

    return number


def number_pattern(written: CsvFormat) -> str:
    """A regular expression of a whole cell with a number in this format, without the blanks around it.

    Groups have three digits, and none follows a zero: with "," between thousands, 1,23 and 0,125 are not numbers. No
    blank can belong to two parts of the expression, so that a long cell takes no more than the time of its length.
    """
    decimal = re.escape(written.decimal)
    whole = r"\d+"
    if written.thousands:
        mark = f"[{re.escape(ALIKE.get(written.thousands, written.thousands))}]"
        whole = rf"[1-9]\d{{0,2}}(?:{mark}\d{{3}})+|\d+"
    symbol = "|".join(map(re.escape, sorted(written.symbols, key=len, reverse=True)))
    before, after = (rf"(?:(?P<{name}>{symbol})\s*+)?" if symbol else "" for name in ("before", "after"))
    sign = "[+\N{MINUS SIGN}-]?"
    digits = rf"(?:(?:{whole})(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?"
    return rf"(?P<sign>{sign})\s*+{before}(?P<sign_after>{sign})(?P<digits>{digits})\s*+{after}"
