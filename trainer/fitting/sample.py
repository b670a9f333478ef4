"""The seeded sample on which a fit is judged: raw, and as the model sees it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from models.encoding import Columns, Encoder, Floats
from schemas.roles import ProfileField

JUDGED_ROWS = 3_000


@dataclass(frozen=True)
class Sample:
    """At most 3,000 users of a history."""

    table: pd.DataFrame
    """One row per user, one column per field under its event name: float64, category, or tuples of labels."""
    fields: tuple[ProfileField, ...]
    """All fields, including those that do not count in the distance."""
    encoder: Encoder

    @cached_property
    def columns(self) -> Columns:
        """The table as a model reads it."""
        return {str(name): column.tolist() for name, column in self.table.items()}

    @cached_property
    def scaled(self) -> Floats:
        """The users in the space of the distance, shape (rows, width)."""
        return self.encoder.scale(self.encoder.encode(self.columns).matrix)
