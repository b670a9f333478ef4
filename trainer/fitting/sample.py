"""The seeded sample on which a fit is judged: raw, and as the model sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.encoding import Columns, Encoded, Encoder, Floats
from schemas.roles import ProfileField

JUDGED_ROWS = 3_000


@dataclass(frozen=True)
class Sample:
    """At most 3,000 users of a history."""

    table: pd.DataFrame
    """One row per user, one column per field under its event name: float64, category, or tuples of labels.

    A missing value is NaN.
    """
    fields: tuple[ProfileField, ...]
    """All fields, including those that do not count in the distance."""
    encoder: Encoder
    repeated: frozenset[str] = frozenset()
    """Names of the fields that are left out of the distance because they repeat another one."""

    @property
    def distinct(self) -> tuple[ProfileField, ...]:
        """The fields that repeat no other: a copy would be tested against segments that its original made."""
        return tuple(field for field in self.fields if field.name not in self.repeated)

    @cached_property
    def columns(self) -> Columns:
        """The table as a model reads it."""
        return {str(name): _values(column) for name, column in self.table.items()}

    @cached_property
    def scaled(self) -> Floats:
        """The users in the space of the distance, shape (rows, width)."""
        return self.encoder.scale(self.encoded.matrix)

    @cached_property
    def encoded(self) -> Encoded:
        """The users as numbers, before scaling."""
        return self.encoder.encode(self.columns)

    @cached_property
    def holes(self) -> npt.NDArray[np.bool_] | None:
        """Which values in the space of the distance are missing, shape (rows, width); None if none is."""
        holes = np.zeros(self.encoded.matrix.shape, dtype=np.bool_)
        for column, block in self.encoder.blocks:
            holes[self.encoded.missing.get(column.name, []), block] = True
        return holes if holes.any() else None


def _values(column: pd.Series) -> Sequence[Any]:
    values: list[Any] = column.tolist()
    for at in np.flatnonzero(column.isna()).tolist():
        values[at] = None
    return values
