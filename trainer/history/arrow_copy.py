"""The valid users of a history on disk, by column; all later passes read them from here, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.encoding import Floats
from schemas.roles import Kind, ProfileField
from trainer.history.tempfiles import close, room_needed, scratch_file

# More different labels are names or free text: they would fill the memory and say nothing about groups.
MOST_LABELS = 100_000
# Sums, squares and differences of numbers up to it are finite in float64, of however many users.
LARGEST_NUMBER = 1e100
# The code of a missing label.
MISSING = -1
# Large enough that the cost of finding a chunk hardly matters, small enough for any memory.
CHUNK_ROWS = 5_000

Codes = npt.NDArray[np.int32]
RowNumbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Identities:
    """Some users of a chunk, and the numbers of their rows in the file."""

    users: Sequence[str]
    row_numbers: RowNumbers


@dataclass(frozen=True, slots=True)
class ItemCodes:
    """Several label codes per row: those of row i are codes[ends[i]:ends[i + 1]]."""

    ends: Codes
    codes: Codes
    missing: npt.NDArray[np.bool_]
    """Which rows have no list; they have no codes, either."""

    @property
    def rows(self) -> npt.NDArray[np.intp]:
        """The row of each label."""
        return np.repeat(np.arange(len(self.ends) - 1), np.diff(self.ends))


@dataclass(frozen=True)
class CheckedCopy:
    """Users in the order of the file; numbers as they were, but clipped to ±1e100, labels as codes, true as 1.

    A missing number is NaN, a missing label has the code −1, a missing list is null.
    """

    file: BinaryIO
    chunk_rows: tuple[int, ...]
    """Users of each chunk."""
    labels: Mapping[str, tuple[str, ...]]
    """Field name -> label of each code; without the fields that have too many labels."""

    @property
    def rows(self) -> int:
        """The number of users."""
        return sum(self.chunk_rows)

    def hashes(self) -> Iterator[Hashes]:
        """Every chunk's users as hashes: equal for equal users, nearly always different for different ones."""
        for batch in self._batches(_HASH):
            yield batch.column(0).to_numpy()

    def identities(self, hashes: Hashes) -> Iterator[Identities]:
        """Every chunk's users with one of these hashes, given in ascending order."""
        if hashes.size:
            for batch in self._batches(_USER, _ROW_NUMBER, _HASH):
                user, row_number, _ = batch.filter(pa.array(_are_among(hashes, batch.column(_HASH).to_numpy()))).columns
                yield Identities(user.to_pylist(), row_number.to_numpy())

    def users(self) -> Iterator[list[str]]:
        """Every chunk's user ids."""
        for batch in self._batches(_USER):
            yield batch.column(0).to_pylist()

    def row_numbers(self) -> Iterator[RowNumbers]:
        """Every chunk's numbers of rows in the file."""
        for batch in self._batches(_ROW_NUMBER):
            yield batch.column(0).to_numpy()

    def numbers(self, name: str) -> Iterator[Floats]:
        """Every chunk of a column of numbers."""
        for batch in self._batches(_FIELD + name):
            yield batch.column(0).to_numpy()

    def codes(self, name: str) -> Iterator[Codes]:
        """Every chunk of a column with one label per row."""
        for batch in self._batches(_FIELD + name):
            yield batch.column(0).to_numpy()

    def items(self, name: str) -> Iterator[ItemCodes]:
        """Every chunk of a column with several labels per row."""
        for batch in self._batches(_FIELD + name):
            lists = batch.column(0)
            missing = lists.is_null().to_numpy(zero_copy_only=False)
            yield ItemCodes(lists.offsets.to_numpy(), lists.values.to_numpy(), missing)

    def without(self, row_numbers: RowNumbers) -> CheckedCopy:
        """A new copy without the rows of these numbers, one at least, given in ascending order."""
        file = scratch_file()
        chunk_rows = []
        reader = pa.ipc.open_file(self.file, options=_one_thread())
        with room_needed(), pa.ipc.new_file(file, reader.schema, options=_compressed()) as writer:
            for i in range(reader.num_record_batches):
                batch = reader.get_batch(i)
                kept = batch.filter(pa.array(~_are_among(row_numbers, batch.column(_ROW_NUMBER).to_numpy())))
                if kept.num_rows:
                    writer.write_batch(kept)
                    chunk_rows.append(kept.num_rows)
        return CheckedCopy(file, tuple(chunk_rows), self.labels)

    def close(self) -> None:
        """Remove the file."""
        close(self.file)

    @cached_property
    def _schema(self) -> Any:
        return pa.ipc.open_file(self.file).schema

    def _batches(self, *names: str) -> Iterator[Any]:
        """Every chunk, reading only these columns from disk."""
        included = [self._schema.get_field_index(name) for name in names]
        options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=included)
        reader = pa.ipc.open_file(self.file, options=options)
        for i in range(reader.num_record_batches):
            yield reader.get_batch(i).select(names)


class CopyWriter:
    """A copy while it is being written."""

    def __init__(self, fields: Sequence[ProfileField]) -> None:
        """Start an empty copy; raises ScratchError when the disk is full."""
        self._fields = fields
        self._codes = {field.name: _CodeOf() for field in fields if not field.kind.is_numeric}
        self._too_many: set[str] = set()
        self._chunk_rows: list[int] = []
        self._unwritten: list[Any] = []
        self._schema = pa.schema(
            [
                (_USER, pa.string()),
                (_ROW_NUMBER, pa.int64()),
                (_HASH, pa.int64()),
                *((_FIELD + field.name, _TYPES[field.kind]) for field in fields),
            ]
        )
        self._file = scratch_file()
        self._writer = pa.ipc.new_file(self._file, self._schema, options=_compressed())

    def add(self, row_numbers: Sequence[int], users: Sequence[str], columns: Sequence[Sequence[Any] | Floats]) -> None:
        """Append users; once a column has too many different labels, it is no longer recorded."""
        if not users:
            return
        arrays = [
            pa.array(users, pa.string()),
            pa.array(row_numbers, pa.int64()),
            # Python's own hash: it differs between processes, and serves only to find duplicate users.
            pa.array(np.fromiter(map(hash, users), dtype=np.int64, count=len(users))),
            *(self._array(field, values) for field, values in zip(self._fields, columns, strict=True)),
        ]
        self._unwritten.append(pa.record_batch(arrays, schema=self._schema))
        if sum(batch.num_rows for batch in self._unwritten) >= CHUNK_ROWS:
            self._write()

    def finish(self) -> CheckedCopy:
        """The finished copy."""
        if self._unwritten:
            self._write()
        with room_needed():
            self._writer.close()
            self._file.flush()
        labels = {name: tuple(codes) for name, codes in self._codes.items() if name not in self._too_many}
        return CheckedCopy(self._file, tuple(self._chunk_rows), labels)

    def close(self) -> None:
        """Discard the copy, finished or not."""
        close(self._file)

    def _write(self) -> None:
        chunk = pa.concat_batches(self._unwritten)
        self._unwritten = []
        self._chunk_rows.append(chunk.num_rows)
        with room_needed():
            self._writer.write_batch(chunk)

    def _array(self, field: ProfileField, values: Sequence[Any] | Floats) -> Any:
        if field.kind.is_numeric:
            return pa.array(np.clip(values, -LARGEST_NUMBER, LARGEST_NUMBER), pa.float64())
        if field.name in self._too_many:
            # A placeholder of the column's type.
            return pa.array([[] if field.kind is Kind.SEVERAL_OF else 0] * len(values), _TYPES[field.kind])
        codes = self._codes[field.name]
        if field.kind is Kind.SEVERAL_OF:
            # The order of a set differs between processes.
            lists = [sorted(items) if isinstance(items, set | frozenset) else items or () for items in values]
            ends = np.cumsum([0, *map(len, lists)], dtype=np.int32)
            items = codes.of(chain.from_iterable(lists), int(ends[-1]))
            missing = pa.array([items is None for items in values])
            array = pa.ListArray.from_arrays(pa.array(ends), pa.array(items), mask=missing)
        else:
            array = pa.array(codes.of(values, len(values)))
        if len(codes) > MOST_LABELS:
            self._too_many.add(field.name)
            codes.clear()
        return array


class _CodeOf(dict[str, int]):
    """The code of each label, assigned in order of appearance."""

    def __missing__(self, label: str | None) -> int:
        if label is None:
            return MISSING
        self[label] = code = len(self)
        return code

    def of(self, labels: Iterable[str], count: int) -> Codes:
        return np.fromiter(map(self.__getitem__, labels), dtype=np.int32, count=count)


_USER, _ROW_NUMBER, _HASH = "user", "row number", "hash"
# The prefix of the fields' columns, which keeps them apart from those above.
_FIELD = "field "

_TYPES: Mapping[Kind, Any] = {
    Kind.NUMBER: pa.float64(),
    Kind.DAYS_SINCE: pa.float64(),
    Kind.BOOLEAN: pa.float64(),
    Kind.ORDERED: pa.int32(),
    Kind.CATEGORY: pa.int32(),
    Kind.SEVERAL_OF: pa.list_(pa.int32()),
}


def _are_among(ascending: RowNumbers | Hashes, values: RowNumbers | Hashes) -> npt.NDArray[np.bool_]:
    """Which values are among these, of which there is one at least; nothing is built of all of them for each chunk."""
    at = np.searchsorted(ascending, values)
    found: npt.NDArray[np.bool_] = ascending[np.minimum(at, len(ascending) - 1)] == values
    return found


def _compressed() -> Any:
    return pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


def _one_thread() -> Any:
    return pa.ipc.IpcReadOptions(use_threads=False)
