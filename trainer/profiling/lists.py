"""Cells that hold several labels, and what separates these."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from trainer.profiling.facts import Facts
from trainer.profiling.number_formats import MOSTLY

# A column with more labels says little about groups.
MOST_LEVELS: Final = 200
# As long as a label of a profile may be.
LONGEST_LABEL: Final = 200
_SEPARATORS: Final = (",", ";", "|", "/")
_BRACKETED: Final = re.compile(r"\s*(\[.*\]|\{.*\}|\(.*\))\s*", re.DOTALL)


def separator_of(facts: Facts) -> str | None:
    """What separates the labels in a column's cells; None where they are no lists."""
    if not facts.complete:
        return None
    best = max(_SEPARATORS, key=lambda separator: sum(n for cell, n in facts.cells.items() if separator in cell))
    return best if _is_list(facts, best) else None


def are_literals(facts: Facts) -> bool:
    """Whether the cells are lists or objects as a program prints them, such as ['a', 'b'], ["a"] or {a,b}."""
    bracketed = {cell: n for cell, n in facts.cells.items() if _BRACKETED.fullmatch(cell)}
    return sum(bracketed.values()) >= MOSTLY * facts.known and any("," in cell for cell in bracketed)


def split(cell: str, separator: str) -> list[str]:
    """The labels in a cell."""
    return [*filter(None, map(str.strip, cell.split(separator)))]


def _is_list(facts: Facts, separator: str) -> bool:
    """Whether cells are lists: some have several items, and the same items come back in different cells.

    A label with a comma of its own, such as "Home, Garden", does not share its parts with others; and "Paris, France"
    has one of two kinds of parts in each place.
    """
    lists = {cell: split(cell, separator) for cell in facts.cells}
    several = [cell for cell, items in lists.items() if len(items) > 1]
    if sum(facts.cells[cell] for cell in several) < 0.05 * facts.known:
        return False
    cells_of = Counter(item for items in lists.values() for item in {*items})
    rows_of: Counter[str] = Counter()
    for cell, items in lists.items():
        for item in {*items}:
            rows_of[item] += facts.cells[cell]
    in_several = {item for cell in several for item in lists[cell]}
    shared = [item for item in in_several if cells_of[item] > 1]
    if not 2 <= len(cells_of) <= MOST_LEVELS or max(map(len, cells_of)) > LONGEST_LABEL / 4:
        return False
    if separator == "/" and any(len(item) < 2 for item in cells_of):
        return False
    if {len(items) for items in lists.values()} == {2} and not (
        {items[0] for items in lists.values()} & {items[1] for items in lists.values()}
    ):
        return False
    return len(shared) >= 0.5 * len(in_several) and rows_of.total() >= 2 * len(rows_of)
