"""scikit-learn behind values of our own: the one module that touches its objects."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar, cast

import joblib
import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler
from threadpoolctl import ThreadpoolController, threadpool_limits

from models.encoding import Floats

# On planted groups, even six uneven ones, five find what ten find; so do three.
STARTS = 5
STARTS_PER_RESAMPLE = 3
MOST_ITERATIONS = 300
# On two cores, 1,000 rows of 9 columns take 1.6 s in one thread and 2.3 s in two, 4,000 rows as long in both, 5,000 of
# 60 columns 7.9 s and 6.2 s.
VALUES_FOR_THREADS = 40_000
# Distances from this many rows to all others are computed at a time, to stay in the processor's cache.
SILHOUETTE_ROWS = 128

Labels = npt.NDArray[np.intp]
Argument = TypeVar("Argument")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Clusters:
    """What k-means found: centres (k × width), the nearest one of each row, and the sum of squared distances."""

    centroids: Floats
    labels: Labels
    inertia: float


def one_thread() -> AbstractContextManager[object]:
    """A context in which sums are always made in the same order: with more threads their last digits vary."""
    return cast(AbstractContextManager[object], threadpool_limits(limits=1))


def on_all_cores(work: Callable[[Argument], Result], arguments: Sequence[Argument], scaled: Floats) -> Iterator[Result]:
    """The results of work on the scaled rows, in order, on all cores; random work must take its seed from its argument.

    In threads: k-means and matrix products release the interpreter's lock, and new processes would spend seconds on
    imports, more than all the work on 1,000 rows takes. On few values threads wait for the lock more than they work, so
    one does it all.
    """
    if scaled.size < VALUES_FOR_THREADS:
        with one_thread():
            yield from map(work, arguments)
        return
    # Created once: searching for the libraries takes longer than a small k-means.
    libraries = ThreadpoolController()

    def in_one_thread(each: Argument) -> Result:
        with libraries.limit(limits=1):  # OpenMP keeps a limit for each thread, and these have none yet
            return work(each)

    yield from joblib.Parallel(n_jobs=-1, backend="threading", return_as="generator")(
        joblib.delayed(in_one_thread)(each) for each in arguments
    )


def cluster(scaled: Floats, k: int, seed: int) -> Clusters:
    """The best of five k-means runs, each from its own k-means++ start; needs at least k different rows."""
    return _clusters(KMeans(n_clusters=k, n_init=STARTS, max_iter=MOST_ITERATIONS, random_state=seed), scaled)


def cluster_drawn(scaled: Floats, times: npt.NDArray[np.intp], k: int, seed: int) -> Labels:
    """The cluster of each row weighted by how often it was drawn; k-means from fresh starts."""
    kmeans = KMeans(n_clusters=k, n_init=STARTS_PER_RESAMPLE, max_iter=MOST_ITERATIONS, random_state=seed)
    kmeans.fit(scaled, sample_weight=times.astype(np.float64))
    labels: Labels = kmeans.labels_.astype(np.intp)
    return labels


def cluster_from(scaled: Floats, centroids: Floats) -> Clusters:
    """K-means that starts from the given centres (k × width)."""
    return _clusters(KMeans(n_clusters=len(centroids), init=centroids, n_init=1, max_iter=MOST_ITERATIONS), scaled)


def _clusters(kmeans: KMeans, scaled: Floats) -> Clusters:
    kmeans.fit(scaled)
    return Clusters(kmeans.cluster_centers_, kmeans.labels_.astype(np.intp), float(kmeans.inertia_))


def silhouettes(scaled: Floats, labelings: Sequence[Labels]) -> tuple[float, ...]:
    """Mean silhouette of the rows, −1 to 1, under each of these labelings; 0 where one cluster holds all rows.

    A row's is (b − a) / max(a, b): a is its mean distance to the other rows of its cluster, b to those of the nearest
    other cluster; 0 for a row that is alone (Rousseeuw 1987). The distances are worked out once for all labelings;
    their cost grows with the square of the rows.
    """
    rows = len(scaled)
    sizes = [np.bincount(labels).astype(np.float64) for labels in labelings]
    one_hot = np.zeros((rows, sum(map(len, sizes))))
    starts = np.cumsum([0, *map(len, sizes)])
    for labels, start in zip(labelings, starts[:-1], strict=True):
        one_hot[np.arange(rows), start + labels] = 1.0
    squares = (scaled**2).sum(axis=1)
    totals = np.zeros(len(labelings))
    for first in range(0, rows, SILHOUETTE_ROWS):
        chunk = slice(first, first + SILHOUETTE_ROWS)
        distances = squares[chunk, None] + squares - 2 * (scaled[chunk] @ scaled.T)
        np.sqrt(np.maximum(distances, 0.0, out=distances), out=distances)
        sums = distances @ one_hot
        for i, labels in enumerate(labelings):
            totals[i] += _silhouette_sum(sums[:, starts[i] : starts[i + 1]], labels[chunk], sizes[i])
    return tuple((totals / rows).tolist())


def _silhouette_sum(sums: Floats, labels: Labels, sizes: Floats) -> float:
    """Of the rows with these labels, from the sums of their distances to each cluster, shape (rows, clusters)."""
    own = (np.arange(len(labels)), labels)
    others = sizes[labels] - 1
    inner = sums[own] / np.maximum(others, 1)
    means = np.where(sizes > 0, sums / np.maximum(sizes, 1), np.inf)
    means[own] = np.inf
    nearest = means.min(axis=1)
    far = np.maximum(inner, nearest)
    defined = (others > 0) & np.isfinite(nearest) & (far > 0)
    return float(((nearest[defined] - inner[defined]) / far[defined]).sum())


def scaler_file(means: Floats, scales: Floats, rows: int) -> bytes:
    """The bytes of scaler.joblib: a StandardScaler whose transform is (x − means) / scales."""
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_, scaler.var_ = means, scales, scales**2
    scaler.n_features_in_, scaler.n_samples_seen_ = len(means), rows
    return _joblib_bytes(scaler)


def kmeans_file(centroids: Floats, numbers: Sequence[int], inertia: float) -> bytes:
    """The bytes of kmeans.joblib: a KMeans with these centres, and as segment_numbers_ the stable number of each.

    It has no labels_: those of training are in segmented_users.csv, and would make the file as large as the history.
    """
    # Fitted on its own centres, which sets all that predict needs.
    with one_thread():  # it records the number of threads
        kmeans = KMeans(n_clusters=len(centroids), init=centroids, n_init=1).fit(centroids)
    del kmeans.labels_
    kmeans.cluster_centers_, kmeans.inertia_ = centroids, inertia
    kmeans.segment_numbers_ = np.array(numbers)
    return _joblib_bytes(kmeans)


def _joblib_bytes(value: object) -> bytes:
    file = io.BytesIO()
    joblib.dump(value, file)
    return file.getvalue()
