"""How the segments differ, as rows of a heat map."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from models.encoding import Floats
from schemas.roles import Kind
from trainer.explaining.division import Division
from trainer.explaining.traits import Trait, traits
from trainer.findings import FieldTest, HeatRow
from trainer.privacy import SUPPRESSED, shown
from trainer.wording import decimal, percent

MOST_ROWS = 25
DIGITS = 3
MOST_DECIMALS = 9


def heat_rows(division: Division, tests: Sequence[FieldTest]) -> tuple[HeatRow, ...]:
    """A row for each number and ordered field, and for each label or item: at most 25, the most uneven ones.

    Of the fields that count in the distance or survive their test, in the order of the profile; cells in the order of
    the segments by size, largest first. A cell of under 20 users is suppressed, a row of such cells left out.
    """
    told = {column.name for column in division.sample.encoder.kept} | {test.field for test in tests if test.survives}
    fields = [field for field in division.sample.fields if field.name in told]
    found = [_row(trait, division) for field in fields for trait in traits(division.sample, field)]
    found = [(unevenness, row) for unevenness, row in found if any(value is not None for value in row.values)]
    uneven = sorted(range(len(found)), key=lambda at: (-round(found[at][0], 6), at))[:MOST_ROWS]
    return tuple(found[at][1] for at in sorted(uneven))


def _row(trait: Trait, division: Division) -> tuple[float, HeatRow]:
    """The row, and how much of its variance lies between the segments."""
    known = ~np.isnan(trait.values)
    values, memberships = trait.values[known], division.memberships[0, known]
    users = memberships.sum(axis=0)
    mean, spread = (float(values.mean()), float(values.std())) if values.size else (0.0, 0.0)
    means = np.divide(values @ memberships, users, out=np.full(division.k, mean), where=users > 0)
    standardised = (means - mean) / spread if spread > 0 else np.zeros(division.k)
    cells = division.users_at_least(values @ memberships if trait.is_share else users)
    may_be_shown = [
        shown(min(cell, all_of_it)) is not None for cell, all_of_it in zip(cells, division.users, strict=True)
    ]
    unevenness = float(users @ standardised**2 / max(users.sum(), 1.0))
    row = HeatRow(
        label=trait.field.header if trait.level is None else f"{trait.field.header}: {trait.level}",
        group=trait.field.group,
        values=tuple(float(standardised[index]) if may_be_shown[index] else None for index in division.by_size),
        texts=tuple(
            _text(trait, float(means[index]), values, memberships[:, index]) if may_be_shown[index] else SUPPRESSED
            for index in division.by_size
        ),
    )
    return unevenness, row


def _text(trait: Trait, mean: float, values: Floats, members: Floats) -> str:
    if trait.is_share:
        return percent(mean)
    if trait.field.kind is Kind.ORDERED:
        # A mean of places is no label; the label of the user in the middle is one.
        return trait.field.levels[int(np.quantile(values[members > 0], 0.5, method="lower"))]
    return figure(mean)


def figure(value: float) -> str:
    """A number to three digits, as a person writes it: 4,213 · 57.3 · 4.40 · 0.0153."""
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    return decimal(value, min(max(DIGITS - 1 - magnitude, 0), MOST_DECIMALS))
