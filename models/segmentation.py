"""A fitted segmentation as a value: the segment of each user, and how certain the assignment is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from pydantic import FiniteFloat, TypeAdapter, ValidationError

from models.encoding import (
    BooleanColumn,
    CategoryColumn,
    Column,
    Columns,
    Encoder,
    Floats,
    NumberColumn,
    OrderedColumn,
    Rows,
    SeveralOfColumn,
    UnknownCategory,
)
from models.errors import ModelFormatError, require_format
from models.limits import MODEL_MAX_COLUMNS, NUMBERS_END

MODEL_FORMAT = 2
# What the formats that are read differ in.
FORMATS = {1: UnknownCategory.ZEROS, MODEL_FORMAT: UnknownCategory.MEANS}


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: its stable number, its name and its position in scaled space.

    Numbers are finite in model.json, but may be infinite while a model is being fitted.
    """

    number: int
    name: str
    centroid: tuple[FiniteFloat, ...]
    median_distance: FiniteFloat
    """Of the reach of its users in training."""
    outlier_distance: FiniteFloat
    """Users with a greater reach are outliers."""


@dataclass(frozen=True, slots=True)
class Assignments:
    """The segments of some users, one entry per row in every array."""

    segment: npt.NDArray[np.intp]
    """Stable number of the nearest segment, shape (rows,)."""
    distance: Floats
    """Euclidean distance to its centroid in scaled space, shape (rows,)."""
    margin: Floats
    """1 − d₁/d₂, shape (rows,): 0 on the border to the second nearest segment, 1 at the centre or with one segment."""
    reach: Floats
    """The distance in the columns that are observed, scaled up to all columns, shape (rows,); equal if all are."""
    outlier: npt.NDArray[np.bool_]
    """Whether the reach is greater than that of 99.5 % of the segment's users in training, or a number out of range."""
    unknown: Mapping[int, tuple[str, ...]]
    """Row -> fields whose value training had not seen; rows without one are absent."""
    missing: Mapping[str, Rows]
    """Field -> the rows in which it has no value; fields that always have one are absent."""
    out_of_range: Mapping[str, Rows]
    """Field -> the rows in which its number is far outside what training saw; only fields with such rows."""


@dataclass(frozen=True)
class Segmentation:
    """Everything that turns a profile into a segment."""

    encoder: Encoder
    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        """Raise ModelFormatError when the parts are inconsistent."""
        _check(self)

    @property
    def k(self) -> int:
        """The number of segments."""
        return len(self.segments)

    @cached_property
    def names(self) -> Mapping[int, str]:
        """Stable number -> name."""
        return {segment.number: segment.name for segment in self.segments}

    def assign(self, columns: Columns) -> Assignments:
        """The nearest segment of each row, by Euclidean distance in scaled space, as scikit-learn's KMeans.predict.

        Takes columns of equal length under the profile's field names. A value that is missing (None) or that training
        had not seen is not an error: it counts as the mean and is listed. Raises KeyError for a field without a column.
        """
        encoded = self.encoder.encode(columns)
        scaled = self.encoder.scale(encoded.matrix)
        # |x − c|² = |c|² − 2 c·x + |x|²; rounding can take it below zero at the centre.
        squared = self._minus_two_centroids @ scaled.T
        squared += self._squared_centroids
        squared += np.vecdot(scaled, scaled)
        np.maximum(squared, 0.0, out=squared)
        nearest = squared.argmin(axis=0)
        distance = np.sqrt(np.minimum.reduce(squared, axis=0))
        squared[nearest, np.arange(len(nearest))] = np.inf
        # Never zero, since no two centroids are equal; infinite if there is one segment, so the margin is 1.
        second = np.sqrt(np.minimum.reduce(squared, axis=0))
        reach = self._reach(distance, nearest, encoded.missing) if encoded.missing else distance
        outlier = reach > self._outlier_distances[nearest]
        for rows in encoded.out_of_range.values():
            outlier[rows] = True
        return Assignments(
            segment=self._numbers[nearest],
            distance=distance,
            margin=1.0 - distance / second,
            reach=reach,
            outlier=outlier,
            unknown=encoded.unknown,
            missing=encoded.missing,
            out_of_range=encoded.out_of_range,
        )

    def _reach(self, distance: Floats, nearest: npt.NDArray[np.intp], missing: Mapping[str, Rows]) -> Floats:
        """Per user, the distance that counts for outliers: a missing value counts as the mean, so it adds none."""
        squared = np.square(distance)
        observed = np.full(len(distance), float(len(self.encoder.kept)))
        for column, block in self.encoder.blocks:
            if column.name in missing:
                rows = missing[column.name]
                squared[rows] -= np.square(self.centroids[nearest[rows], block]).sum(axis=1)
                observed[rows] -= 1
        share = np.maximum(observed, 1) / len(self.encoder.kept)
        reach: Floats = np.sqrt(np.maximum(squared, 0.0) / share)
        return np.where(observed < len(self.encoder.kept), reach, distance)

    @cached_property
    def centroids(self) -> Floats:
        """Centroids in scaled space, shape (k, width)."""
        return np.array([segment.centroid for segment in self.segments], dtype=np.float64)

    @cached_property
    def _minus_two_centroids(self) -> Floats:
        return -2.0 * self.centroids

    @cached_property
    def _squared_centroids(self) -> Floats:
        squared: Floats = np.square(self.centroids).sum(axis=1, keepdims=True)
        return squared

    @cached_property
    def _outlier_distances(self) -> Floats:
        return np.array([segment.outlier_distance for segment in self.segments])

    @cached_property
    def _numbers(self) -> npt.NDArray[np.intp]:
        return np.array([segment.number for segment in self.segments], dtype=np.intp)

    def to_json(self) -> bytes:
        """The bytes of model.json: parameters only, every float exact, equal values give equal bytes.

        A model that was read in an older format is written in that format.
        """
        (model_format,) = (each for each, unknown in FORMATS.items() if unknown is self.encoder.unknown_category)
        document = {
            "format": model_format,
            "columns": [{"kind": column.kind, **asdict(column)} for column in self.encoder.columns],
            "segments": [asdict(segment) for segment in self.segments],
        }
        return (json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> Segmentation:
        """The segmentation that wrote these bytes.

        Raises ModelFormatError when they are not a model, are of another format, or are inconsistent.
        """
        try:
            # orjson refuses what json accepts (NaN, infinite numbers) and what json crashes on (depth).
            document = orjson.loads(content)
            if document["format"] not in FORMATS:
                require_format("model.json", document["format"], MODEL_FORMAT)
            unknown_category = FORMATS[document["format"]]
            columns = tuple(_column(entry) for entry in document["columns"])
            segments = _SEGMENTS.validate_python(document["segments"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{error.error_count()} invalid values" if isinstance(error, ValidationError) else repr(error)
            raise ModelFormatError(f"model.json is not a model: {reason:.200}") from error
        return cls(Encoder(columns, unknown_category), segments)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of model.json, 64 hexadecimal digits."""
        return hashlib.sha256(self.to_json()).hexdigest()


_COLUMNS: Mapping[str, TypeAdapter[Column]] = {
    str(column_class.kind): TypeAdapter(column_class)
    for column_class in (NumberColumn, BooleanColumn, OrderedColumn, CategoryColumn, SeveralOfColumn)
}
_SEGMENTS = TypeAdapter(tuple[Segment, ...])


def _column(entry: dict[str, Any]) -> Column:
    values = dict(entry)
    return _COLUMNS[values.pop("kind")].validate_python(values)


def _check(segmentation: Segmentation) -> None:
    if problems := [*_inconsistencies(segmentation), *_wrong_figures(segmentation)]:
        raise ModelFormatError(f"the model is inconsistent: {'; '.join(problems)}")


def _inconsistencies(segmentation: Segmentation) -> Iterator[str]:
    width = segmentation.encoder.width
    if not segmentation.segments:
        yield "it has no segments"
    if width > MODEL_MAX_COLUMNS:
        yield f"it has {width:,} matrix columns, at most {MODEL_MAX_COLUMNS:,} are read"
    if width == 0:
        yield "no column counts in the distance"
    if any(len(segment.centroid) != width for segment in segmentation.segments):
        yield f"a centroid does not have {width} coordinates, one per matrix column"
    if any(len(column.means) != column.width for column in segmentation.encoder.columns):
        yield "a column does not have one mean per matrix column"
    if len({segment.centroid for segment in segmentation.segments}) != segmentation.k:
        yield "two segments have the same centroid"
    if len(segmentation.names) != segmentation.k:
        yield "two segments have the same number"


def _wrong_figures(segmentation: Segmentation) -> Iterator[str]:
    if any(not 0 <= number < NUMBERS_END for number in segmentation.names):
        yield f"a segment's number is not from 0 to {NUMBERS_END - 1:,}"
    if any(not column.scale > 0 or not np.isfinite(column.scale) for column in segmentation.encoder.kept):
        yield "a column's scale is not a positive number"
    numbers = (column for column in segmentation.encoder.columns if isinstance(column, NumberColumn))
    if any(column.log_unit is not None and not column.log_unit > 0 for column in numbers):
        yield "a column's log_unit is not a positive number"
