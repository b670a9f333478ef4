"""Every user of a history in a segment, and how far from its centre a user may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from models.encoding import Floats
from models.segmentation import Assignments, Segmentation
from trainer.errors import FitRefused
from trainer.fitting.encoders import counting
from trainer.history.history import History
from trainer.history.sampling import draw
from trainer.history.tempfiles import room_needed

OUTLIER_QUANTILE = 0.995
# Below it, a segment's own 99.5 % quantile rests on fewer than five users.
USERS_FOR_OWN_QUANTILE = 1_000
# Distances of equal users differ in the last digits, the more so as centres are means of float32; such differences
# must not make an outlier.
LEAST_OUTLIER_DISTANCE = 1e-5
# Quantiles are computed from at most this many distances, sampled if there are more.
QUANTILE_USERS = 1_000_000

Records = npt.NDArray[np.void]
_RECORD = np.dtype(
    [("index", np.uint32), ("distance", np.float64), ("margin", np.float64), ("reach", np.float64), ("far", np.bool_)]
)


@dataclass(frozen=True)
class AssignedUsers:
    """The segment of each user of a history, in its order; on disk as long as the history is open."""

    file: BinaryIO
    numbers: tuple[int, ...]
    """Stable number of each segment, as they stand in the file."""
    limits: Floats
    """The reach beyond which a user is an outlier, of each of them."""
    users: npt.NDArray[np.int64]
    """Shape (chunks, segments): how many users of each chunk are in each of them."""
    inertia: float
    """Sum of squared distances of the users to the centres of their segments."""

    @property
    def sizes(self) -> Mapping[int, int]:
        """Stable number of each segment -> users of the history."""
        return dict(zip(self.numbers, self.users.sum(axis=0).tolist(), strict=True))

    def indices(self) -> Iterator[npt.NDArray[np.uint32]]:
        """Every chunk of the history, each user's index in `numbers`."""
        for records in self._chunks():
            yield records["index"]

    def outliers(self) -> Mapping[int, int]:
        """Stable number of each segment -> its users that are outliers."""
        counts = np.zeros(len(self.numbers), dtype=np.int64)
        for records in self._chunks():
            counts += np.bincount(records["index"][self._are_outliers(records)], minlength=len(counts))
        return dict(zip(self.numbers, counts.tolist(), strict=True))

    def chunks(self) -> Iterator[Assignments]:
        """Every chunk of the history, as Segmentation.assign returns it, but without a word about single values."""
        numbers = np.array(self.numbers, dtype=np.intp)
        for records in self._chunks():
            yield Assignments(
                numbers[records["index"]],
                records["distance"],
                records["margin"],
                records["reach"],
                self._are_outliers(records),
                unknown={},
                missing={},
                out_of_range={},
            )

    def renumbered(self, numbers: Mapping[int, int]) -> AssignedUsers:
        """The same users, their segments under other numbers."""
        return replace(self, numbers=tuple(numbers[number] for number in self.numbers))

    def _are_outliers(self, records: Records) -> npt.NDArray[np.bool_]:
        are: npt.NDArray[np.bool_] = (records["reach"] > self.limits[records["index"]]) | records["far"]
        return are

    def _chunks(self) -> Iterator[Records]:
        return _records(self.file, self.users)


def assign_users(
    history: History, segmentation: Segmentation, seed: int, on_progress: Callable[[int, int], None]
) -> tuple[Segmentation, AssignedUsers]:
    """Each user in the nearest segment, and the segmentation with the reach beyond which a user is an outlier.

    A segment of 1,000 users or more has its own quantile; a smaller one the quantile of reach ÷ median over all users,
    times its median. Both are exact up to 1,000,000 users (of the segment; of the history), and beyond that come
    from a seeded sample of as many: the 99.5 % quantile's rank is then within ±0.018 % with a probability of 99 %
    (binomial). on_progress is called with the rows done, of how many. Raises FitRefused when a segment has no users,
    ScratchError when the disk is full.
    """
    file = history.scratch_file()
    users, inertia = _write(file, history, segmentation, on_progress)
    if not users.sum(axis=0).all():
        raise FitRefused(f"{segmentation.k} segments leave one without users: give a smaller --k")
    medians, quantiles = np.zeros(segmentation.k), np.zeros(segmentation.k)
    for index in range(segmentation.k):  # one at a time, to bound the memory
        reaches = _reaches(file, users, index, seed)
        medians[index] = np.median(reaches)
        quantiles[index] = np.quantile(reaches, OUTLIER_QUANTILE)
    small = users.sum(axis=0) < USERS_FOR_OWN_QUANTILE
    if small.any():
        quantiles[small] = _pooled_ratio(file, users, medians, seed) * medians[small]
    limits = np.maximum(quantiles, LEAST_OUTLIER_DISTANCE)
    segments = tuple(
        replace(segment, median_distance=median, outlier_distance=limit)
        for segment, median, limit in zip(segmentation.segments, medians.tolist(), limits.tolist(), strict=True)
    )
    numbers = tuple(segment.number for segment in segments)
    return replace(segmentation, segments=segments), AssignedUsers(file, numbers, limits, users, inertia)


def _write(
    file: BinaryIO, history: History, segmentation: Segmentation, on_progress: Callable[[int, int], None]
) -> tuple[npt.NDArray[np.int64], float]:
    """Write where each user belongs; users by chunk and segment, and the sum of squared distances."""
    # The same matrix, from only the columns that count.
    fewer = replace(segmentation, encoder=counting(segmentation.encoder))
    index_of = {segment.number: index for index, segment in enumerate(segmentation.segments)}
    by_number = np.zeros(max(index_of) + 1, dtype=np.uint32)
    by_number[[*index_of]] = [*index_of.values()]
    users, inertias = [], []
    done = 0
    for chunk in history.chunks([column.name for column in fewer.encoder.columns]):
        found = fewer.assign(chunk.columns)
        records = np.empty(len(chunk.users), dtype=_RECORD)
        records["index"] = by_number[found.segment]
        records["distance"], records["margin"], records["reach"] = found.distance, found.margin, found.reach
        # Without limits yet, only numbers out of range make an outlier.
        records["far"] = found.outlier
        with room_needed():
            file.write(records.data)
            file.flush()
        users.append(np.bincount(records["index"], minlength=segmentation.k))
        inertias.append(float(np.square(found.distance).sum()))
        done += len(records)
        on_progress(done, history.rows)
    return np.array(users), math.fsum(inertias)


def _records(file: BinaryIO, users: npt.NDArray[np.int64]) -> Iterator[Records]:
    start = 0
    for rows in users.sum(axis=1).tolist():
        file.seek(start * _RECORD.itemsize)
        yield np.frombuffer(file.read(rows * _RECORD.itemsize), dtype=_RECORD)
        start += rows


def _reaches(file: BinaryIO, users: npt.NDArray[np.int64], index: int, seed: int) -> Floats:
    """How far the users of one segment reach, or a sample of them."""
    drawn = draw(users[:, index].tolist(), QUANTILE_USERS, seed)
    found = [
        records["reach"][records["index"] == index][at]
        for records, at in zip(_records(file, users), drawn, strict=True)
    ]
    return np.concatenate(found)


def _pooled_ratio(file: BinaryIO, users: npt.NDArray[np.int64], medians: Floats, seed: int) -> float:
    """The quantile of reach ÷ median over all segments; 0 where every median is."""
    ratios = []
    for records, at in zip(_records(file, users), draw(users.sum(axis=1).tolist(), QUANTILE_USERS, seed), strict=True):
        median = medians[records["index"][at]]
        ratios.append(records["reach"][at][median > 0] / median[median > 0])
    pooled = np.concatenate(ratios)
    return float(np.quantile(pooled, OUTLIER_QUANTILE)) if pooled.size else 0.0
