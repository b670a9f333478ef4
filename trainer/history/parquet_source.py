"""A history in a Parquet file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from hashlib import file_digest
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from schemas.roles import Kind, ProfileField
from trainer.errors import HistoryError
from trainer.history.dates import days_of
from trainer.history.rows import READ_ROWS, Layout, OnProgress, Read, Rows, Source, items_of, layout

PARQUET_MARK = b"PAR1"

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
        _refuse_type(path, found.id_header, schema, _is_id, "text or an integer")
    id_type = None if found.id_at is None else schema.field(found.id_header).type
    yield Source(
        layout=kept,
        unit="row",
        read=tuple(_read(path, field, schema, today) for field in found.fields),
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
                columns[layout.id_at] = [None if user is None else str(user) for user in columns[layout.id_at]]
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


def _read(path: Path, field: ProfileField, schema: Any, today: date) -> Read:
    header, kind = field.header, field.kind
    fits = {
        Kind.NUMBER: _is_number,
        Kind.DAYS_SINCE: lambda found: pa.types.is_date(found) or pa.types.is_timestamp(found) or _is_text(found),
        Kind.BOOLEAN: pa.types.is_boolean,
        Kind.SEVERAL_OF: lambda found: _is_text(found) or _is_list_of_text(found),
    }
    _refuse_type(path, header, schema, fits.get(kind, _is_text), WANTED[kind])
    found = schema.field(header).type
    if kind is Kind.NUMBER:
        if field.optional and pa.types.is_floating(found):
            return _numbers_or_nan
        return _floats if pa.types.is_decimal(found) else list
    if kind is Kind.DAYS_SINCE:
        return days_of(field, today)
    if kind is Kind.SEVERAL_OF:
        read = partial(_items, separator=field.separator) if _is_text(found) else list
        return read if field.optional else lambda cells: [cell or [] for cell in read(cells)]
    return list


def _refuse_type(path: Path, header: str, schema: Any, fits: Any, wanted: str) -> None:
    found = schema.field(header).type
    if not fits(found) and not pa.types.is_null(found):  # a column of nothing but empty cells
        raise HistoryError(
            f'{path}: column "{header}" has the type {found}, but the profile class needs '
            f"{wanted}: convert the column, or pass the profile class of this file with --profile"
        )


def _is_number(found: Any) -> bool:
    return bool(pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_decimal(found))


def _is_text(found: Any) -> bool:
    types = pa.types
    if types.is_dictionary(found):
        return _is_text(found.value_type)
    return bool(types.is_string(found) or types.is_large_string(found) or types.is_string_view(found))


def _is_list_of_text(found: Any) -> bool:
    types = pa.types
    lists = types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found)
    return bool(lists) and _is_text(found.value_type)


def _is_id(found: Any) -> bool:
    return _is_text(found) or bool(pa.types.is_integer(found))


def _numbers_or_nan(cells: Sequence[Any]) -> list[Any]:
    """NaN is how numpy writes a missing number."""
    return [None if cell is None or math.isnan(cell) else cell for cell in cells]


def _floats(cells: Sequence[Any]) -> list[Any]:
    return [None if cell is None else float(cell) for cell in cells]


def _items(cells: Sequence[str | None], separator: str) -> list[Any]:
    lists = items_of([cell or "" for cell in cells], separator)
    return [None if cell is None else items for cell, items in zip(cells, lists, strict=True)]
