"""The rows of a file as they stand there: cells by column, and which column is which field of the profile class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from schemas.roles import ProfileField, history_id_column, profile_fields
from trainer.errors import HistoryError

# So many rows at a time are read and checked: with more, they are no longer in the processor's cache when the next
# step comes to them, which takes a third longer.
READ_ROWS = 1_000

Told = Callable[[int, int], None]
"""Someone who is told how much of a file was read, of how much."""
Read = Callable[[Sequence[Any]], list[Any]]
"""Makes values that a profile may hold of the cells of a column; what it cannot read stays, for the class to refuse."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no profile: where it stands, what is wrong in which column, and its cells as they were."""

    place: int
    problem: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows in the order of the file."""

    places: Sequence[int]
    """Where each stands."""
    columns: Sequence[Sequence[Any]]
    """One for each column of the header, a cell a row; none where there is no row."""
    broken: tuple[BadRow, ...]
    """Rows that have not a cell for each column; none of them stands above."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column of a file is which field of the profile class."""

    header: tuple[str, ...]
    id_header: str
    id_at: int
    fields: tuple[ProfileField, ...]
    field_at: tuple[int, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A history as it lies in a file, opened."""

    layout: Layout
    place: str
    """What its rows are counted in: lines or rows, from 1."""
    read: tuple[Read, ...]
    """One for each field."""
    rows: Iterator[Rows]
    """All rows, once. Raises HistoryError where the file cannot be read any further."""
    digest: Callable[[], str]
    """SHA-256 of the file's bytes, 64 hexadecimal digits, once all rows were read."""


def layout(path: Path, header: Sequence[str], profile_class: type[BaseModel]) -> Layout:
    """What the columns of a header are; raises HistoryError for one that is missing, or there twice."""
    fields = profile_fields(profile_class)
    id_header = history_id_column(profile_class)
    wanted = [id_header, *(field.header for field in fields)]
    missing = missing_columns(header, profile_class)
    if missing:
        names = ", ".join(f'"{name}"' for name in missing)
        raise HistoryError(
            f"{path} lacks the {'column' if len(missing) == 1 else 'columns'} {names}: add them, or describe your own "
            "columns in a profile class and pass it with --profile"
        )
    twice = sorted({name for name in wanted if header.count(name) > 1})
    if twice:
        raise HistoryError(f"{path} has two columns named {twice[0]!r}: remove one")
    return Layout(
        header=tuple(header),
        id_header=id_header,
        id_at=header.index(id_header),
        fields=fields,
        field_at=tuple(header.index(field.header) for field in fields),
        ignored=tuple(name for name in header if name not in wanted),
    )


def missing_columns(header: Sequence[str], profile_class: type[BaseModel]) -> list[str]:
    """The columns that the profile class needs and a header has not."""
    wanted = [history_id_column(profile_class), *(field.header for field in profile_fields(profile_class))]
    return [name for name in wanted if name not in header]


def items_of(cells: Sequence[str]) -> list[tuple[str, ...]]:
    """The items of cells that hold several, separated by commas."""
    known: dict[str, tuple[str, ...]] = {}
    for cell in cells:
        if cell not in known:
            known[cell] = tuple(filter(None, map(str.strip, cell.split(","))))
    return [known[cell] for cell in cells]
