"""Encodes columns of raw values as a matrix of numbers: the same code for fitting and for assigning."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import accumulate, chain
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import FiniteFloat

from schemas.roles import Kind

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
"""Numbers of rows, ascending."""
# Field name -> one value per row, None where it is missing; all of the same length.
Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """A number x, encoded as x or log1p(x / log_unit), clipped to the range seen in training; one matrix column.

    A missing number is encoded as the mean.
    """

    name: str
    log_unit: FiniteFloat | None
    low: FiniteFloat
    high: FiniteFloat
    mean: FiniteFloat
    scale: FiniteFloat
    weight: FiniteFloat = 1.0

    kind = Kind.NUMBER
    width = 1

    @property
    def means(self) -> tuple[float, ...]:
        """The mean of each matrix column."""
        return (self.mean,)


@dataclass(frozen=True, slots=True)
class BooleanColumn:
    """False or true, encoded as 0 or 1; one matrix column."""

    name: str
    mean: FiniteFloat
    scale: FiniteFloat
    weight: FiniteFloat = 1.0

    kind = Kind.BOOLEAN
    width = 1
    low, high, log_unit = 0.0, 1.0, None

    @property
    def means(self) -> tuple[float, ...]:
        """The mean of each matrix column."""
        return (self.mean,)


@dataclass(frozen=True, slots=True)
class OrderedColumn:
    """An ordinal label, encoded as its rank from 0, an unknown or missing one as the mean; one matrix column."""

    name: str
    levels: tuple[str, ...]
    mean: FiniteFloat
    scale: FiniteFloat
    weight: FiniteFloat = 1.0

    kind = Kind.ORDERED
    width = 1

    @property
    def means(self) -> tuple[float, ...]:
        """The mean of each matrix column."""
        return (self.mean,)


@dataclass(frozen=True, slots=True)
class CategoryColumn:
    """A nominal label, one-hot encoded, one matrix column per level; missing, the means of these columns."""

    name: str
    levels: tuple[str, ...]
    means: tuple[FiniteFloat, ...]
    scale: FiniteFloat
    weight: FiniteFloat = 1.0

    kind = Kind.CATEGORY

    @property
    def width(self) -> int:
        """The number of matrix columns."""
        return len(self.levels)


@dataclass(frozen=True, slots=True)
class SeveralOfColumn:
    """A list of labels (multi-label), one indicator column per known item; unknown items are ignored.

    A missing list is encoded as the means of these columns.
    """

    name: str
    levels: tuple[str, ...]
    means: tuple[FiniteFloat, ...]
    scale: FiniteFloat
    weight: FiniteFloat = 1.0

    kind = Kind.SEVERAL_OF

    @property
    def width(self) -> int:
        """The number of matrix columns."""
        return len(self.levels)


Column = NumberColumn | BooleanColumn | OrderedColumn | CategoryColumn | SeveralOfColumn


class UnknownCategory(StrEnum):
    """How a label of a category is encoded that training had not seen; one that is missing is encoded as the means."""

    MEANS = "means"
    """0 after scaling, as an unknown ordinal label: it says nothing about the segment."""
    ZEROS = "zeros"
    """In models of format 1: nearest to the segment with the most mixed labels."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows as numbers, before scaling, their values that training had not seen, and those that are missing."""

    matrix: Floats
    """Shape (rows, width)."""
    unknown: Mapping[int, tuple[str, ...]]
    """Row -> names of its fields with an unknown value; rows without one are absent."""
    missing: Mapping[str, Rows]
    """Field -> the rows in which it has no value; fields that always have one are absent."""
    out_of_range: Mapping[str, Rows]
    """Field -> the rows in which its number is far outside what training saw; only fields with such rows."""


@dataclass(frozen=True, slots=True)
class _Labels:
    """One column of labels: the cell of each known label, and the cell of unknown ones."""

    name: str
    cells: Mapping[str, int]
    unknown: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where each value is written: computed once, since a worker encodes thousands of batches per minute.

    A cell is a matrix row and the value to write there.
    """

    numbers: tuple[str, ...]
    numbers_left_out: tuple[str, ...]
    logs: tuple[tuple[int, float], ...]
    lows: Floats
    highs: Floats
    spans: Floats
    single: tuple[_Labels, ...]
    several: tuple[_Labels, ...]
    without_label: Mapping[str, tuple[slice, Floats, Floats | None]]
    """Category -> its matrix rows, and their values, of shape (levels, 1), for a missing and for an unknown label.

    Of a list, those of the known items stay.
    """
    single_left_out: tuple[tuple[str, frozenset[str]], ...]
    several_left_out: tuple[tuple[str, frozenset[str]], ...]
    row_of_cell: npt.NDArray[np.intp]
    value_of_cell: Floats


@dataclass(frozen=True)
class Encoder:
    """The columns of a profile, in its order, with their fitted parameters.

    A column of weight 0 is left out of the matrix; its unknown values are still reported.
    """

    columns: tuple[Column, ...]
    unknown_category: UnknownCategory = UnknownCategory.MEANS

    def unknown_of(self, column: CategoryColumn) -> tuple[float, ...]:
        """The matrix columns of an unknown label."""
        return column.means if self.unknown_category is UnknownCategory.MEANS else (0.0,) * column.width

    @cached_property
    def kept(self) -> tuple[Column, ...]:
        """The columns that count in the distance, in matrix order: by kind, as `Kind` lists them."""
        order = [*Kind]
        kept = [column for column in self.columns if column.weight > 0]
        return tuple(sorted(kept, key=lambda column: order.index(column.kind)))

    @cached_property
    def used(self) -> frozenset[str]:
        """The names of the fields that count in the distance."""
        return frozenset(column.name for column in self.kept)

    @cached_property
    def width(self) -> int:
        """The number of matrix columns."""
        return sum(column.width for column in self.kept)

    @cached_property
    def blocks(self) -> tuple[tuple[Column, slice], ...]:
        """The columns that count in the distance, each with its matrix columns."""
        ends = [*accumulate(column.width for column in self.kept)]
        return tuple((column, slice(end - column.width, end)) for column, end in zip(self.kept, ends, strict=True))

    @cached_property
    def means(self) -> Floats:
        """Mean of each matrix column in training, shape (width,)."""
        return np.array([*chain.from_iterable(column.means for column in self.kept)], dtype=np.float64)

    @cached_property
    def scales(self) -> Floats:
        """The divisor of each matrix column, including its weight, shape (width,)."""
        return np.repeat(
            [column.scale / column.weight for column in self.kept], [column.width for column in self.kept]
        ).astype(np.float64)

    def scale(self, matrix: Floats) -> Floats:
        """(x − mean) / scale · weight for each column of a raw matrix."""
        scaled: Floats = matrix - self.means
        scaled /= self.scales
        return scaled

    def encode(self, columns: Columns) -> Encoded:
        """The raw matrix of columns of equal length, one value per row.

        A missing value counts at the mean of its column, as an unknown label does. A number is far outside what
        training saw if it is beyond the range to which numbers are clipped by more than the width of that range, both
        on the scale on which they are compared. Raises KeyError for a missing field, struct.error for a value that is
        not a number or for unequal lengths, ValueError or OverflowError for a number that is not finite as float64.
        """
        rows = len(columns[self.columns[0].name])
        # Transposed, so that a column is contiguous; the extra last row takes values that have no matrix column.
        matrix = np.zeros((self.width + 1, rows))
        missing: dict[str, Rows] = {}
        out_of_range = self._encode_numbers(columns, matrix, missing)
        with_unknown = self._encode_labels(columns, matrix)
        unknown = self._without_label(columns, with_unknown, matrix, missing) if with_unknown else {}
        in_order = {column.name: missing[column.name] for column in self.columns if column.name in missing}
        return Encoded(matrix[: self.width].T, unknown, in_order, out_of_range)

    def _encode_numbers(self, columns: Columns, matrix: Floats, missing: dict[str, Rows]) -> Mapping[str, Rows]:
        """Write all numbers; returns those out of range."""
        plan = self._plan
        # Also those left out of the distance: which events are valid must not depend on the model.
        wanted = {name: columns[name] for name in (*plan.numbers, *plan.numbers_left_out)}
        numbers = _numbers(matrix.shape[1], wanted, missing)
        if not plan.numbers:
            return {}
        numbers = numbers[: len(plan.numbers)]
        # A huge number divided by a small unit may overflow to infinity; it is clipped below.
        with np.errstate(over="ignore"):
            for at, unit in plan.logs:
                # Columns with a logarithm had no negative number in training: one is below all of them.
                numbers[at] = np.copysign(np.log1p(np.abs(numbers[at]) / unit), numbers[at])
        for at, name in enumerate(plan.numbers if missing else ()):
            numbers[at, missing.get(name, ())] = self.means[at]
        clipped = matrix[: len(numbers)]
        np.maximum(numbers, plan.lows, out=clipped)
        np.minimum(clipped, plan.highs, out=clipped)
        far = np.abs(numbers - clipped) > plan.spans
        if not far.any():
            return {}
        return {plan.numbers[at]: np.flatnonzero(far[at]) for at in np.flatnonzero(far.any(axis=1)).tolist()}

    def _encode_labels(self, columns: Columns, matrix: Floats) -> Sequence[str]:
        """Write all known labels; returns the fields with a label that is unknown or missing."""
        plan = self._plan
        rows = matrix.shape[1]
        with_unknown: list[str] = []
        if plan.single:
            cells = _packed("q", rows, [_cells(labels, columns[labels.name], with_unknown) for labels in plan.single])
            matrix[plan.row_of_cell[cells], np.arange(rows)] = plan.value_of_cell[cells]
        for labels in plan.several:
            lists, all_items = _items(columns[labels.name])
            if lists is not columns[labels.name]:
                with_unknown.append(labels.name)
            items = _cells(labels, all_items, with_unknown)
            (counts,) = _packed("q", rows, [[*map(len, lists)]])
            (item_cells,) = _packed("q", len(items), [items])
            matrix[plan.row_of_cell[item_cells], np.repeat(np.arange(rows), counts)] = 1.0
        # Columns left out of the distance are only checked for unknown values.
        with_unknown += [name for name, known in plan.single_left_out if not known.issuperset(columns[name])]
        for name, known in plan.several_left_out:
            lists, all_items = _items(columns[name])
            if lists is not columns[name] or not known.issuperset(all_items):
                with_unknown.append(name)
        return with_unknown

    def _without_label(
        self, columns: Columns, with_unknown: Sequence[str], matrix: Floats, missing: dict[str, Rows]
    ) -> Mapping[int, tuple[str, ...]]:
        """Write the means for labels that are missing or unknown; returns the fields of each row with unknown ones."""
        unknown: dict[int, tuple[str, ...]] = {}
        for column in self.columns:
            name = column.name
            if name not in with_unknown or isinstance(column, NumberColumn | BooleanColumn):
                continue
            no_value, not_seen = _not_known(column, columns[name])
            if no_value:
                missing[name] = np.array(no_value, dtype=np.intp)
            for row in not_seen:
                unknown[row] = (*unknown.get(row, ()), name)
            if name in self._plan.without_label:
                block, of_missing, of_unknown = self._plan.without_label[name]
                matrix[block, no_value] = of_missing
                if of_unknown is not None:
                    matrix[block, not_seen] = of_unknown
        return unknown

    @cached_property
    def _plan(self) -> _Plan:
        rows: list[int] = []
        values: list[float] = []

        def cell(row: int, value: float) -> int:
            rows.append(row)
            values.append(value)
            return len(rows) - 1

        single: list[_Labels] = []
        several: list[_Labels] = []
        without_label: dict[str, tuple[slice, Floats, Floats | None]] = {}
        start = 0
        for column in self.kept:
            if isinstance(column, OrderedColumn):
                cells = {level: cell(start, i) for i, level in enumerate(column.levels)}
                single.append(_Labels(column.name, cells, cell(start, column.mean)))
            elif not isinstance(column, NumberColumn | BooleanColumn):
                cells = {level: cell(start + i, 1.0) for i, level in enumerate(column.levels)}
                labels = _Labels(column.name, cells, cell(self.width, 1.0))
                (single if isinstance(column, CategoryColumn) else several).append(labels)
            if isinstance(column, CategoryColumn | SeveralOfColumn):
                of_unknown = None
                if isinstance(column, CategoryColumn):
                    of_unknown = np.array(self.unknown_of(column))[:, None]
                block = slice(start, start + column.width)
                without_label[column.name] = block, np.array(column.means)[:, None], of_unknown
            start += column.width
        numbers = [column for column in self.kept if isinstance(column, NumberColumn | BooleanColumn)]
        left_out = [column for column in self.columns if column.weight <= 0]
        return _Plan(
            numbers=tuple(column.name for column in numbers),
            numbers_left_out=tuple(
                column.name for column in left_out if isinstance(column, NumberColumn | BooleanColumn)
            ),
            logs=tuple((i, column.log_unit) for i, column in enumerate(numbers) if column.log_unit is not None),
            lows=np.array([[column.low] for column in numbers]),
            highs=np.array([[column.high] for column in numbers]),
            spans=np.array([[column.high - column.low] for column in numbers]),
            single=tuple(single),
            several=tuple(several),
            without_label=without_label,
            single_left_out=tuple(
                (column.name, frozenset(column.levels))
                for column in left_out
                if isinstance(column, OrderedColumn | CategoryColumn)
            ),
            several_left_out=tuple(
                (column.name, frozenset(column.levels)) for column in left_out if isinstance(column, SeveralOfColumn)
            ),
            row_of_cell=np.array(rows, dtype=np.intp),
            value_of_cell=np.array(values, dtype=np.float64),
        )


def _numbers(rows: int, columns: Columns, missing: dict[str, Rows]) -> Floats:
    """Columns of numbers as an array (columns, rows), 0 where one is missing, which is added to `missing`."""
    try:
        numbers = _packed("d", rows, [*columns.values()])
    except struct.error:
        found = {name: _missing_in(column) for name, column in columns.items() if None in column}
        missing |= {name: np.array(at, dtype=np.intp) for name, at in found.items()}
        if not missing:
            raise
        present = [[0.0 if value is None else value for value in column] for column in columns.values()]
        numbers = _packed("d", rows, present)
    if not np.isfinite(numbers).all():
        raise ValueError("a number is not finite")
    return numbers


def _missing_in(column: Sequence[Any]) -> list[int]:
    return [row for row, value in enumerate(column) if value is None]


def _not_known(
    column: OrderedColumn | CategoryColumn | SeveralOfColumn, values: Sequence[Any]
) -> tuple[list[int], list[int]]:
    """The rows without a value, and those with a value that training had not seen."""
    known = frozenset(column.levels)
    if isinstance(column, SeveralOfColumn):
        return _missing_in(values), [row for row, items in enumerate(_items(values)[0]) if not known.issuperset(items)]
    not_seen = [row for row, label in enumerate(values) if label is not None and label not in known]
    return _missing_in(values), not_seen


def _items(lists: Sequence[Any]) -> tuple[Sequence[Any], Sequence[str]]:
    """The lists, or new ones where one is missing and has no item, and all of their items."""
    try:
        return lists, [*chain.from_iterable(lists)]
    except TypeError:
        if None not in lists:
            raise
        whole = [() if items is None else items for items in lists]
        return whole, [*chain.from_iterable(whole)]


def _cells(labels: _Labels, values: Sequence[str], with_unknown: list[str]) -> Sequence[int]:
    """The cell of each value; the name of a column with an unknown or missing value is added to `with_unknown`."""
    try:
        return [*map(labels.cells.__getitem__, values)]
    except KeyError:
        with_unknown.append(labels.name)
        return [labels.cells.get(value, labels.unknown) for value in values]


def _packed(code: str, length: int, columns: Sequence[Sequence[float]]) -> npt.NDArray[Any]:
    """Columns of Python numbers as an array (columns, length); struct packs three times as fast as numpy.array."""
    packed = bytearray().join([struct.pack(f"{length}{code}", *column) for column in columns])
    array: npt.NDArray[Any] = np.frombuffer(packed, dtype=code).reshape(len(columns), length)
    return array
