"""What the cells of a column have in common."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Final

from schemas.csv_format import CsvFormat
from trainer.history.numbers import numbers_of
from trainer.profiling.dates import Dates, dates_of, timestamps_of
from trainer.profiling.number_formats import MOSTLY, Doubt
from trainer.profiling.personal import personal
from trainer.profiling.table import ITEM_SEPARATOR, Column, Stored, Table
from trainer.profiling.words import AMOUNTS, CODES, are_true_and_false, is_plural, words_of

EXAMPLES: Final = 3
_EXAMPLE_CHARACTERS: Final = 30


@dataclass(frozen=True)
class Facts:
    """The cells of a column that are not missing, and what they have in common."""

    column: Column
    cells: Mapping[str, int]
    """Different cells that hold a value -> rows."""
    rows: int
    written: CsvFormat
    doubt: Doubt
    markers: frozenset[str] = frozenset()
    """Cells that stand for a missing value, without spaces around them."""
    no_users: Collection[int] = ()
    """Lines that look like sums or remarks, whose cells are no examples."""
    numbers: Mapping[str, float] = field(init=False)
    """The cells that are finite numbers."""

    def __post_init__(self) -> None:
        cells = [*self.cells]
        read = numbers_of(self.written)(cells)
        numbers = {
            cell: value
            for cell, value in zip(cells, read, strict=True)
            if isinstance(value, float) and math.isfinite(value)
        }
        object.__setattr__(self, "numbers", numbers)

    @property
    def known(self) -> int:
        """Rows with a value that is kept."""
        return sum(self.cells.values())

    @property
    def complete(self) -> bool:
        """Whether all different cells were kept."""
        return not self.column.later

    @property
    def distinct(self) -> int:
        """How many cells differ; where not all were kept, as many as rows: they are nearly all different."""
        return len(self.cells) if self.complete else self.rows

    @property
    def unique(self) -> bool:
        """Whether no two of the rows have the same cell."""
        return self.known == len(self.cells)

    @cached_property
    def numeric_rows(self) -> int:
        """Rows with a number that is kept."""
        return sum(self.cells[cell] for cell in self.numbers)

    @cached_property
    def are_numbers(self) -> bool:
        """Whether nearly all of the cells are numbers."""
        if self.column.stored not in {Stored.CELLS, Stored.NUMBERS}:
            return False
        return bool(self.cells) and self.numeric_rows >= MOSTLY * self.known

    @cached_property
    def are_booleans(self) -> bool:
        """Whether the cells are true and false, however they are written."""
        if self.column.stored is Stored.BOOLEANS:
            return True
        texts = {cell.strip().casefold() for cell in self.cells}
        if self.column.stored is not Stored.CELLS or not are_true_and_false(texts):
            return False
        # 0 and 1 may also be the first two of many, or the code of a label.
        header = self.column.header
        return not self.are_numbers or not (words_of(header) & (AMOUNTS | CODES) or is_plural(header))

    @cached_property
    def decimals(self) -> bool:
        """Whether a number of the column has a fraction."""
        return any(not value.is_integer() for value in self.numbers.values())

    @cached_property
    def counts_up(self) -> bool:
        """Whether the column is the number of the row: 0, 1, 2, … or 1, 2, 3, …"""
        first = [*self.numbers.values()]
        return (
            len(first) == len(self.cells) > 2
            and self.unique
            and first[0] in {0, 1}
            and all(after - before == 1 for before, after in pairwise(first))
        )

    @cached_property
    def code_like(self) -> bool:
        """Whether most cells look like K-0012 or a8f3…: one word with digits."""
        like = sum(n for cell, n in self.cells.items() if re.fullmatch(r"(?=\D*\d)[\w.:-]+", cell.strip()))
        return like >= MOSTLY * self.known > 0 and self.dates is None

    @cached_property
    def dates(self) -> Dates | None:
        """Its cells as dates; None for a column of other things."""
        return None if self.column.stored is Stored.LISTS else dates_of(self.column.header, self.cells)

    @cached_property
    def timestamps(self) -> str:
        """What its numbers count if they are dates as programs store them; empty for other numbers."""
        plain = self.are_numbers and self.dates is None
        return timestamps_of(self.column.header, self.numbers) if plain else ""

    @cached_property
    def personal(self) -> str | None:
        """What the column seems to hold that identifies a person."""
        return personal(self.column.header, self.cells)

    @property
    def missing(self) -> int:
        """Rows without a value."""
        return self.rows - self.known - self.column.later

    @property
    def misspelt(self) -> int:
        """Rows with a cell that is not a number in a column of numbers."""
        return self.known - self.numeric_rows if self.are_numbers else 0

    @property
    def examples(self) -> tuple[str, ...]:
        """Three values, but none of those that may identify a person."""
        if self.personal or (self.unique and not self.are_numbers and self.dates is None):
            return ()
        shown = [cell for cell in self.cells if self.column.first[cell] not in self.no_users]
        if self.are_numbers:
            ordered = sorted(filter(self.numbers.__contains__, shown), key=lambda cell: self.numbers[cell])
            cells = [*dict.fromkeys(ordered[at] for at in (0, len(ordered) // 2, -1) if ordered)]
        else:
            cells = sorted(shown, key=lambda cell: -self.cells[cell])[:EXAMPLES]
        return tuple(shortened(cell.replace(ITEM_SEPARATOR, ", ")) for cell in cells)


def shortened(text: str) -> str:
    """The text, or its beginning where it is too long for an example."""
    return text if len(text) <= _EXAMPLE_CHARACTERS else f"{text[: _EXAMPLE_CHARACTERS - 1]}…"


def facts_of(column: Column, markers: frozenset[str], doubt: Doubt, table: Table, written: CsvFormat) -> Facts:
    """The facts of a column, in which blank cells and these markers hold no value."""
    cells = {cell: count for cell, count in column.counts.items() if cell.strip() not in markers | {""}}
    return Facts(column, cells, table.rows - table.uneven, written, doubt, markers, table.no_users)
