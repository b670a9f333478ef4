"""A history in a Parquet file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from functools import partial
from hashlib import file_digest
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from schemas.csv_format import CsvFormat, history_format
from schemas.roles import Kind, ProfileField
from trainer.errors import HistoryError
from trainer.history.dates import days_of
from trainer.history.rows import READ_ROWS, Layout, OnProgress, Read, Rows, Source, items_of, layout, with_missing

PARQUET_MARK = b"PAR1"
_EXACT_INTEGERS = 2**53

WANTED = {
    Kind.NUMBER: "a number",
    Kind.DAYS_SINCE: "a date, or text with one",
    Kind.BOOLEAN: "booleans",
    Kind.ORDERED: "text",
    Kind.CATEGORY: "text",
    Kind.SEVERAL_OF: "a list of text, or text with commas",
}


@contextmanager
def parquet_source(
    path: Path, file: BinaryIO, profile_class: type[BaseModel], today: date, on_progress: OnProgress
) -> Iterator[Source]:
    """The rows of an open file, with days until today; on_progress is called with the rows read so far.

    Raises HistoryError for a file that is damaged, lacks a column, or has one of another type than the profile class.
    """
    try:
        opened = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        _refuse_damaged(path, error)
    # Columns that the class does not list may have any type: they are never read.
    found = layout(path, opened.schema_arrow.names, profile_class, "row")
    wanted = [name for name in found.header if name not in found.ignored]
    read_at = {name: at for at, name in enumerate(wanted)}
    kept = Layout(
        header=tuple(wanted),
        id_header=found.id_header,
        id_at=None if found.id_at is None else read_at[found.id_header],
        fields=found.fields,
        field_at=tuple(read_at[field.header] for field in found.fields),
        ignored=found.ignored,
    )
    schema = opened.schema_arrow
    if found.id_at is not None:
        _refuse_type(path, found.id_header, schema, can_be_id, "text or numbers")
    id_type = None if found.id_at is None else schema.field(found.id_header).type
    yield Source(
        layout=kept,
        unit="row",
        read=tuple(_read(path, field, schema, history_format(profile_class), today) for field in found.fields),
        rows=_rows(path, opened, kept, on_progress),
        digest=lambda: _digest(path),
        id_type=id_type if id_type is not None and pa.types.is_integer(id_type) else None,
    )


def _refuse_damaged(path: Path, error: Exception) -> NoReturn:
    raise HistoryError(f"{path} is a damaged Parquet file ({str(error).splitlines()[0]}): write it again") from error


def _rows(path: Path, opened: Any, layout: Layout, on_progress: OnProgress) -> Iterator[Rows]:
    done, total = 0, opened.metadata.num_rows
    try:
        for batch in opened.iter_batches(batch_size=READ_ROWS, columns=list(layout.header)):
            columns = [cells_of(path, name, batch.column(name), done) for name in layout.header]
            if layout.id_at is not None:
                columns[layout.id_at] = _users(path, layout.id_header, columns[layout.id_at])
            yield Rows(range(done + 1, done + batch.num_rows + 1), columns, ())
            done += batch.num_rows
            on_progress(done, total)
    except (pa.ArrowException, OSError) as error:
        _refuse_damaged(path, error)


def cells_of(path: Path, name: str, column: Any, rows_before: int) -> list[Any]:
    """The values of a part of a column; raises HistoryError with the row of one that Python cannot hold."""
    try:
        cells: list[Any] = column.to_pylist()
    except pa.ArrowException:
        raise
    except (OverflowError, ValueError) as error:  # as a date after the year 9999, or text that is not UTF-8
        row = next(number for number, cell in enumerate(column, rows_before + 1) if not _can_be_read(cell))
        raise HistoryError(
            f'{path}, row {row}: column "{name}" has a value that cannot be read ({error}): correct it, or remove the '
            "column from the file"
        ) from error
    return cells


def _can_be_read(cell: Any) -> bool:
    try:
        cell.as_py()
    except (OverflowError, ValueError):
        return False
    return True


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


# --- types -----------------------------------------------------------------------------------------------------------


def _read(path: Path, field: ProfileField, schema: Any, written: CsvFormat, today: date) -> Read:
    header, kind = field.header, field.kind
    fits = {
        Kind.NUMBER: is_number,
        Kind.DAYS_SINCE: lambda found: pa.types.is_date(found) or pa.types.is_timestamp(found) or is_text(found),
        Kind.BOOLEAN: pa.types.is_boolean,
        Kind.SEVERAL_OF: lambda found: is_text(found) or is_list_of_text(found),
    }
    _refuse_type(path, header, schema, fits.get(kind, is_text), WANTED[kind])
    found = schema.field(header).type
    read: Read = list
    if kind is Kind.NUMBER:
        read = _floats if pa.types.is_decimal(found) else _numbers
    elif kind is Kind.DAYS_SINCE:
        read = days_of(field, today)
    elif kind is Kind.SEVERAL_OF:
        lists = partial(_items, separator=field.separator) if is_text(found) else _lists
        read = lists if field.optional else lambda cells: [cell or [] for cell in lists(cells)]
    return with_missing(read, field, written) if is_text(found) else read


def _refuse_type(path: Path, header: str, schema: Any, fits: Any, wanted: str) -> None:
    found = schema.field(header).type
    if not fits(found) and not pa.types.is_null(found):  # a column of nothing but empty cells
        raise HistoryError(
            f'{path}: column "{header}" has the type {found}, but the profile class needs '
            f"{wanted}: convert the column, or pass the profile class of this file with --profile"
        )


def is_number(found: Any) -> bool:
    """Whether a column of this type holds numbers."""
    if pa.types.is_dictionary(found):
        return is_number(found.value_type)
    return bool(pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_decimal(found))


def is_text(found: Any) -> bool:
    """Whether a column of this type holds text."""
    types = pa.types
    if types.is_dictionary(found):
        return is_text(found.value_type)
    return bool(types.is_string(found) or types.is_large_string(found) or types.is_string_view(found))


def is_list_of_text(found: Any) -> bool:
    """Whether a column of this type holds lists of text."""
    types = pa.types
    lists = types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found)
    return bool(lists) and is_text(found.value_type)


def can_be_id(found: Any) -> bool:
    """Whether a column of this type may hold the users' ids."""
    return is_text(found) or is_number(found)


def _users(path: Path, header: str, cells: Sequence[Any]) -> list[str | None]:
    if any(isinstance(cell, float) and abs(cell) > _EXACT_INTEGERS for cell in cells):
        raise HistoryError(
            f'{path}: column "{header}" has ids beyond {_EXACT_INTEGERS:,} stored as floats, which lose their last '
            "digits: store the ids as text or integers where they come from"
        )
    return [*map(_user, cells)]


def _user(cell: Any) -> str | None:
    """The id as text; a whole number has no decimal point, however it is stored: pandas makes floats of some."""
    if isinstance(cell, float | Decimal) and not is_nan(cell) and int(cell) == cell:
        cell = int(cell)
    return None if cell is None or is_nan(cell) else str(cell)


def is_nan(value: object) -> bool:
    """Whether a value is NaN, which is how numpy writes a missing number."""
    return isinstance(value, float) and math.isnan(value)


def _numbers(cells: Sequence[Any]) -> list[Any]:
    return [None if is_nan(cell) else cell for cell in cells]


def _floats(cells: Sequence[Any]) -> list[Any]:
    return [None if cell is None else float(cell) for cell in cells]


def _lists(cells: Sequence[Any]) -> list[Any]:
    """Null and blank items are no items, as nothing between two separators of a text."""
    return [None if cell is None else [item for item in cell if item and not item.isspace()] for cell in cells]


def _items(cells: Sequence[str | None], separator: str) -> list[Any]:
    lists = items_of([cell or "" for cell in cells], separator)
    return [None if cell is None else items for cell, items in zip(cells, lists, strict=True)]
