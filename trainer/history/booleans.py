"""True and false as people and programs write them in a file: True, yes or 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from schemas.csv_format import CsvFormat


def booleans_of(written: CsvFormat) -> Callable[[Sequence[str]], list[Any]]:
    """How the cells of a column of booleans are read; a cell that holds none stays, for the profile class to refuse."""
    known: dict[str, Any] = {text.casefold(): True for text in written.true}
    known |= {text.casefold(): False for text in written.false}

    def booleans(cells: Sequence[str]) -> list[Any]:
        read = {cell: known.get(cell.strip().casefold(), cell) for cell in set(cells)}
        return [read[cell] for cell in cells]

    return booleans
