"""scikit-learn behind values of our own: the one module that touches its objects."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import cast

import joblib
import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from models.encoding import Floats

STARTS = 10
MOST_ITERATIONS = 300

Labels = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Clusters:
    """What k-means found: centres (k × width), the nearest one of each row, and the sum of squared distances."""

    centroids: Floats
    labels: Labels
    inertia: float


def one_thread() -> AbstractContextManager[object]:
    """A context in which sums are always made in the same order: with more threads their last digits vary."""
    return cast(AbstractContextManager[object], threadpool_limits(limits=1))


def cluster(scaled: Floats, k: int, seed: int) -> Clusters:
    """The best of ten k-means runs, each from its own k-means++ start."""
    return _clusters(KMeans(n_clusters=k, n_init=STARTS, max_iter=MOST_ITERATIONS, random_state=seed), scaled)


def cluster_from(scaled: Floats, centroids: Floats) -> Clusters:
    """K-means from the given centres (k × width) on."""
    return _clusters(KMeans(n_clusters=len(centroids), init=centroids, n_init=1, max_iter=MOST_ITERATIONS), scaled)


def _clusters(kmeans: KMeans, scaled: Floats) -> Clusters:
    kmeans.fit(scaled)
    return Clusters(kmeans.cluster_centers_, kmeans.labels_.astype(np.intp), float(kmeans.inertia_))


def silhouette(scaled: Floats, labels: Labels) -> float:
    """Mean silhouette of the rows, −1 to 1; its cost grows with the square of their number."""
    return float(silhouette_score(scaled, labels))


def scaler_file(means: Floats, scales: Floats, rows: int) -> bytes:
    """The bytes of scaler.joblib: a StandardScaler whose transform is (x − means) / scales."""
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_, scaler.var_ = means, scales, scales**2
    scaler.n_features_in_, scaler.n_samples_seen_ = len(means), rows
    return _joblib_bytes(scaler)


def kmeans_file(centroids: Floats, labels: Labels, inertia: float) -> bytes:
    """The bytes of kmeans.joblib: a KMeans with these centres in this order, and the labels of training."""
    # Fitted on its own centres, which sets all that predict needs; then told what it was really fitted on.
    kmeans = KMeans(n_clusters=len(centroids), init=centroids, n_init=1).fit(centroids)
    kmeans.cluster_centers_, kmeans.labels_, kmeans.inertia_ = centroids, labels.astype(np.int32), inertia
    return _joblib_bytes(kmeans)


def _joblib_bytes(value: object) -> bytes:
    file = io.BytesIO()
    joblib.dump(value, file)
    return file.getvalue()
