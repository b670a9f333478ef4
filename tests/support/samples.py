"""Samples for tests that need no file: columns as values, an encoder in which every field weighs the same."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.encoding import BooleanColumn, CategoryColumn, Column, Encoder, NumberColumn, OrderedColumn, SeveralOfColumn
from schemas.roles import Kind, ProfileField
from trainer.explaining.division import Division
from trainer.fitting.sample import Sample
from trainer.fitting.scikit import Labels, cluster, cluster_from, one_thread
from trainer.judging.stability import Resample

RESAMPLES = 50


def sample_of(
    columns: Mapping[str, Sequence[Any]], fields: Sequence[ProfileField], left_out: Sequence[str] = ()
) -> Sample:
    """The users in these columns, under event names; the fields left out have weight 0."""
    ordered = tuple(field for field in fields if field.name in columns)
    table = pd.DataFrame({field.name: _series(columns[field.name], field) for field in ordered})
    encoders = tuple(
        _encoder(columns[field.name], field, weight=0.0 if field.name in left_out else 1.0) for field in ordered
    )
    return Sample(table, ordered, Encoder(encoders))


def _series(values: Sequence[Any], field: ProfileField) -> pd.Series:
    if field.kind.is_numeric:
        return pd.Series([*values], dtype=np.float64)
    if field.kind is Kind.SEVERAL_OF:
        return pd.Series([*values], dtype=object)
    return pd.Series([*values], dtype="category")


def _encoder(values: Sequence[Any], field: ProfileField, weight: float) -> Column:
    if field.kind is Kind.NUMBER:
        numbers = np.array([value for value in values if value is not None], dtype=np.float64)
        return NumberColumn(
            field.name, None, numbers.min(), numbers.max(), numbers.mean(), float(numbers.std()) or 1.0, weight
        )
    if field.kind is Kind.BOOLEAN:
        share = float(np.mean(values))
        return BooleanColumn(field.name, share, float(np.sqrt(share * (1 - share))) or 1.0, weight)
    if field.kind is Kind.ORDERED:
        places = np.array([field.levels.index(label) for label in values if label in field.levels], dtype=np.float64)
        return OrderedColumn(field.name, field.levels, places.mean(), float(places.std()) or 1.0, weight)
    lists = values if field.kind is Kind.SEVERAL_OF else [(label,) for label in values]
    levels = tuple(sorted({item for items in lists for item in items}))
    marks = np.array([[level in items for level in levels] for items in lists], dtype=np.float64)
    kind = SeveralOfColumn if field.kind is Kind.SEVERAL_OF else CategoryColumn
    spread = float(np.sqrt(marks.var(axis=0).sum())) or 1.0
    return kind(field.name, levels, tuple(marks.mean(axis=0).tolist()), spread, weight)


def divided(sample: Sample, k: int, seed: int = 0) -> Division:
    """The sample in k segments by k-means, clustered again in resamples; numbers are cluster indices."""
    generator = np.random.default_rng(seed)
    resamples = []
    with one_thread():
        found = cluster(sample.scaled, k, seed)
        for _ in range(RESAMPLES):
            rows = generator.integers(0, len(found.labels), len(found.labels))
            # Started at the solution's own centres, each cluster is the match of the one that it started at.
            resamples.append(Resample(rows, cluster_from(sample.scaled[rows], found.centroids).labels))
    return Division(sample, found.labels, tuple(resamples), tuple(range(k)), _sizes(found.labels, k))


def as_given(sample: Sample, labels: npt.NDArray[np.intp], seed: int = 0) -> Division:
    """The sample with labels that somebody gave: in resamples each user keeps theirs."""
    k = int(labels.max()) + 1
    generator = np.random.default_rng(seed)
    drawn = [generator.integers(0, len(labels), len(labels)) for _ in range(RESAMPLES)]
    resamples = tuple(Resample(rows, labels[rows]) for rows in drawn)
    return Division(sample, labels, resamples, tuple(range(k)), _sizes(labels, k))


def _sizes(labels: Labels, k: int) -> tuple[int, ...]:
    return tuple(np.bincount(labels, minlength=k).tolist())
