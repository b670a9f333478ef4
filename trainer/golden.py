"""Golden rows: profiles that nobody has, kept with a model to prove that it still does what it did."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.encoding import Floats, NumberColumn, SeveralOfColumn
from models.golden import Golden
from models.segmentation import Segmentation
from trainer.history import History

ROWS_DRAWN = 128
ROWS_KEPT = 32
# A row nearer to a border may fall on its other side on another type of processor.
LEAST_MARGIN = 0.001
MOST_ITEMS = 3
UNSEEN = "a label that training did not see"


def golden_rows(history: History, segmentation: Segmentation, seed: int) -> Golden:
    """Up to 32 synthetic rows with their segments: each column is drawn by itself, so that no row is a user.

    Numbers are drawn between the quantiles of the history, labels from its levels; the last row has labels that
    training did not see.
    """
    generator = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {}
    for field, column in zip(history.fields, segmentation.encoder.columns, strict=True):
        if isinstance(column, NumberColumn):
            columns[field.name] = _numbers(history.table[field.name].to_numpy(dtype=np.float64), generator)
        elif isinstance(column, SeveralOfColumn):
            columns[field.name] = [*_items(column.levels, generator), [UNSEEN]]
        else:
            columns[field.name] = [*generator.choice(column.levels, ROWS_DRAWN - 1).tolist(), UNSEEN]
    found = segmentation.assign(columns)
    clear = np.flatnonzero(found.margin >= LEAST_MARGIN)[-ROWS_KEPT:]
    return Golden(
        columns={name: tuple(values[i] for i in clear) for name, values in columns.items()},
        segments=tuple(found.segment[clear].tolist()),
    )


def _numbers(values: Floats, generator: np.random.Generator) -> list[float]:
    drawn = np.quantile(values, generator.random(ROWS_DRAWN))
    whole = bool((values == np.rint(values)).all())
    return [*map(float, np.rint(drawn) if whole else drawn)]


def _items(levels: tuple[str, ...], generator: np.random.Generator) -> list[list[str]]:
    most = min(MOST_ITEMS, len(levels))
    counts = generator.integers(0, most + 1, ROWS_DRAWN - 1)
    return [generator.choice(levels, count, replace=False).tolist() if count else [] for count in counts]
