"""Golden rows: synthetic profiles, stored with a model to check that it still assigns them the same segments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from models.encoding import BooleanColumn, Floats, NumberColumn, SeveralOfColumn
from models.golden import Golden
from models.segmentation import Segmentation

ROWS_DRAWN = 128
ROWS_KEPT = 32
# A row nearer to a border may fall on its other side on another type of processor.
LEAST_MARGIN = 0.001
MOST_ITEMS = 3
UNSEEN = "a label that training did not see"


def golden_rows(users: pd.DataFrame, segmentation: Segmentation, seed: int) -> Golden:
    """Up to 32 synthetic rows with their segments: each column is drawn independently, so that no row is a real user.

    Takes a sample of the history, one column per field. Numbers are drawn between its quantiles, labels from the levels
    of the model; the last row has labels that training did not see. As many values are missing as in the sample.
    """
    generator = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {}
    for column in segmentation.encoder.columns:
        if isinstance(column, NumberColumn):
            columns[column.name] = _numbers(users[column.name].dropna().to_numpy(dtype=np.float64), generator)
        elif isinstance(column, BooleanColumn):
            columns[column.name] = (generator.random(ROWS_DRAWN) < column.mean).tolist()
        elif isinstance(column, SeveralOfColumn):
            columns[column.name] = [*_items(column.levels, generator), [UNSEEN]]
        else:
            columns[column.name] = [*generator.choice(column.levels, ROWS_DRAWN - 1).tolist(), UNSEEN]
        missing_share = users[column.name].isna().mean()
        if missing_share:
            missing = generator.random(ROWS_DRAWN) < missing_share
            columns[column.name] = [
                None if without else value for value, without in zip(columns[column.name], missing, strict=True)
            ]
    found = segmentation.assign(columns)
    clear = np.flatnonzero(found.margin >= LEAST_MARGIN)[-ROWS_KEPT:]
    return Golden(
        columns={name: tuple(values[i] for i in clear) for name, values in columns.items()},
        segments=tuple(found.segment[clear].tolist()),
    )


def _numbers(values: Floats, generator: np.random.Generator) -> list[float]:
    drawn = np.quantile(values if values.size else np.zeros(1), generator.random(ROWS_DRAWN))
    whole = bool((values == np.rint(values)).all())
    return [*map(float, np.rint(drawn) if whole else drawn)]


def _items(levels: tuple[str, ...], generator: np.random.Generator) -> list[list[str]]:
    most = min(MOST_ITEMS, len(levels))
    counts = generator.integers(0, most + 1, ROWS_DRAWN - 1)
    return [generator.choice(levels, count, replace=False).tolist() if count else [] for count in counts]
