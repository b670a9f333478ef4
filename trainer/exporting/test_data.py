"""Synthetic rows to test an export on, with every kind of value that a column may hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.encoding import BooleanColumn, Column, Columns, Floats, NumberColumn, OrderedColumn, SeveralOfColumn
from models.segmentation import Segmentation
from trainer.fitting.golden import MOST_ITEMS, UNSEEN

ROWS_ANYWHERE = 3_000
ROWS_NEAR_EACH = 100
# Shares of the range seen in training, and of a column's standard deviation.
BEYOND = 0.2
AROUND = 0.3
ODD_SHARE = 0.05
ODD_NUMBERS = (0.0, -0.0, -1.0, 1e-300, 1e12, -1e12, np.nan)


def synthetic_rows(segmentation: Segmentation, seed: int) -> Columns:
    """3,000 rows from the whole range and 100 around each centroid, so that every segment occurs; one column per field.

    Each level of each field occurs. 5 % of all values are odd: a number far outside, an unknown label, a list that is
    empty or has an item twice, nothing at all.
    """
    generator = np.random.default_rng(seed)
    encoder = segmentation.encoder
    near = np.repeat(segmentation.centroids * encoder.scales + encoder.means, ROWS_NEAR_EACH, axis=0)
    starts = dict(zip(encoder.kept, np.cumsum([0, *(column.width for column in encoder.kept)]).tolist(), strict=False))
    columns: dict[str, Sequence[Any]] = {}
    for column in encoder.columns:
        start = starts.get(column)
        # Centroids have no coordinates for columns that do not count.
        block = None if start is None else near[:, start : start + column.width]
        columns[column.name] = _values(column, block, len(near), generator)
    return columns


def _values(column: Column, near: Floats | None, rows_near: int, generator: np.random.Generator) -> Sequence[Any]:
    if isinstance(column, NumberColumn):
        return _numbers(column, np.zeros(rows_near) if near is None else near.ravel(), generator)
    if isinstance(column, BooleanColumn):
        return [*generator.choice([False, True], ROWS_ANYWHERE).tolist(), *_likely_true(near, rows_near)]
    if isinstance(column, SeveralOfColumn):
        return _lists(column.levels, [[]] * rows_near if near is None else _likely(column.levels, near), generator)
    if isinstance(column, OrderedColumn):
        ranks = np.zeros(rows_near) if near is None else np.clip(np.rint(near.ravel()), 0, len(column.levels) - 1)
        return _labels(column.levels, ranks.astype(np.intp).tolist(), generator)
    return _labels(column.levels, [0] * rows_near if near is None else near.argmax(axis=1).tolist(), generator)


def _numbers(column: NumberColumn, near: Floats, generator: np.random.Generator) -> Sequence[float | None]:
    span = column.high - column.low
    anywhere = generator.uniform(column.low - BEYOND * span, column.high + BEYOND * span, ROWS_ANYWHERE)
    encoded = np.concatenate([anywhere, near + generator.normal(0, AROUND * column.scale, len(near))])
    values = encoded if column.log_unit is None else np.expm1(encoded) * column.log_unit
    odd = generator.random(len(values)) < ODD_SHARE
    values[odd] = generator.choice(ODD_NUMBERS, odd.sum())
    return [None if np.isnan(value) else float(value) for value in values]


def _labels(levels: Sequence[str], near: Sequence[int], generator: np.random.Generator) -> Sequence[str | None]:
    indices = [*_each_in_turn(len(levels), generator), *near]
    odd = generator.random(len(indices)) < ODD_SHARE
    odd[: len(levels)] = False
    return [
        (UNSEEN if generator.random() < 0.5 else None) if is_odd else levels[index]
        for index, is_odd in zip(indices, odd, strict=True)
    ]


def _lists(
    levels: Sequence[str], near: Sequence[Sequence[str]], generator: np.random.Generator
) -> Sequence[Sequence[str]]:
    if not levels:  # no user in training had an item
        return [[UNSEEN] if odd else [] for odd in generator.random(ROWS_ANYWHERE + len(near)) < ODD_SHARE]
    lists: list[list[str]] = []
    for first in _each_in_turn(len(levels), generator):
        others = generator.integers(0, len(levels), generator.integers(0, MOST_ITEMS))
        lists.append([levels[index] for index in (first, *others)])
    lists += map(list, near)
    for row in np.flatnonzero(generator.random(len(lists)) < ODD_SHARE):
        lists[row] = [[], [*lists[row], UNSEEN], [*lists[row], *lists[row]], [UNSEEN]][generator.integers(0, 4)]
    return [[], [*levels], *lists[2:]]


def _likely_true(near: Floats | None, rows: int) -> Sequence[bool]:
    likely: list[bool] = [False] * rows if near is None else (near.ravel() > 0.5).tolist()
    return likely


def _likely(levels: Sequence[str], near: Floats) -> Sequence[Sequence[str]]:
    return [[level for level, share in zip(levels, shares, strict=True) if share > 0.5] for shares in near]


def _each_in_turn(count: int, generator: np.random.Generator) -> Sequence[int]:
    return [*map(int, np.concatenate([np.arange(count), generator.integers(0, count, ROWS_ANYWHERE - count)]))]
