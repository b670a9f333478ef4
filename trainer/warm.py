"""The centres of a model in the space of another one, so that a refit can start where the last model stood."""

from __future__ import annotations

import numpy as np

from models.encoding import CategoryColumn, Column, Encoder, Floats, NumberColumn, OrderedColumn, SeveralOfColumn
from models.segmentation import Segmentation


def translated(before: Segmentation, encoder: Encoder) -> Floats | None:
    """The model's centroids in the encoder's scaled space, shape (k, width); exact where a column has not changed.

    Scaling is undone and done again. A number goes back through expm1 and forward through log1p with the new unit, so
    the mean of logs becomes the log of a geometric mean, then within the new limits. Labels and items are matched by
    name: those that the encoder does not know are dropped, those that the model did not know have a share of 0.

    None where there is no such translation: other columns count, a column is of another kind, an ordered field has
    other levels, a centre becomes infinite, or two become the same.
    """
    new_of = {column.name: column for column in encoder.kept}
    if new_of.keys() != {column.name for column in before.encoder.kept}:
        return None
    blocks: dict[str, Floats] = {}
    start = 0
    for old in before.encoder.kept:
        block = _block(old, new_of[old.name], before.centroids[:, start : start + old.width])
        if block is None:
            return None
        blocks[old.name] = block
        start += old.width
    centroids = np.concatenate([blocks[column.name] for column in encoder.kept], axis=1)
    if not np.isfinite(centroids).all() or len(np.unique(centroids, axis=0)) < before.k:
        return None
    return centroids


def _block(old: Column, new: Column, scaled: Floats) -> Floats | None:
    """One column's part of the centres (k × old width) as (k × new width); None where it has no meaning there."""
    if old == new:
        return scaled
    if old.kind is not new.kind:
        return None
    raw = scaled * (old.scale / old.weight) + np.array(old.means)
    if isinstance(old, NumberColumn) and isinstance(new, NumberColumn):
        raw = _number(old, new, raw)
    elif isinstance(old, OrderedColumn) and isinstance(new, OrderedColumn):
        if old.levels != new.levels:
            return None
    elif isinstance(old, CategoryColumn | SeveralOfColumn) and isinstance(new, CategoryColumn | SeveralOfColumn):
        share_of = dict(zip(old.levels, raw.T, strict=True))
        raw = np.stack([share_of.get(level, np.zeros(len(raw))) for level in new.levels], axis=1)
    found: Floats = (raw - np.array(new.means)) / (new.scale / new.weight)
    return found


@np.errstate(over="ignore")  # what becomes infinite is clipped, or refused above
def _number(old: NumberColumn, new: NumberColumn, encoded: Floats) -> Floats:
    if old.log_unit != new.log_unit:
        values = encoded if old.log_unit is None else np.expm1(encoded) * old.log_unit
        encoded = values if new.log_unit is None else np.log1p(np.maximum(values, 0.0) / new.log_unit)
    clipped: Floats = np.clip(encoded, new.low, new.high)
    return clipped
