"""A history in a CSV file, compressed with gzip or not."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pydantic import BaseModel

from schemas.csv_format import CsvFormat, history_format
from schemas.roles import Kind, ProfileField, plain_type
from trainer.errors import HistoryError
from trainer.history.booleans import booleans_of
from trainer.history.dates import days_of
from trainer.history.file_types import refuse_other_formats
from trainer.history.numbers import numbers_of, whole_numbers_of
from trainer.history.rows import (
    READ_ROWS,
    BadRow,
    Layout,
    OnProgress,
    Read,
    Rows,
    Source,
    items_of,
    layout,
    missing_columns,
    with_missing,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

GZIP_MARK = b"\x1f\x8b"
DELIMITER_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", ":": "colons", "^": "carets"}
READ_BYTES = 1 << 20
BYTE_ORDER_MARK = "\ufeff"
# The first line that Excel writes and reads, which is not a header.
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[\r\n]*')


@contextmanager
def csv_source(
    path: Path, file: BinaryIO, size: int, profile_class: type[BaseModel], today: date, on_progress: OnProgress
) -> Iterator[Source]:
    """The rows of an open file of that many bytes, with days until today; on_progress is called with the bytes read.

    Raises HistoryError for a file that is not CSV as the profile class declares it, or lacks a column.
    """
    watched = _Watched(file, size, on_progress)
    written = history_format(profile_class)
    lines = text_lines(path, decompressed(io.BufferedReader(watched, READ_BYTES)), written.encoding)
    rows = CsvRows(path, lines, written)
    found = _layout(path, rows, profile_class)
    yield Source(
        layout=found,
        unit="line",
        read=tuple(_read(profile_class, field, written, today) for field in found.fields),
        rows=_rows(rows, found),
        digest=watched.digest,
    )


def decompressed(raw: io.BufferedReader) -> BinaryIO:
    """The content of a file that may be compressed with gzip."""
    if raw.peek(len(GZIP_MARK)).startswith(GZIP_MARK):
        return cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=raw), READ_BYTES))
    return raw


class CsvRows:
    """The rows of a CSV file after its header, each with the number of the line on which it starts, from 1.

    Empty lines are skipped. Raises HistoryError where the file is not valid CSV.
    """

    header: tuple[str, ...]
    delimiter: str
    """As the file's own first line has it, else as the format has it."""

    def __init__(self, path: Path, lines: Iterator[str], written: CsvFormat) -> None:
        self._path = path
        self._last = ""
        self._quote = written.quote
        first = next(lines, "")
        separator = SEPARATOR_LINE.fullmatch(first)
        self._lines_before = 1 if separator else 0
        self.delimiter = separator[1] if separator else written.delimiter
        remaining = lines if separator else chain([first], lines)
        self._reader = csv.reader(
            self._remembered(remaining), delimiter=self.delimiter, quotechar=written.quote, strict=True
        )
        try:
            found = next(self._reader, [])
            blank = not any(map(str.strip, found))
            has_rows = blank and any(map(any, self._reader))
        except csv.Error as error:
            raise self._refused(1 + self._lines_before, error) from error
        if has_rows:
            raise HistoryError(
                f"{path}, line {1 + self._lines_before} has no column names: the header must be the first line, so "
                "remove the lines above it"
            )
        if blank:
            raise HistoryError(f"{path} is empty: it needs a header line and one row per user")
        self.header = tuple(found)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        reader, first = self._reader, self._lines_before + 1
        line = first + reader.line_num
        try:
            for cells in reader:
                if cells:
                    yield line, cells
                # A quoted cell may hold line breaks: the next row starts after the last line of this one.
                line = first + reader.line_num
        except csv.Error as error:
            raise self._refused(line, error) from error

    def _remembered(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            self._last = line
            yield line

    def _refused(self, line: int, error: csv.Error) -> HistoryError:
        advice = "look for a quote that is not closed, or not doubled within a cell"
        if "new-line character" in str(error):
            advice = "a carriage return stands there without a line feed, so save the file with line feeds"
        elif f"\\{self._quote}" in self._last:
            advice = f"write quotes within a cell twice ({self._quote * 2}) instead of with a backslash"
        return HistoryError(f"{self._path} is not valid CSV, starting at line {line}: {advice}")


class _Watched(io.RawIOBase):
    """A file that counts the bytes read from it and computes their digest."""

    def __init__(self, file: BinaryIO, size: int, on_progress: OnProgress) -> None:
        self._file, self._size, self._on_progress = file, size, on_progress
        self._sha256, self._done = hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        into = memoryview(buffer)
        count: int = cast(io.BufferedIOBase, self._file).readinto(into)
        self._sha256.update(into[:count])
        self._done += count
        self._on_progress(self._done, self._size)
        return count

    def digest(self) -> str:
        return self._sha256.hexdigest()


def text_lines(path: Path, content: BinaryIO, encoding: str) -> Iterator[str]:
    """The file line by line, decoded, without the byte-order marks of files that were joined.

    Read in binary, because the errors of a text file, and of pandas, do not name the line that is not UTF-8.
    """
    try:
        for number, line in enumerate(content, start=1):
            if number == 1:
                refuse_other_formats(path, line)
            try:
                yield line.decode(encoding).removeprefix(BYTE_ORDER_MARK)
            except UnicodeDecodeError as error:
                declare = (
                    ", or declare its encoding in the profile class, such as history_format: ClassVar[CsvFormat] = "
                    'CsvFormat(encoding="windows-1252")'
                )
                raise HistoryError(
                    f"{path}, line {number} is not {encoding.upper()} (byte {error.object[error.start]:#04x}): "
                    f"save the file as UTF-8{declare if encoding == 'utf-8' else ''}"
                ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise HistoryError(
            f"{path} is cut off or damaged (gzip: {error}): copy it again, or compress it again"
        ) from error
    except OSError as error:
        raise HistoryError(f"{path} cannot be read: {error.strerror}") from error


def _layout(path: Path, rows: CsvRows, profile_class: type[BaseModel]) -> Layout:
    missing = missing_columns(rows.header, profile_class)
    for delimiter, name in DELIMITER_NAMES.items():
        found = [cell.strip('"') for cell in rows.delimiter.join(rows.header).split(delimiter)]
        if len(missing_columns(found, profile_class)) < len(missing):
            raise HistoryError(
                f"{path} is separated by {name}: save it separated by {DELIMITER_NAMES.get(rows.delimiter, 'commas')}, "
                f"or declare history_format: ClassVar[CsvFormat] = CsvFormat(delimiter={delimiter!r}) in the profile "
                "class"
            )
    return layout(path, rows.header, profile_class, "line")


def _rows(rows: CsvRows, layout: Layout) -> Iterator[Rows]:
    numbered = iter(rows)
    while batch := [*islice(numbered, READ_ROWS)]:
        lines, cells = zip(*batch, strict=True)
        yield _by_column([*lines], [*cells], layout)


def _by_column(lines: list[int], rows: list[list[str]], layout: Layout) -> Rows:
    width = len(layout.header)
    broken: tuple[BadRow, ...] = ()
    if {*map(len, rows)} != {width}:
        broken = tuple(
            BadRow(line, f"the row: has {len(cells)} cells, the header has {width}", tuple(cells))
            for line, cells in zip(lines, rows, strict=True)
            if len(cells) != width
        )
        whole = [(line, cells) for line, cells in zip(lines, rows, strict=True) if len(cells) == width]
        lines, rows = [line for line, _ in whole], [cells for _, cells in whole]
    return Rows(lines, [*zip(*rows, strict=True)], broken)


# --- from cells to values --------------------------------------------------------------------------------------------


def _read(profile_class: type[BaseModel], field: ProfileField, written: CsvFormat, today: date) -> Read:
    read: Callable[[Sequence[str]], list[Any]] = list
    if field.kind is Kind.NUMBER:
        # A class may ask for int, which takes no float, or for float, which takes an int.
        whole = plain_type(profile_class.model_fields[field.name]) is int
        read = whole_numbers_of(written) if whole else numbers_of(written)
    elif field.kind is Kind.DAYS_SINCE:
        read = days_of(field, today)
    elif field.kind is Kind.BOOLEAN:
        read = booleans_of(written)
    elif field.kind is Kind.SEVERAL_OF:
        read = partial(items_of, separator=field.separator)
    return with_missing(read, field, written)
