"""What training learns of each column: the parameters of the encoders that trainer and worker both use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from models.encoding import CategoryColumn, Column, Encoder, Floats, NumberColumn, OrderedColumn, SeveralOfColumn
from schemas.roles import Kind, ProfileField

CLIPPED_TAIL = 0.001
SKEWNESS_OF_LOGS = 1.0
# A block of more labels than this is free text or a name: it would outweigh memory and mean nothing.
MOST_LEVELS = 200


@dataclass(frozen=True, slots=True)
class Learned:
    """An encoder of one column, and the reason why the column tells nothing, if so."""

    column: Column
    useless_because: str | None
    note: str | None = None


def learn(values: pd.Series, field: ProfileField) -> Learned:
    """The encoder of one column, fitted: clipped, centred, and scaled so that its block has a total variance of 1.

    Takes at least one row.
    """
    return _LEARN[field.kind](values, field)


@np.errstate(over="ignore", invalid="ignore")  # numbers near the largest that there are: see the last check
def _learn_number(values: pd.Series, field: ProfileField) -> Learned:
    numbers = values.to_numpy(dtype=np.float64)
    unclipped = NumberColumn(field.name, _log_unit(numbers), low=-np.inf, high=np.inf, mean=0.0, scale=1.0)
    low, high = np.quantile(_encoded(unclipped, values), [CLIPPED_TAIL, 1 - CLIPPED_TAIL]).tolist()
    clipped = replace(unclipped, low=low, high=high)
    encoded = _encoded(clipped, values)
    if low == high:
        owners = "every user has" if numbers.min() == numbers.max() else "all but a few users have"
        return Learned(replace(clipped, mean=low), f"{owners} the same value")
    fitted = replace(clipped, mean=float(encoded.mean()), scale=float(encoded.std()))
    if not np.isfinite([low, high, fitted.mean, fitted.scale]).all():
        return Learned(replace(clipped, low=0.0, high=0.0), "its numbers are too large to be compared")
    return Learned(fitted, None)


def _log_unit(numbers: Floats) -> float | None:
    """The median of the positive numbers where they are skewed to the right and none is negative."""
    largest = numbers.max()
    if numbers.min() < 0 or numbers.min() == largest:
        return None
    # Skewness does not depend on the unit; divided by the largest, no number overflows.
    if stats.skew(numbers / largest) <= SKEWNESS_OF_LOGS:
        return None
    return float(np.median(numbers[numbers > 0]))


def _learn_ordered(values: pd.Series, field: ProfileField) -> Learned:
    undeclared = sorted(set(values.cat.categories) - set(field.levels))
    note = None
    if undeclared:
        rows = int(values.isin(undeclared).sum())
        shown = ", ".join(repr(label) for label in undeclared[:3]) + (", …" if len(undeclared) > 3 else "")
        note = f"{field.header}: {rows:,} users have a label that is none of its levels ({shown}); it counts as unknown"
    column = OrderedColumn(field.name, field.levels, mean=np.nan, scale=1.0)
    places = _encoded(column, values)
    known = places[~np.isnan(places)]
    if known.size == 0 or np.ptp(known) == 0:
        reason = "every user has the same value" if known.size else "no user has one of its levels"
        return Learned(replace(column, mean=float(known[0]) if known.size else 0.0), reason, note)
    centred = replace(column, mean=float(known.mean()))
    return Learned(replace(centred, scale=float(_encoded(centred, values).std())), None, note)


def _learn_category(values: pd.Series, field: ProfileField) -> Learned:
    return _learn_block(CategoryColumn(field.name, tuple(values.cat.categories), means=(), scale=1.0), values)


def _learn_several_of(values: pd.Series, field: ProfileField) -> Learned:
    levels = tuple(sorted({item for items in values for item in items}))
    return _learn_block(SeveralOfColumn(field.name, levels, means=(), scale=1.0), values)


def _learn_block(column: CategoryColumn | SeveralOfColumn, values: pd.Series) -> Learned:
    if len(column.levels) > MOST_LEVELS:
        return Learned(
            replace(column, means=(0.0,) * len(column.levels)),
            f"{len(column.levels):,} different labels, at most {MOST_LEVELS} are compared",
        )
    block = _encoded(column, values)
    centred = replace(column, means=tuple(block.mean(axis=0).tolist()))
    if not np.ptp(block, axis=0).any():
        return Learned(centred, "every user has the same value")
    return Learned(replace(centred, scale=float(np.sqrt(block.var(axis=0).sum()))), None)


def _encoded(column: Column, values: pd.Series) -> Floats:
    """What the encoder itself makes of the column, so that there is one transformation and no second."""
    return Encoder((column,)).encode({column.name: values.tolist()}).matrix


_LEARN: Mapping[Kind, Callable[[pd.Series, ProfileField], Learned]] = {
    Kind.NUMBER: _learn_number,
    Kind.ORDERED: _learn_ordered,
    Kind.CATEGORY: _learn_category,
    Kind.SEVERAL_OF: _learn_several_of,
}


def encoder(learned: Sequence[Learned], kept: frozenset[str]) -> Encoder:
    """The encoder of all columns; those that are not kept have weight 0 and serve to see unknown values only."""
    return Encoder(tuple(replace(each.column, weight=1.0 if each.column.name in kept else 0.0) for each in learned))
