"""K-means on all users, chunk by chunk: from the sample's centres to those of the whole history."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from models.encoding import Encoder, Floats
from trainer.errors import FitRefused
from trainer.fitting.encoders import counting
from trainer.history.history import History
from trainer.history.tempfiles import close, room_needed, scratch_file

MOST_ITERATIONS = 300
# scikit-learn's: the centres stand still when they move by less than this share of the columns' mean variance.
TOLERANCE = 1e-4

Coordinates = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ScaledUsers:
    """All users of a history in the space of the distance, as float32 in a temporary file."""

    file: BinaryIO
    chunk_rows: tuple[int, ...]
    width: int
    mean_variance: float
    """Of the coordinates."""

    def chunks(self) -> Iterator[Coordinates]:
        """Every chunk, shape (rows, width)."""
        self.file.seek(0)
        for rows in self.chunk_rows:
            content = self.file.read(rows * self.width * np.dtype(np.float32).itemsize)
            yield np.frombuffer(content, dtype=np.float32).reshape(rows, self.width)


@contextmanager
def scaled_users(history: History, encoder: Encoder, on_progress: Callable[[int, int], None]) -> Iterator[ScaledUsers]:
    """All users, encoded and scaled, 4 bytes per coordinate; on_progress is called with the users done, of how many.

    Raises ScratchError when the disk is full.
    """
    # The same matrix, from only the columns that count.
    fewer = counting(encoder)
    done = 0
    sums, squares = [], []
    file = scratch_file()
    try:
        for chunk in history.chunks([column.name for column in fewer.columns]):
            scaled = fewer.scale(fewer.encode(chunk.columns).matrix)
            sums.append(scaled.sum(axis=0))
            squares.append(np.square(scaled).sum(axis=0))
            with room_needed():
                file.write(np.ascontiguousarray(scaled, dtype=np.float32).data)
                file.flush()
            done += len(scaled)
            on_progress(done, history.rows)
        means, mean_squares = (np.array([*map(math.fsum, zip(*each, strict=True))]) / done for each in (sums, squares))
        variance = float((mean_squares - np.square(means)).mean())
        yield ScaledUsers(file, history.copy.chunk_rows, encoder.width, variance)
    finally:
        close(file)


@dataclass(frozen=True, slots=True)
class Refined:
    """Centres (k × width) and how many users were nearest to each when they last moved."""

    centroids: Floats
    users: Counts


def refined(scaled: ScaledUsers, centroids: Floats) -> Refined:
    """Lloyd's k-means on every user, starting from the given centres (k × width).

    Sums are float64, made in the order of the file, so that the result depends on neither memory nor cores. Ends as
    scikit-learn's does: when the squared movement of all centres is at most 0.0001 times the mean variance of a
    coordinate, or after 300 iterations. Raises FitRefused when a centre is left without users.
    """
    users: Counts = np.zeros(len(centroids), dtype=np.int64)
    for _ in range(MOST_ITERATIONS):
        sums, users = _sums(scaled.chunks(), centroids)
        if not users.all():
            raise FitRefused(f"{len(centroids)} segments leave one without users: give a smaller --k")
        before, centroids = centroids, sums / users[:, None]
        if np.square(centroids - before).sum() <= TOLERANCE * scaled.mean_variance:
            break
    return Refined(centroids, users)


def unrefined(scaled: ScaledUsers, centroids: Floats) -> Refined:
    """The given centres as they are."""
    return Refined(centroids, _sums(scaled.chunks(), centroids)[1])


def _sums(chunks: Iterator[Coordinates], centroids: Floats) -> tuple[Floats, Counts]:
    """The sum of the coordinates (k × width), and the number, of the users nearest to each centre."""
    k, width = centroids.shape
    minus_two = (-2.0 * centroids).astype(np.float32)
    squared = np.square(centroids).sum(axis=1, keepdims=True).astype(np.float32)
    sums, users = np.zeros((k, width)), np.zeros(k, dtype=np.int64)
    for chunk in chunks:
        # |x − c|² without |x|², which is the same for every centre.
        nearest = (minus_two @ chunk.T + squared).argmin(axis=0)
        users += np.bincount(nearest, minlength=k)
        for column in range(width):
            sums[:, column] += np.bincount(nearest, weights=chunk[:, column], minlength=k)
    return sums, users
