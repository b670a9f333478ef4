"""The sample's fields as numbers that can be averaged, and as levels that can be counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.encoding import Floats, NumberColumn
from schemas.roles import Kind, ProfileField
from trainer.fitting.relations import LEAST_EXPECTED_ROWS, quantile_bins
from trainer.fitting.sample import Sample

# For a rarer level no table expects enough rows in every cell, however few segments there are.
LEAST_LEVEL_ROWS = 2 * LEAST_EXPECTED_ROWS
# How people call the level of a boolean: "newsletter: yes".
TRUE = "yes"


@dataclass(frozen=True)
class Trait:
    """One number, ordered field, label or item of the sampled users."""

    field: ProfileField
    level: str | None
    """The label or item, "yes" of a boolean; None for a number or an ordered field."""
    values: Floats
    """Shape (n,): the number, the rank from 0, or 1 for users who have it, else 0; NaN without a (known) value."""

    @property
    def is_share(self) -> bool:
        """Whether its mean is a share of users."""
        return self.level is not None

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which users have a (known) value."""
        return ~np.isnan(self.values)


def traits(sample: Sample, field: ProfileField) -> tuple[Trait, ...]:
    """The traits of a field: one per number or ordered field, otherwise one per level that 10 sampled users have.

    A boolean has the level "yes" only: users without it have the other.

    Numbers are clipped to the limits of the encoder, in their own unit, so that no mean depends on one extreme cell.
    """
    values = sample.table[field.name]
    if field.kind is Kind.BOOLEAN:
        true = values.to_numpy(dtype=np.float64)
        return (Trait(field, TRUE, true),) if np.nansum(true) >= LEAST_LEVEL_ROWS else ()
    if field.kind.is_numeric:
        return (Trait(field, None, np.clip(values.to_numpy(dtype=np.float64), *_limits(sample, field))),)
    if field.kind is Kind.ORDERED:
        places = {level: float(place) for place, level in enumerate(field.levels)}
        return (Trait(field, None, np.array([places.get(label, np.nan) for label in values.tolist()])),)
    if field.kind is Kind.CATEGORY:
        rows, labels = np.arange(len(values)), np.array(values.tolist(), dtype=object)
    else:
        lists = [tuple(dict.fromkeys(items or ())) for items in values.tolist()]
        rows = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
        labels = np.array([item for items in lists for item in items], dtype=object)
    return tuple(_levels(field, rows, labels, values.isna().to_numpy()))


def _limits(sample: Sample, field: ProfileField) -> tuple[float, float]:
    (column,) = (each for each in sample.encoder.columns if each.name == field.name and isinstance(each, NumberColumn))
    return in_its_unit(column, column.low), in_its_unit(column, column.high)


def in_its_unit(column: NumberColumn, encoded: float) -> float:
    """The number of which this is the encoded value."""
    return encoded if column.log_unit is None else float(np.expm1(encoded) * column.log_unit)


def _levels(
    field: ProfileField, rows: npt.NDArray[np.intp], labels: npt.NDArray[np.object_], missing: npt.NDArray[np.bool_]
) -> Iterator[Trait]:
    by_level: dict[str, list[int]] = {}
    for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
        if not missing[row]:
            by_level.setdefault(label, []).append(row)
    for level in sorted(by_level):
        if len(by_level[level]) >= LEAST_LEVEL_ROWS:
            indicator = np.where(missing, np.nan, 0.0)
            indicator[by_level[level]] = 1.0
            yield Trait(field, level, indicator)


def factors(sample: Sample, field: ProfileField) -> tuple[Floats, ...]:
    """The field as levels, each user in exactly one, or in none without a value: one-hot, shape (n, levels).

    One factor per field: five quantile bins of a number, the levels of an ordered field, the labels of a category, with
    those of under 10 users joined. For several-of, one factor per item: having it or not.
    """
    found = traits(sample, field)
    missing = sample.table[field.name].isna().to_numpy()
    if field.kind in {Kind.NUMBER, Kind.DAYS_SINCE}:
        bins = quantile_bins(found[0].values)
        return (_with_rest(bins[:, None] == np.arange(bins.max() + 1), missing),)
    if field.kind is Kind.ORDERED:
        return (_with_rest(found[0].values[:, None] == np.arange(len(field.levels)), missing),)
    if field.kind is Kind.CATEGORY:
        indicators = np.stack([trait.values == 1 for trait in found], axis=1) if found else _none(sample)
        return (_with_rest(indicators, missing),)
    return tuple(_with_rest(trait.values[:, None] == 1, missing) for trait in found)


def _none(sample: Sample) -> npt.NDArray[np.bool_]:
    return np.zeros((len(sample.table), 0), dtype=np.bool_)


def _with_rest(indicators: npt.NDArray[np.bool_], missing: npt.NDArray[np.bool_]) -> Floats:
    """The indicators with a last level for users whose value is none of the others."""
    return np.column_stack([indicators, (indicators.sum(axis=1) == 0) & ~missing]).astype(np.float64)
