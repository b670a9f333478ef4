"""A history of users: a CSV or Parquet file, one row per user, checked row by row against the profile class."""

from __future__ import annotations

import gc
import math
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from heapq import merge
from itertools import chain, repeat
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel

from models.encoding import Columns, Floats
from schemas.csv_format import history_format
from schemas.roles import Kind, ProfileField
from schemas.values import most_missing
from trainer.errors import HistoryError
from trainer.history.arrow_copy import MISSING, MOST_LABELS, CheckedCopy, CopyWriter, RowNumbers
from trainer.history.bad_rows import BadRows
from trainer.history.csv_source import csv_source
from trainer.history.dates import NEWEST_DATE, CountedTo, DayRule, has_dates, newest_date
from trainer.history.parquet_source import PARQUET_MARK, parquet_source
from trainer.history.rows import BadRow, OnProgress, Source
from trainer.history.sampling import Drawn, draw
from trainer.history.tempfiles import close, scratch_file
from trainer.history.validation import Check, cell_text, shown

# Duplicate users are searched for among about this many users at a time, which bounds the memory.
USERS_COMPARED = 1_000_000

Integers = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some users in the order of the file."""

    users: Sequence[str]
    columns: Columns
    """Event name of each field -> its values as a model reads them: numbers, labels, or tuples of labels, or None."""


@dataclass(frozen=True)
class History:
    """The valid users of a file, in its order; invalid rows are kept separately.

    Both are on disk, in unnamed files that disappear when the history is closed.
    """

    id_header: str
    id_type: Any
    """The Arrow type of the users' ids in the file where they are integers, else None."""
    all_fields: tuple[ProfileField, ...]
    """Of the profile class, in its order."""
    bad_rows: BadRows
    too_little_known: int
    """Users left out because more than half of the fields that a model uses have no value."""
    ignored_headers: tuple[str, ...]
    digest: str
    """SHA-256 of the file's bytes, 64 hexadecimal digits."""
    counted_to: CountedTo | None
    """The day to which days are counted; None where there are no dates."""
    copy: CheckedCopy
    kept_open: ExitStack

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the files on disk."""
        self.kept_open.close()

    @property
    def rows(self) -> int:
        """The number of users."""
        return self.copy.rows

    @property
    def fields(self) -> tuple[ProfileField, ...]:
        """The fields that have a column here: all but those with more than 100,000 different labels."""
        labels = self.copy.labels
        return tuple(field for field in self.all_fields if field.kind.is_numeric or field.name in labels)

    def require(self, names: Iterable[str]) -> None:
        """Raise HistoryError where one of these fields has no column here."""
        for name in names:
            if name not in [field.name for field in self.fields]:
                header = next(field.header for field in self.all_fields if field.name == name)
                raise HistoryError(
                    f'column "{header}" has more than {MOST_LABELS:,} different labels, far more than the model has: '
                    "correct the column, or fit a new model"
                )

    def known_enough(self, used: Collection[str]) -> History:
        """The same without the users of whom more than half of these fields have no value, who are counted.

        Takes the fields that a model uses. Raises ScratchError when the disk is full.
        """
        most = most_missing(len(used))
        optional = [field.name for field in self.fields if field.optional and field.name in used]
        if len(optional) <= most:
            return self
        missing = zip(*map(self.without_value, optional), strict=True)
        too_little = [
            numbers[np.sum(each, axis=0) > most] for numbers, each in zip(self.copy.row_numbers(), missing, strict=True)
        ]
        users = sum(map(len, too_little))
        if not users:
            return self
        copy = self.copy.without(np.concatenate(too_little))
        self.kept_open.callback(copy.close)
        return replace(self, copy=copy, too_little_known=self.too_little_known + users)

    def chunks(self, names: Sequence[str] | None = None) -> Iterator[Chunk]:
        """All users, a few thousand at a time, with the columns of these fields (None: of all) that have one."""
        fields = [field for field in self.fields if names is None or field.name in names]
        readers = [self._values(field, repeat(slice(None), len(self.copy.chunk_rows))) for field in fields]
        for users, *columns in zip(self.copy.users(), *readers, strict=True):
            yield Chunk(users, dict(zip((field.name for field in fields), columns, strict=True)))

    def holders(self, name: str) -> Iterator[tuple[Integers, Integers]]:
        """For each chunk, which user has which label of a field, as row and code; each pair once.

        A user without a value has none.
        """
        if self._field(name).kind is Kind.SEVERAL_OF:
            labels = len(self.copy.labels[name])
            for items in self.copy.items(name):
                # An item that a user lists twice counts once.
                pairs = np.unique(items.rows * labels + items.codes)
                yield pairs // labels, pairs % labels
        else:
            for codes in self.copy.codes(name):
                rows = np.flatnonzero(codes != MISSING)
                yield rows, codes[rows]

    def without_value(self, name: str) -> Iterator[npt.NDArray[np.bool_]]:
        """For each chunk, which users have no value in a field."""
        match self._field(name).kind:
            case kind if kind.is_numeric:
                yield from (np.isnan(numbers) for numbers in self.copy.numbers(name))
            case Kind.SEVERAL_OF:
                yield from (items.missing for items in self.copy.items(name))
            case _:
                yield from (codes == MISSING for codes in self.copy.codes(name))

    def label_counts(self, name: str) -> Mapping[str, int]:
        """Each label or item of a field -> users who have it, in the order of the labels."""
        labels = self.copy.labels[name]
        counts = np.zeros(len(labels), dtype=np.int64)
        for _, codes in self.holders(name):
            counts += np.bincount(codes, minlength=len(labels))
        return {label: count for label, count in sorted(zip(labels, counts.tolist(), strict=True)) if count}

    def drawn(self, most: int, seed: int) -> Drawn:
        """At most so many rows, drawn at random without replacement."""
        return draw(self.copy.chunk_rows, most, seed)

    def drawn_numbers(self, name: str, drawn: Drawn) -> Floats:
        """A number of the rows drawn, in their order."""
        chunks = zip(self.copy.numbers(name), drawn, strict=True)
        return np.concatenate([np.zeros(0), *(numbers[at] for numbers, at in chunks)])

    def sample(self, most: int, seed: int) -> pd.DataFrame:
        """At most so many users, drawn at random without replacement, in the order of the file.

        One row per user, one column per field under its event name: float64, category, or tuples of labels. A missing
        value is NaN.
        """
        drawn = self.drawn(most, seed)
        return pd.DataFrame({field.name: self._drawn_column(field, drawn) for field in self.fields})

    def scratch_file(self) -> BinaryIO:
        """A new unnamed file that disappears when the history is closed; raises ScratchError when the disk is full."""
        file = scratch_file()
        self.kept_open.callback(close, file)
        return file

    def _field(self, name: str) -> ProfileField:
        return next(field for field in self.fields if field.name == name)

    def _values(self, field: ProfileField, rows: Iterable[Integers | slice]) -> Iterator[list[Any]]:
        """For each chunk, the values of these of its rows."""
        if field.kind.is_numeric:
            numbers_of_chunks = zip(self.copy.numbers(field.name), rows, strict=True)
            yield from (number_values(numbers[at]) for numbers, at in numbers_of_chunks)
            return
        # The last one stands for the code −1.
        labels = np.array([*self.copy.labels[field.name], None], dtype=object)
        if field.kind is not Kind.SEVERAL_OF:
            yield from (labels[codes[at]].tolist() for codes, at in zip(self.copy.codes(field.name), rows, strict=True))
            return
        for items, at in zip(self.copy.items(field.name), rows, strict=True):
            flat = labels[items.codes].tolist()
            starts, ends, missing = (each[at].tolist() for each in (items.ends[:-1], items.ends[1:], items.missing))
            yield [
                None if gone else tuple(flat[start:end]) for start, end, gone in zip(starts, ends, missing, strict=True)
            ]

    def _drawn_column(self, field: ProfileField, drawn: Drawn) -> pd.Series:
        if field.kind.is_numeric:
            return pd.Series(self.drawn_numbers(field.name, drawn), dtype=np.float64)
        values = [*chain.from_iterable(self._values(field, drawn))]
        return pd.Series(values, dtype=object) if field.kind is Kind.SEVERAL_OF else pd.Series(pd.Categorical(values))


def number_values(numbers: Floats) -> list[float | None]:
    """Numbers as a model reads them: None in place of NaN."""
    values: list[float | None] = numbers.tolist()
    for at in np.flatnonzero(np.isnan(numbers)).tolist():
        values[at] = None
    return values


def read_history(
    path: Path, profile_class: type[BaseModel], on_progress: OnProgress, day_rule: DayRule = NEWEST_DATE
) -> History:
    """All users of the file; on_progress is called with how much has been read, and the whole length.

    The day rule says to which day the days since a date are counted. The first bytes decide how it is read: as CSV, CSV
    compressed with gzip, or Parquet. A row that is not a valid profile, or that repeats a user, goes to bad_rows.
    Raises HistoryError for a file that cannot be read, is not CSV as the class declares it, lacks a column, or has no
    rows, or where the day would lie in the future; ScratchError when the disk is full.
    """
    counted_to = _counted_to(path, profile_class, on_progress, day_rule)
    today = date.min if counted_to is None else counted_to.day
    with ExitStack() as undo, _opened(path, profile_class, today, on_progress) as source:
        layout = source.layout
        check = Check(profile_class, layout, source.read, today)
        bad_rows = BadRows(source.unit, layout.header)
        undo.callback(bad_rows.close)
        writer = CopyWriter(layout.fields)
        undo.callback(writer.close)
        with _cycle_collection_paused():
            for rows in source.rows:
                checked = check(rows)
                bad_rows.add(checked.bad_rows)
                writer.add(checked.numbers, checked.users, checked.columns)
        copy = writer.finish()
        if copy.rows + bad_rows.count == 0:
            raise HistoryError(f"{path} has a header but no rows: add one row per user")
        digest = source.digest()
        repeated, first = _repeated(copy)
        if repeated.size:
            copy = copy.without(repeated)
            undo.callback(copy.close)
            with _opened(path, profile_class, today, on_progress) as once_more:
                found = _repeated_rows(once_more, repeated, first, bad_rows.before_number)
                bad_rows = _merged(bad_rows, found, layout.header)
            undo.callback(bad_rows.close)
        return History(
            id_header=layout.id_header,
            id_type=source.id_type,
            all_fields=layout.fields,
            bad_rows=bad_rows,
            too_little_known=0,
            ignored_headers=layout.ignored,
            digest=digest,
            counted_to=counted_to,
            copy=copy,
            kept_open=undo.pop_all(),
        )


def _counted_to(path: Path, profile_class: type[BaseModel], on_progress: OnProgress, rule: DayRule) -> CountedTo | None:
    if not has_dates(profile_class):
        return None
    if rule.given is not None:
        return CountedTo(rule.given, "as --as-of says")
    with _opened(path, profile_class, date.min, on_progress) as source:
        newest = newest_date(source, history_format(profile_class).missing)
    return None if newest is None else rule.after(newest, path)


@contextmanager
def _opened(path: Path, profile_class: type[BaseModel], today: date, on_progress: OnProgress) -> Iterator[Source]:
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise HistoryError(f"{path} does not exist: check the path of the history") from error
    except IsADirectoryError as error:
        raise HistoryError(f"{path} is a directory: name the file in it") from error
    except OSError as error:
        raise HistoryError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        if file.peek(len(PARQUET_MARK)).startswith(PARQUET_MARK):
            with parquet_source(path, file, profile_class, today, on_progress) as source:
                yield source
        else:
            with csv_source(path, file, path.stat().st_size, profile_class, today, on_progress) as source:
                yield source


@contextmanager
def _cycle_collection_paused() -> Iterator[None]:
    """A context without Python's search for reference cycles.

    Rows contain no cycles, and searching their millions of small objects takes a third of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# --- duplicate users -------------------------------------------------------------------------------------------------


def _repeated(copy: CheckedCopy) -> tuple[RowNumbers, RowNumbers]:
    """The numbers of rows that repeat a user, ascending, and the number of the first row of each of those users.

    Equal hashes find candidates without a table of all users in memory; the ids themselves decide.
    """
    parts = math.ceil(copy.rows / USERS_COMPARED)
    again, before = array("q"), array("q")  # a history of events has more of them than users
    for part in range(parts):
        hashes = np.sort(np.concatenate([each[each % parts == part] for each in copy.hashes()]))
        suspects = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
        first: dict[str, int] = {}
        for chunk in copy.identities(suspects):
            for user, number in zip(chunk.users, chunk.row_numbers.tolist(), strict=True):
                if first.setdefault(user, number) != number:
                    again.append(number)
                    before.append(first[user])
    numbers, first_numbers = np.array(again, dtype=np.int64), np.array(before, dtype=np.int64)
    order = np.argsort(numbers)
    return numbers[order], first_numbers[order]


def _repeated_rows(source: Source, repeated: RowNumbers, first: RowNumbers, before_number: str) -> Iterator[BadRow]:
    """The original repeated rows, read again: the copy lacks some of their cells."""
    header, id_at = source.layout.id_header, source.layout.id_at
    if id_at is None:  # the numbers of rows do not repeat
        return
    for rows in source.rows:
        at = np.searchsorted(repeated, rows.numbers)
        for i in np.flatnonzero(repeated[np.minimum(at, len(repeated) - 1)] == rows.numbers).tolist():
            cells = tuple(cell_text(column[i]) for column in rows.columns)
            yield BadRow(
                rows.numbers[i], f"{header}: {shown(cells[id_at])} is already {before_number} {first[at[i]]}", cells
            )


def _merged(bad_rows: BadRows, others: Iterable[BadRow], header: Sequence[str]) -> BadRows:
    both = BadRows(bad_rows.unit, header)
    both.add(merge(bad_rows, others, key=attrgetter("number")))
    both.without_value = bad_rows.without_value
    return both
