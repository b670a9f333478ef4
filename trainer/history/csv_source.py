"""A history in a CSV file, compressed with gzip or not."""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast

from pydantic import BaseModel

from schemas.roles import Kind
from trainer.errors import HistoryError
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
)

if TYPE_CHECKING:
    from _csv import Reader

    from _typeshed import WriteableBuffer

GZIP_MARK = b"\x1f\x8b"
DELIMITER_NAMES = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
READ_BYTES = 1 << 20


@contextmanager
def csv_source(
    path: Path, file: BinaryIO, size: int, profile_class: type[BaseModel], on_progress: OnProgress
) -> Iterator[Source]:
    """The rows of an open file of that many bytes; on_progress is called with the bytes read so far.

    Raises HistoryError for a file that is not comma-separated UTF-8, or lacks a column.
    """
    watched = _Watched(file, size, on_progress)
    raw = io.BufferedReader(watched, READ_BYTES)
    content: BinaryIO = raw
    if raw.peek(len(GZIP_MARK)).startswith(GZIP_MARK):
        content = cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=raw), READ_BYTES))
    reader = csv.reader(_lines(path, content), strict=True)
    found = _layout(path, reader, profile_class)
    yield Source(
        layout=found,
        unit="line",
        read=tuple(_read(profile_class, field.name, field.kind) for field in found.fields),
        rows=_rows(path, reader, found),
        digest=watched.digest,
    )


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


def _lines(path: Path, content: BinaryIO) -> Iterator[str]:
    """The file line by line, decoded, without the byte-order mark that some programs put before the first one.

    Read in binary, because the errors of a text file, and of pandas, do not name the line that is not UTF-8.
    """
    try:
        for number, line in enumerate(content, start=1):
            if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise HistoryError(f"{path} is UTF-16: save it as UTF-8")
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise HistoryError(
                    f"{path}, line {number} is not UTF-8: save the file as UTF-8, "
                    f"for example with iconv -f WINDOWS-1252 -t UTF-8 {path.name}"
                ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise HistoryError(
            f"{path} is cut off or damaged (gzip: {error}): copy it again, or compress it again"
        ) from error
    except OSError as error:
        raise HistoryError(f"{path} cannot be read: {error.strerror}") from error


def _layout(path: Path, reader: Reader, profile_class: type[BaseModel]) -> Layout:
    try:
        header = next(reader, ())
    except csv.Error as error:
        _refuse_syntax(path, 1, error)
    if not header:
        raise HistoryError(f"{path} is empty: it needs a header line and one row per user")
    missing = missing_columns(header, profile_class)
    for delimiter, name in DELIMITER_NAMES.items():
        found = next(csv.reader([",".join(header)], delimiter=delimiter), [])
        if len(missing_columns(found, profile_class)) < len(missing):
            raise HistoryError(f"{path} is separated by {name}: save it separated by commas")
    return layout(path, header, profile_class)


def _refuse_syntax(path: Path, line: int, error: csv.Error) -> NoReturn:
    raise HistoryError(
        f"{path} is not valid CSV, starting at line {line} ({error}): look for a quote that is not closed"
    ) from error


def _rows(path: Path, reader: Reader, layout: Layout) -> Iterator[Rows]:
    lines: list[int] = []
    rows: list[list[str]] = []
    line = reader.line_num + 1
    try:
        for cells in reader:
            if cells:  # empty lines are skipped
                lines.append(line)
                rows.append(cells)
                if len(rows) == READ_ROWS:
                    yield _by_column(lines, rows, layout)
                    lines, rows = [], []
            # A quoted cell may hold line breaks: the next row starts after the last line of this one.
            line = reader.line_num + 1
    except csv.Error as error:
        _refuse_syntax(path, line, error)
    if rows:
        yield _by_column(lines, rows, layout)


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


def _read(profile_class: type[BaseModel], name: str, kind: Kind) -> Read:
    if kind is Kind.NUMBER:
        # A class may ask for int, which takes no float, or for float, which takes an int.
        return _whole_numbers if profile_class.model_fields[name].annotation is int else _numbers
    return items_of if kind is Kind.SEVERAL_OF else list


def _numbers(cells: Sequence[str]) -> list[Any]:
    """The numbers that cells hold; other text unchanged, for the profile class to refuse."""
    if "_" not in "".join(cells):  # only Python reads 1_000 as a number
        try:
            return [*map(float, cells)]
        except ValueError:
            pass
    return [*map(_number, cells)]


def _whole_numbers(cells: Sequence[str]) -> list[Any]:
    return [*map(_whole_number, cells)]


def _number(cell: str) -> float | str:
    if "_" in cell:
        return cell
    try:
        return float(cell)
    except ValueError:
        return cell


def _whole_number(cell: str) -> float | str:
    try:
        return int(cell) if cell.isdecimal() and cell.isascii() else _number(cell)
    except ValueError:  # too many digits for Python's int
        return cell
