"""A history of users: a CSV file, one row a user, checked row by row against the profile class."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import numpy as np
import pandas as pd
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from models.encoding import Columns
from schemas.roles import Kind, ProfileField, history_id_column, profile_fields
from trainer.errors import HistoryError

if TYPE_CHECKING:
    from _csv import Reader

CHUNK_ROWS = 5_000
BAD_ROWS_SHOWN = 20
VALUE_SHOWN_CHARS = 40
DELIMITER_NAMES = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no profile: where it starts, what is wrong in which column, and its cells as they were."""

    line: int
    problems: tuple[str, ...]
    cells: tuple[str, ...]


@dataclass(frozen=True)
class History:
    """The users of a file, in its order, checked; rows that failed the check stand apart."""

    header: tuple[str, ...]
    id_header: str
    fields: tuple[ProfileField, ...]
    users: tuple[str, ...]
    table: pd.DataFrame
    """One row a user, one column a field under its event name: float64, category, or tuples of labels."""
    bad_rows: tuple[BadRow, ...]
    ignored_headers: tuple[str, ...]
    digest: str
    """SHA-256 of the file's bytes, 64 hexadecimal digits."""

    @property
    def columns(self) -> Columns:
        """The table as a model reads it."""
        return {str(name): column.tolist() for name, column in self.table.items()}


def read_history(path: Path, profile_class: type[BaseModel], rows_read: Callable[[int], None]) -> History:
    """All users of the file; rows_read is told how many rows were read so far.

    A row that is no profile, or names a user again, is listed in bad_rows. Raises HistoryError for a file that cannot
    be read, is not comma-separated UTF-8 without a byte-order mark, lacks a column, or has no row.
    """
    digest = hashlib.sha256()
    reader = csv.reader(_lines(path, digest.update), strict=True)
    layout = _layout(path, reader, profile_class)
    check = TypeAdapter(list[profile_class])  # type: ignore[valid-type]  # the class is known at run time only
    line_of_user: dict[str, int] = {}
    tables: list[pd.DataFrame] = []
    bad_rows: list[BadRow] = []
    rows = 0
    for chunk in _chunks(path, reader):
        rows += len(chunk)
        problems = _problems_of_cells(chunk, layout)
        profiles = _checked(check, [row for row in chunk if row.line not in problems], layout, problems)
        good: list[BaseModel] = []
        for row, profile in profiles:
            user = row.cells[layout.id_at]
            first_line = line_of_user.setdefault(user, row.line)
            if first_line == row.line:
                good.append(profile)
            else:
                problems[row.line] = [f"{layout.id_header}: {_shown(user)} is already on line {first_line}"]
        bad_rows += [BadRow(row.line, tuple(problems[row.line]), row.cells) for row in chunk if row.line in problems]
        tables.append(_table(good, layout.fields))
        rows_read(rows)
    if rows == 0:
        raise HistoryError(f"{path} has a header and no rows: there is nothing to learn from")
    return History(
        header=layout.header,
        id_header=layout.id_header,
        fields=layout.fields,
        users=tuple(line_of_user),
        table=_joined(tables, layout.fields),
        bad_rows=tuple(bad_rows),
        ignored_headers=layout.ignored,
        digest=digest.hexdigest(),
    )


def refuse_bad_rows(path: Path, history: History, remedy: str) -> None:
    """Raise HistoryError, naming the first bad rows and the remedy, when there is a bad row."""
    if not history.bad_rows:
        return
    shown = [f"  line {row.line}, {'; '.join(row.problems)}" for row in history.bad_rows[:BAD_ROWS_SHOWN]]
    if len(history.bad_rows) > BAD_ROWS_SHOWN:
        shown.append(f"  and {len(history.bad_rows) - BAD_ROWS_SHOWN:,} more")
    count = f"{len(history.bad_rows):,} bad {'row' if len(history.bad_rows) == 1 else 'rows'}"
    raise HistoryError("\n".join([f"{path} has {count}, nothing was written: {remedy}", *shown]))


# --- from bytes to cells ---------------------------------------------------------------------------------------------


class _Row(NamedTuple):  # made a million times: twice as fast as a frozen dataclass
    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Layout:
    header: tuple[str, ...]
    id_header: str
    id_at: int
    fields: tuple[ProfileField, ...]
    field_at: tuple[int, ...]
    ignored: tuple[str, ...]


def _lines(path: Path, also: Callable[[bytes], None]) -> Iterator[str]:
    """The file line by line, decoded; each line's bytes are handed over too.

    Read in binary, because a text file that is no UTF-8 does not tell the line, and pandas does not either.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if number == 1:
                    _refuse_byte_order_mark(path, line)
                also(line)
                try:
                    yield line.decode()
                except UnicodeDecodeError as error:
                    raise HistoryError(
                        f"{path}, line {number} is not UTF-8: save the file as UTF-8, "
                        f"for example with iconv -f WINDOWS-1252 -t UTF-8 {path.name}"
                    ) from error
    except FileNotFoundError as error:
        raise HistoryError(f"{path} does not exist: check the path of the history") from error
    except IsADirectoryError as error:
        raise HistoryError(f"{path} is a directory: name the CSV file in it") from error
    except OSError as error:
        raise HistoryError(f"{path} cannot be read: {error.strerror}") from error


def _refuse_byte_order_mark(path: Path, first_line: bytes) -> None:
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if first_line.startswith(mark):
            raise HistoryError(f"{path} starts with a byte-order mark ({encoding}): save it as UTF-8 without one")


def _layout(path: Path, reader: Reader, profile_class: type[BaseModel]) -> _Layout:
    try:
        header = tuple(next(reader, ()))
    except csv.Error as error:
        _refuse_syntax(path, 1, error)
    if not header:
        raise HistoryError(f"{path} is empty: it needs a header line and one row a user")
    fields = profile_fields(profile_class)
    id_header = history_id_column(profile_class)
    wanted = [id_header, *(field.header for field in fields)]
    missing = [name for name in wanted if name not in header]
    if missing:
        _refuse_delimiter(path, header, wanted, len(missing))
        names = ", ".join(f'"{name}"' for name in missing)
        raise HistoryError(
            f"{path} lacks the {'column' if len(missing) == 1 else 'columns'} {names}: add them, or describe your own "
            "columns in a profile class and pass it with --profile"
        )
    twice = sorted({name for name in wanted if header.count(name) > 1})
    if twice:
        raise HistoryError(f"{path} has two columns named {twice[0]!r}: remove one")
    return _Layout(
        header=header,
        id_header=id_header,
        id_at=header.index(id_header),
        fields=fields,
        field_at=tuple(header.index(field.header) for field in fields),
        ignored=tuple(name for name in header if name not in wanted),
    )


def _refuse_delimiter(path: Path, header: Sequence[str], wanted: Sequence[str], missing: int) -> None:
    for delimiter, name in DELIMITER_NAMES.items():
        found = next(csv.reader([",".join(header)], delimiter=delimiter), [])
        if sum(column not in found for column in wanted) < missing:
            raise HistoryError(f"{path} is separated by {name}: save it separated by commas")


def _refuse_syntax(path: Path, line: int, error: csv.Error) -> NoReturn:
    raise HistoryError(
        f"{path} is not a CSV file from line {line} on ({error}): look for a quote that is not closed"
    ) from error


def _chunks(path: Path, reader: Reader) -> Iterator[list[_Row]]:
    chunk: list[_Row] = []
    line = reader.line_num + 1
    try:
        for cells in reader:
            if cells:  # an empty line is no row
                chunk.append(_Row(line, tuple(cells)))
            # A quoted cell may hold line breaks: the next row starts after the last line of this one.
            line = reader.line_num + 1
            if len(chunk) == CHUNK_ROWS:
                yield chunk
                chunk = []
    except csv.Error as error:
        _refuse_syntax(path, line, error)
    if chunk:
        yield chunk


# --- from cells to profiles ------------------------------------------------------------------------------------------


def _problems_of_cells(rows: Sequence[_Row], layout: _Layout) -> dict[int, list[str]]:
    width = len(layout.header)
    problems: dict[int, list[str]] = {}
    for row in rows:
        if len(row.cells) != width:
            problems[row.line] = [f"the row: has {len(row.cells)} cells, the header has {width}"]
        elif not row.cells[layout.id_at]:
            problems[row.line] = [f"{layout.id_header}: is empty"]
    return problems


def _checked(
    check: TypeAdapter[list[BaseModel]], rows: list[_Row], layout: _Layout, problems: dict[int, list[str]]
) -> list[tuple[_Row, BaseModel]]:
    """The rows that are profiles; what is wrong with the others is added to problems.

    The profile class itself checks every row, as the worker does, so there is no second set of rules: 1,000 rows take
    15 ms.
    """
    headers = [field.header for field in layout.fields]
    columns = [
        [_PARSERS[field.kind](row.cells[at]) for row in rows]
        for field, at in zip(layout.fields, layout.field_at, strict=True)
    ]
    inputs = [dict(zip(headers, values, strict=True)) for values in zip(*columns, strict=True)]
    try:
        return list(zip(rows, check.validate_python(inputs, by_alias=True, by_name=False), strict=True))
    except ValidationError as error:
        cell_at = dict(zip(headers, layout.field_at, strict=True))
        for problem in error.errors(include_url=False, include_context=False, include_input=False):
            place, *where = problem["loc"]
            row = rows[int(place)]
            problems.setdefault(row.line, []).append(_described(problem, where, row.cells, cell_at))
    return _checked(check, [row for row in rows if row.line not in problems], layout, problems)


def _described(
    problem: ErrorDetails, where: Sequence[int | str], cells: Sequence[str], cell_at: Mapping[str, int]
) -> str:
    if not where or where[0] not in cell_at:
        return f"the row: {problem['msg'][:1].lower()}{problem['msg'][1:]}"
    header = str(where[0])
    cell = cells[cell_at[header]]
    if not cell.strip():
        return f"{header}: is empty"
    message = problem["msg"]
    if message.startswith("Input "):
        return f"{header}: {_shown(cell)} {message.removeprefix('Input ')}"
    return f"{header}: {_shown(cell)}: {message[:1].lower()}{message[1:]}"


def _shown(value: str) -> str:
    return repr(value if len(value) <= VALUE_SHOWN_CHARS else value[:VALUE_SHOWN_CHARS] + "…")


def _number(cell: str) -> int | float | str:
    """The number that a cell holds; any other text as it is, for the profile class to refuse."""
    if "_" in cell:  # Python reads 1_000, nobody else does
        return cell
    try:
        # A class may ask for int, which takes no float, or for float, which takes an int.
        return int(cell) if cell.isdecimal() and cell.isascii() else float(cell)
    except ValueError:
        return cell


def _label(cell: str) -> str:
    return cell


def _labels(cell: str) -> tuple[str, ...]:
    return tuple(item for item in map(str.strip, cell.split(",")) if item)


_PARSERS: Mapping[Kind, Callable[[str], object]] = {
    Kind.NUMBER: _number,
    Kind.ORDERED: _label,
    Kind.CATEGORY: _label,
    Kind.SEVERAL_OF: _labels,
}


# --- from profiles to a table ----------------------------------------------------------------------------------------


def _table(profiles: Sequence[BaseModel], fields: Sequence[ProfileField]) -> pd.DataFrame:
    columns: dict[str, pd.Series] = {}
    for field in fields:
        values = [*map(attrgetter(field.name), profiles)]
        if field.kind is Kind.NUMBER:
            columns[field.name] = pd.Series(values, dtype=np.float64)
        elif field.kind is Kind.SEVERAL_OF:
            columns[field.name] = pd.Series(values, dtype=object)
        else:
            columns[field.name] = pd.Series(pd.Categorical(values))
    return pd.DataFrame(columns)


def _joined(tables: Sequence[pd.DataFrame], fields: Sequence[ProfileField]) -> pd.DataFrame:
    columns: dict[str, pd.Series] = {}
    for field in fields:
        parts = [table[field.name] for table in tables]
        if field.kind in {Kind.ORDERED, Kind.CATEGORY}:
            # pandas joins categories of different sets to plain text, forty bytes a row instead of one.
            columns[field.name] = pd.Series(pd.api.types.union_categoricals(parts, sort_categories=True))
        else:
            columns[field.name] = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(columns)
