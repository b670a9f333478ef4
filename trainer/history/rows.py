"""The raw rows of a file, by column, and which column is which field of the profile class."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from schemas.csv_format import CsvFormat
from schemas.roles import Kind, ProfileField, history_id_column, profile_fields
from trainer.errors import HistoryError

# Rows that are read and checked at a time: a larger batch leaves the processor's cache before the next step, which
# takes a third longer.
READ_ROWS = 1_000
# How much of a wrong header an error shows: the file may be anything.
NAMES_SHOWN = 20
NAME_CHARACTERS = 40

OnProgress = Callable[[int, int], None]
"""Called with how much of a file has been read, and its whole length."""
Read = Callable[[Sequence[Any]], list[Any]]
"""Converts the cells of a column to values for a profile; a cell that it cannot read stays, for the class to refuse."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is not a valid profile: its number, what is wrong in which column, and its original cells."""

    number: int
    """Of its line or row, from 1."""
    problem: str
    cells: tuple[str, ...]
    without_value: frozenset[str] = frozenset()
    """Its refused cells that usually hold no value: empty, or such as "N/A"."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows in the order of the file."""

    numbers: Sequence[int]
    """The number of the line or row of each in the file, from 1."""
    columns: Sequence[Sequence[Any]]
    """One per column of the header, one cell per row; empty where there are no rows."""
    broken: tuple[BadRow, ...]
    """Rows with too few or too many cells; they are not in the columns."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column of a file is which field of the profile class."""

    header: tuple[str, ...]
    id_header: str
    """Of the column with the users; "line" or "row" where the class has none, so that its number is the user's id."""
    id_at: int | None
    fields: tuple[ProfileField, ...]
    field_at: tuple[int, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """An open file with a history."""

    layout: Layout
    unit: str
    """What its rows are counted in: "line" or "row"."""
    read: tuple[Read, ...]
    """One for each field."""
    rows: Iterator[Rows]
    """All rows, once. Raises HistoryError where the file cannot be read any further."""
    digest: Callable[[], str]
    """SHA-256 of the file's bytes, 64 hexadecimal digits, once all rows were read."""
    id_type: Any = None
    """The Arrow type of the users' ids where they are integers, else None: they are read as text."""


def layout(path: Path, header: Sequence[str], profile_class: type[BaseModel], unit: str) -> Layout:
    """The columns of a header; raises HistoryError for a column that is missing or appears twice."""
    fields = profile_fields(profile_class)
    id_header = history_id_column(profile_class)
    wanted = _wanted(profile_class)
    missing = missing_columns(header, profile_class)
    if missing:
        names = ", ".join(f'"{name}"' for name in missing)
        raise HistoryError(
            f"{path} lacks {names}, which {profile_class.__name__} needs, and has {_shown(header)}: "
            f"{_advice(path, header, missing, profile_class)}"
        )
    twice = sorted({name for name in wanted if header.count(name) > 1})
    if twice:
        *others, last = (str(at) for at, name in enumerate(header, start=1) if name == twice[0])
        columns = f"columns {', '.join(others)} and {last}"
        raise HistoryError(f"{path} has more than one column named {twice[0]!r} ({columns}): keep only one")
    return Layout(
        header=tuple(header),
        id_header=id_header or unit,
        id_at=None if id_header is None else header.index(id_header),
        fields=fields,
        field_at=tuple(header.index(field.header) for field in fields),
        ignored=tuple(name for name in header if name not in wanted),
    )


def missing_columns(header: Sequence[str], profile_class: type[BaseModel]) -> list[str]:
    """The columns that the profile class needs and a header lacks."""
    return [name for name in _wanted(profile_class) if name not in header]


def _wanted(profile_class: type[BaseModel]) -> list[str]:
    id_header = history_id_column(profile_class)
    return [*([] if id_header is None else [id_header]), *(field.header for field in profile_fields(profile_class))]


def _advice(path: Path, header: Sequence[str], missing: Sequence[str], profile_class: type[BaseModel]) -> str:
    """What to do about missing columns: correct names that differ only a little, or write a class for this table."""
    others = [name for name in header if name not in _wanted(profile_class)]
    near = _near(missing, others)
    draft = f"segment-trainer init {shlex.quote(str(path))} -o profile.py"
    if near:
        pairs = " and ".join(f'{other!r} meant to be "{name}"' for name, other in near[:NAMES_SHOWN])
        return (
            f"is {pairs}? Rename the columns in its header or in the class (a space or a capital letter "
            f"makes another name), or write a class for this table: {draft}"
        )
    return (
        f"write a profile class for this table ({draft}) and pass it with --profile, or correct the header of the file"
    )


def _near(missing: Sequence[str], others: Sequence[str]) -> list[tuple[str, str]]:
    """The missing names that another stands for, each with that one, which stands for a single name.

    Those that differ only in case, spaces or punctuation come first, then those that differ in a letter or two.
    """
    found: dict[str, str] = {}
    for alike in (_twins, partial(get_close_matches, n=1, cutoff=0.85)):
        for name in missing:
            free = [other for other in others if other not in found.values()]
            if name not in found and len(near := alike(name, free)) == 1:
                found[name] = near[0]
    return [(name, found[name]) for name in missing if name in found]


def _twins(name: str, others: Sequence[str]) -> list[str]:
    return [other for other in others if _letters(other) == _letters(name)]


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def _shown(header: Sequence[str]) -> str:
    """The columns of a header, shortened; quotes make spaces at their ends visible."""
    names = ", ".join(f"{name[:NAME_CHARACTERS]!r}" for name in header[:NAMES_SHOWN])
    return f"{names} and {len(header) - NAMES_SHOWN} more" if len(header) > NAMES_SHOWN else names


def with_missing(read: Read, field: ProfileField, written: CsvFormat) -> Read:
    """How text cells are read: those that the class declares as missing hold None, and so do empty optional ones."""
    missing = frozenset((*written.missing, *field.missing))
    if field.kind is not Kind.SEVERAL_OF:
        missing |= {""} if field.optional else set()
    elif not field.optional:  # nothing between two separators is no item, not a missing list
        missing -= {""}

    def values(cells: Sequence[str | None]) -> list[Any]:
        empty = {cell for cell in {*cells} if cell is not None and cell.strip() in missing}
        if not empty:
            return read(cells)
        found = iter(read([cell for cell in cells if cell not in empty]))
        return [None if cell in empty else next(found) for cell in cells]

    return values if missing else read


def items_of(cells: Sequence[str], separator: str) -> list[list[str]]:
    """The items of each cell, as a list of its own, as an event has it."""
    known = {cell: [*filter(None, map(str.strip, cell.split(separator)))] for cell in set(cells)}
    return [known[cell].copy() for cell in cells]
