"""From columns of raw values to a matrix of numbers: the same code when a model is fitted and when it is used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from struct import pack
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.roles import Kind

Floats = npt.NDArray[np.float64]
# Field name -> one value for each row; all of the same length.
Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """A number x, encoded as itself or as log1p(x / log_unit), clipped to what training saw; one matrix column."""

    name: str
    log_unit: float | None
    low: float
    high: float
    mean: float
    scale: float
    weight: float = 1.0

    kind = Kind.NUMBER
    width = 1

    @property
    def means(self) -> tuple[float, ...]:
        """The mean of each matrix column."""
        return (self.mean,)


@dataclass(frozen=True, slots=True)
class OrderedColumn:
    """A label in a declared order, encoded as its place from 0; unknown labels as the mean; one matrix column."""

    name: str
    levels: tuple[str, ...]
    mean: float
    scale: float
    weight: float = 1.0

    kind = Kind.ORDERED
    width = 1

    @property
    def means(self) -> tuple[float, ...]:
        """The mean of each matrix column."""
        return (self.mean,)


@dataclass(frozen=True, slots=True)
class CategoryColumn:
    """A label, encoded as a block of 0/1, one matrix column a level; an unknown label is a block of zeros."""

    name: str
    levels: tuple[str, ...]
    means: tuple[float, ...]
    scale: float
    weight: float = 1.0

    kind = Kind.CATEGORY

    @property
    def width(self) -> int:
        """The number of matrix columns."""
        return len(self.levels)


@dataclass(frozen=True, slots=True)
class SeveralOfColumn:
    """A list of labels, encoded as a block of 0/1, one matrix column an item; unknown items leave no mark."""

    name: str
    levels: tuple[str, ...]
    means: tuple[float, ...]
    scale: float
    weight: float = 1.0

    kind = Kind.SEVERAL_OF

    @property
    def width(self) -> int:
        """The number of matrix columns."""
        return len(self.levels)


Column = NumberColumn | OrderedColumn | CategoryColumn | SeveralOfColumn


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows as numbers, before scaling, and what training had not seen in them."""

    matrix: Floats
    """Shape (rows, width)."""
    unknown: Mapping[int, tuple[str, ...]]
    """Row -> names of its fields with an unknown value; rows without one are absent."""


class _Places(dict[str, float]):
    """Level -> its place, and one place for every level that training had not seen."""

    def __init__(self, places: Iterable[tuple[str, float]], unknown: float) -> None:
        super().__init__(places)
        self.unknown = unknown

    def __missing__(self, level: str) -> float:
        return self.unknown


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where each value goes: worked out once, since a worker encodes some thousand batches a minute."""

    numbers: tuple[str, ...]
    logs: tuple[tuple[int, float], ...]
    lows: Floats
    highs: Floats
    ordered: tuple[tuple[str, _Places], ...]
    ordered_at: list[int]
    ordered_means: Floats
    categories: tuple[tuple[str, _Places], ...]
    several: tuple[tuple[str, _Places], ...]
    unknown_at: int


@dataclass(frozen=True)
class Encoder:
    """The columns of a profile, in its order, with all that training learned of each.

    A column of weight 0 is left out of the matrix; its levels still tell unknown values.
    """

    columns: tuple[Column, ...]

    @cached_property
    def kept(self) -> tuple[Column, ...]:
        """The columns that count in the distance, in matrix order: numbers, ordered, categories, several-of."""
        order = [*Kind]
        kept = [column for column in self.columns if column.weight > 0]
        return tuple(sorted(kept, key=lambda column: order.index(column.kind)))

    @cached_property
    def width(self) -> int:
        """The number of matrix columns."""
        return sum(column.width for column in self.kept)

    @cached_property
    def means(self) -> Floats:
        """Mean of each matrix column in training, shape (width,)."""
        return np.array([*chain.from_iterable(column.means for column in self.kept)], dtype=np.float64)

    @cached_property
    def scales(self) -> Floats:
        """What each matrix column is divided by, its weight included, shape (width,)."""
        return np.repeat(
            [column.scale / column.weight for column in self.kept], [column.width for column in self.kept]
        ).astype(np.float64)

    def scale(self, matrix: Floats) -> Floats:
        """(x − mean) / scale · weight for each column of a raw matrix, so that each kept field weighs the same."""
        scaled: Floats = matrix - self.means
        scaled /= self.scales
        return scaled

    def encode(self, columns: Columns) -> Encoded:
        """The raw matrix of columns of equal length, one value a row.

        Raises KeyError for a missing field, struct.error for a number that is none or for unequal lengths.
        """
        plan = self._plan
        rows = len(columns[self.columns[0].name])
        # Transposed, so that a column is written in one run; with two rows more than the model has columns:
        # the last takes what training had not seen, the one before it what does not count.
        matrix = np.zeros((plan.unknown_at + 1, rows))
        if plan.numbers:
            numbers = _packed("d", rows, (columns[name] for name in plan.numbers))
            for at, unit in plan.logs:
                numbers[at] = np.log1p(numbers[at] / unit)
            np.maximum(numbers, plan.lows, out=numbers)
            np.minimum(numbers, plan.highs, out=matrix[: len(numbers)])
        if plan.ordered:
            places = _packed("d", rows, (map(get.__getitem__, columns[name]) for name, get in plan.ordered))
            missing = np.isnan(places)
            if missing.any():
                places = np.where(missing, plan.ordered_means, places)
                matrix[plan.unknown_at, missing.any(axis=0)] = 1.0
            matrix[plan.ordered_at] = places
        if plan.categories:
            level_at = _packed("q", rows, (map(get.__getitem__, columns[name]) for name, get in plan.categories))
            matrix[level_at, np.arange(rows)] = 1.0
        for name, get in plan.several:
            lists = columns[name]
            (counts,) = _packed("q", rows, [map(len, lists)])
            items = [*chain.from_iterable(lists)]
            (item_at,) = _packed("q", len(items), [map(get.__getitem__, items)])
            matrix[item_at, np.repeat(np.arange(rows), counts)] = 1.0
        unknown = np.flatnonzero(matrix[plan.unknown_at]).tolist()
        return Encoded(matrix[: self.width].T, {row: self._unknown_fields(columns, row) for row in unknown})

    def _unknown_fields(self, columns: Columns, row: int) -> tuple[str, ...]:
        plan = self._plan
        single = {name for name, known in (*plan.ordered, *plan.categories) if columns[name][row] not in known}
        several = {name for name, known in plan.several if any(item not in known for item in columns[name][row])}
        return tuple(column.name for column in self.columns if column.name in single | several)

    @cached_property
    def _plan(self) -> _Plan:
        ignored_at, unknown_at = self.width, self.width + 1
        widths = [column.width for column in self.kept]
        starts = {column.name: sum(widths[:i]) for i, column in enumerate(self.kept)}

        def rows_of(column: CategoryColumn | SeveralOfColumn) -> _Places:
            start = starts.get(column.name)
            return _Places(
                ((level, ignored_at if start is None else start + i) for i, level in enumerate(column.levels)),
                unknown_at,
            )

        numbers = [column for column in self.kept if isinstance(column, NumberColumn)]
        ordered = [column for column in self.columns if isinstance(column, OrderedColumn)]
        return _Plan(
            numbers=tuple(column.name for column in numbers),
            logs=tuple((i, column.log_unit) for i, column in enumerate(numbers) if column.log_unit is not None),
            lows=np.array([[column.low] for column in numbers]),
            highs=np.array([[column.high] for column in numbers]),
            ordered=tuple(
                (column.name, _Places(((level, float(i)) for i, level in enumerate(column.levels)), np.nan))
                for column in ordered
            ),
            ordered_at=[starts.get(column.name, ignored_at) for column in ordered],
            ordered_means=np.array([[column.mean] for column in ordered]),
            categories=tuple(
                (column.name, rows_of(column)) for column in self.columns if isinstance(column, CategoryColumn)
            ),
            several=tuple(
                (column.name, rows_of(column)) for column in self.columns if isinstance(column, SeveralOfColumn)
            ),
            unknown_at=unknown_at,
        )


def _packed(code: str, length: int, columns: Iterable[Iterable[float]]) -> npt.NDArray[Any]:
    """Columns of Python numbers as an array (columns, length); struct packs them three times as fast as numpy.array."""
    packed = [pack(f"{length}{code}", *column) for column in columns]
    array: npt.NDArray[Any] = np.frombuffer(bytearray().join(packed), dtype=code).reshape(len(packed), length)
    return array
