"""A table as its columns are counted: which different cells each has, how often, and on which line first."""

from __future__ import annotations

import io
import re
import zlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.csv_format import CsvFormat
from trainer.errors import HistoryError
from trainer.history.csv_source import CsvRows, decompressed, text_lines
from trainer.history.file_types import refuse_other_formats
from trainer.history.parquet_source import PARQUET_MARK, cells_of, is_list_of_text, is_nan, is_number, is_text
from trainer.history.rows import READ_ROWS
from trainer.profiling.dialect import UTF_8, WINDOWS, single_column_hint, sniffed_cells

# A column with more different cells is a number, an id or free text; the others are counted, but not kept.
MOST_VALUES: Final = 100_000
# Of all columns together, which bounds the memory for a table with thousands of them.
_MOST_VALUES_IN_ALL: Final = 5_000_000
_SNIFFED_LINES: Final = 1_000
# Of a year, or of the number of a column.
_MOST_DIGITS: Final = 9
# What spreadsheets write before the sums below the users, of which remarks may follow.
_TOTALS: Final = re.compile(
    r"(?:grand |sub-?)?(?:total\w*|totaal|sum|sums|summe|suma|sumas|somme|somma|soma|gesamt\w*|insgesamt"
    r"|razem|celkem|average|mean|durchschnitt|mittelwert|moyenne|promedio|średnia)\b",
    re.IGNORECASE,
)
_LAST_ROWS: Final = 5
ITEM_SEPARATOR: Final = "\x1f"
"""Between the items of a list in a Parquet file, as a column's cells have them."""


class Stored(Enum):
    """How a file stores a column."""

    CELLS = auto()
    """Text of a CSV file, which may be anything."""
    TEXT = auto()
    NUMBERS = auto()
    BOOLEANS = auto()
    LISTS = auto()
    DATES = auto()
    OTHERWISE = auto()


@dataclass(slots=True)
class Column:
    """One column of a table: all of its different cells, or the first 100,000 of them."""

    header: str
    stored: Stored = Stored.CELLS
    type_name: str = "text"
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)
    """The number of the line or row on which each different cell occurs first."""
    absent: int = 0
    """Rows without a value in a Parquet file."""
    later: int = 0
    """Rows with a cell that is not kept."""
    later_negative: bool = False
    """Whether one of these looks like a negative number."""

    def add(self, numbers: Sequence[int], cells: Sequence[str | None], most: int) -> None:
        """Count the cells of some rows; once more than so many differ, others are no longer kept."""
        for number, cell in zip(numbers, cells, strict=True):
            if cell is None:
                self.absent += 1
            elif cell in self.first:
                self.counts[cell] += 1
            elif len(self.first) < most:
                self.first[cell] = number
                self.counts[cell] = 1
            else:
                self.later += 1
                self.later_negative |= "-" in cell


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a file, and what its rows are counted in."""

    columns: tuple[Column, ...]
    rows: int
    unit: str
    cells: CsvFormat | None
    """How the cells of a CSV file are written; None for Parquet."""
    uneven: int = 0
    """Rows with more or fewer cells than the header."""
    first_uneven: str = ""
    no_users: Mapping[int, str] = field(default_factory=dict)
    """Of the last lines of a CSV file those that look like sums or remarks -> how they begin."""


def read_table(path: Path) -> Table:
    """All columns of a file, CSV (also with gzip) or Parquet.

    Raises HistoryError for a file that is not a table, with the line where it stops being one.
    """
    try:
        with path.open("rb") as file:
            if file.peek(len(PARQUET_MARK)).startswith(PARQUET_MARK):
                return _parquet(path, file)
        return _csv(path)
    except FileNotFoundError as error:
        raise HistoryError(f"{path} does not exist: check the path of the table") from error
    except IsADirectoryError as error:
        raise HistoryError(f"{path} is a directory: name the file in it") from error


# --- CSV -------------------------------------------------------------------------------------------------------------


def _csv(path: Path) -> Table:
    encoding = _encoding(path)
    with path.open("rb") as file:
        lines = [*islice(_lines(path, file, encoding), _SNIFFED_LINES)]
    written = sniffed_cells(lines, encoding)
    with path.open("rb") as file:
        rows = CsvRows(path, _lines(path, file, encoding), written)
        _refuse_header(path, rows, lines)
        columns = tuple(map(Column, rows.header))
        most = min(MOST_VALUES, _MOST_VALUES_IN_ALL // len(columns))
        total = uneven = 0
        first_uneven = ""
        last: deque[tuple[int, list[str]]] = deque(maxlen=_LAST_ROWS)
        numbered = iter(rows)
        while batch := [*islice(numbered, READ_ROWS)]:
            whole = [(line, cells) for line, cells in batch if len(cells) == len(columns)]
            if len(whole) < len(batch):
                line, cells = next((line, cells) for line, cells in batch if len(cells) != len(columns))
                first_uneven = first_uneven or f"line {line} has {len(cells)} cells, the header has {len(columns)}"
                uneven += len(batch) - len(whole)
            _refuse_repeated_header(path, rows.header, whole)
            total += len(batch)
            last.extend(whole)
            numbers = [line for line, _ in whole]
            for at, column in enumerate(columns):
                column.add(numbers, [cells[at] for _, cells in whole], most)
    return Table(columns, total, "line", written, uneven, first_uneven, _no_users(last))


def _no_users(rows: Iterable[tuple[int, list[str]]]) -> dict[int, str]:
    """The lines that sum up others, or hold a remark in a cell alone -> the beginning of each."""
    found = {}
    for line, cells in rows:
        first, *others = [*filter(None, map(str.strip, cells))] or [""]
        if _TOTALS.match(first) or (" " in first and not others and len(cells) > 2):
            found[line] = first[:30]
    return found


def _lines(path: Path, file: io.BufferedReader, encoding: str) -> Iterator[str]:
    return text_lines(path, decompressed(file), encoding)


def _encoding(path: Path) -> str:
    """UTF-8 if the whole file can be read so, else Windows-1252.

    Raises HistoryError for a file with lines in both, of which one kind would become other letters.
    """
    first: dict[bool, int] = {}
    with path.open("rb") as file:
        try:
            for number, line in enumerate(decompressed(file), start=1):
                if number == 1:
                    refuse_other_formats(path, line)
                if not line.isascii():
                    first.setdefault(_is_utf_8(line), number)
        except (OSError, EOFError, zlib.error):
            return UTF_8  # damaged, which is named by who reads it
    if len(first) == 2:
        raise HistoryError(
            f"{path} is in two encodings: line {first[True]} is UTF-8 and line {first[False]} is not; "
            "export it again, or save the parts that were joined as UTF-8"
        )
    return WINDOWS if False in first else UTF_8


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _refuse_header(path: Path, rows: CsvRows, lines: Sequence[str]) -> None:
    names = rows.header
    if len(names) == 1:
        raise HistoryError(f"{path} has a single column, {names[0][:40]!r}: {single_column_hint(lines)}")
    if len(names) > 2 and sum(bool(name.strip()) for name in names) == 1:
        raise HistoryError(
            f"{path}, line 1 names only one of its {len(names)} columns: the header must be the first line, so remove "
            "the lines above it"
        )
    if any(re.match(r"\s+[\"'].*[\"']\s*$", name) for name in names):
        raise HistoryError(
            f"{path}, line 1 has spaces before quotes, which makes the quotes part of the cells: remove these spaces"
        )
    numbers = [name for name in names if _is_number(name)]
    if len(numbers) == len(names) or (len(numbers) > 1 and not _count_up(numbers)):
        raise HistoryError(
            f"{path}, line 1 has numbers as names ({', '.join(numbers[:3])}{', …' if len(numbers) > 3 else ''}): if it "
            "is a user, add a line with the names of the columns; if not, add a letter to these names"
        )


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _count_up(names: Sequence[str]) -> bool:
    """Whether these are numbers of columns, or years: each is one more than the one before."""
    whole = all(name.isdecimal() and len(name) <= _MOST_DIGITS for name in names)
    return whole and all(after == str(int(before) + 1) for before, after in pairwise(names))


def _refuse_repeated_header(path: Path, header: tuple[str, ...], batch: Iterable[tuple[int, list[str]]]) -> None:
    for line, cells in batch:
        if cells[0] == header[0] and tuple(cells) == header:
            raise HistoryError(f"{path}, line {line} repeats the header, perhaps where files were joined: remove it")


# --- Parquet ---------------------------------------------------------------------------------------------------------


def _parquet(path: Path, file: BinaryIO) -> Table:
    try:
        opened = pq.ParquetFile(file)
        schema = opened.schema_arrow
        columns = tuple(Column(one.name, _stored(one.type), str(one.type)) for one in schema)
        most = min(MOST_VALUES, _MOST_VALUES_IN_ALL // max(1, len(columns)))
        total = 0
        for batch in opened.iter_batches(batch_size=READ_ROWS):
            numbers = range(total + 1, total + batch.num_rows + 1)
            for column, values in zip(columns, batch.columns, strict=True):
                cells = cells_of(path, column.header, values, total)
                column.add(numbers, [_cell(cell) for cell in cells], most)
            total += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise HistoryError(
            f"{path} is a damaged Parquet file ({str(error).splitlines()[0]}): write it again"
        ) from error
    return Table(columns, total, "row", None)


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if is_nan(value):
        return None
    if isinstance(value, datetime):
        return str(value.date())
    if isinstance(value, list):  # of which null and blank items are none
        return ITEM_SEPARATOR.join(str(item) for item in value if item is not None and str(item).strip())
    return str(value)


def _stored(found: Any) -> Stored:
    types = pa.types
    if is_number(found):
        return Stored.NUMBERS
    if is_text(found):
        return Stored.TEXT
    if types.is_boolean(found):
        return Stored.BOOLEANS
    if types.is_date(found) or types.is_timestamp(found):
        return Stored.DATES
    return Stored.LISTS if is_list_of_text(found) else Stored.OTHERWISE
