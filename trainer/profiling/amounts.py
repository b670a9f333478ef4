"""Why a column of numbers cannot be read as one: other units, signs or marks beside its numbers."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from schemas.counting import counted
from trainer.history.numbers import numbers_of
from trainer.profiling.facts import Facts
from trainer.profiling.number_formats import MOSTLY, symbols_beside

_NEGATIVE: Final = re.compile(r"\(([^()]+)\)|([^-]+)-")
_WITH_UNIT: Final = re.compile(r"([+-]?\d[\d.,]*)\s*+([^\W\d_]{1,12}(?:/[^\W\d_]{1,12})?)")
# More are the second halves of codes, such as 12a, 12b, 12c.
_MOST_UNITS: Final = 3


def unreadable(facts: Facts) -> str:
    """Why numbers of the column would be read wrongly or not at all; empty where they would not."""
    return facts.doubt.contrary or _negatives(facts) or _mixed(facts)


def units(facts: Facts) -> str:
    """Why labels that are numbers with a unit are not labels; empty for others."""
    found: Counter[str] = Counter()
    for cell, unit in _within(facts, _WITH_UNIT).items():
        found[unit] += facts.cells[cell]
    common = found.most_common(_MOST_UNITS)
    if not common or sum(n for _, n in common) < MOSTLY * facts.known:
        return ""
    return f"numbers with the unit {', '.join(unit for unit, _ in common)}: write it into the header, not the cells"


def _negatives(facts: Facts) -> str:
    found = _within(facts, _NEGATIVE) if facts.numbers else {}
    if not found or facts.numeric_rows + sum(facts.cells[cell] for cell in found) < MOSTLY * facts.known:
        return ""
    cell, digits = next(iter(found.items()))
    return f"negative numbers as {cell.strip()} on line {facts.column.first[cell]}: write -{digits.strip()}"


def _within(facts: Facts, form: re.Pattern[str]) -> dict[str, str]:
    """The cells of a form around a number -> what the form's last group found."""
    others = (cell for cell in facts.cells if cell not in facts.numbers)
    matches = {cell: match for cell in others if (match := form.fullmatch(cell.strip()))}
    read = numbers_of(facts.written)([next(filter(None, match.groups())) for match in matches.values()])
    return {
        cell: match[match.lastindex or 0]
        for (cell, match), number in zip(matches.items(), read, strict=True)
        if isinstance(number, float)
    }


def _mixed(facts: Facts) -> str:
    """Counts of the signs where they differ: $ and € do not add up, nor do 9 % and 0.09; a 0 needs no sign."""
    rows: Counter[str] = Counter()
    first: dict[str, int] = {}
    for cell, number in facts.numbers.items():
        sign = " ".join(symbols_beside(cell))
        if sign or number:
            rows[sign] += facts.cells[cell]
            first.setdefault(sign, facts.column.first[cell])
    if len(rows) - ("" in rows and "%" not in rows) < 2:
        return ""
    listed = (f"{sign or 'none'} in {counted(rows[sign], 'row')}, first on line {line}" for sign, line in first.items())
    return f"numbers with different signs ({'; '.join(listed)}): write all with the same sign"
