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
from trainer.privacy import LEAST_SHOWN, SUPPRESSED, shown
from trainer.text.wording import decimal, percent

MOST_ROWS = 25
DIGITS = 3
MOST_DECIMALS = 9
# Enough for a colour; more decimals would reveal a suppressed share.
COLOUR_DECIMALS = 2


def heat_rows(division: Division, tests: Sequence[FieldTest]) -> tuple[HeatRow, ...]:
    """One row per number, ordered field, label or item: at most 25, those that differ most between segments.

    Of the fields that count in the distance or survive their test, in the order of the profile; cells in the order of
    the segments by size, largest first. A cell of under 20 users is suppressed, as is a share that under 20 users of a
    segment lack, unless it is zero. If that leaves one suppressed cell in a row, the next smallest is suppressed, too,
    because the first could be worked out from the others. A row of suppressed cells is left out.
    """
    reported = {column.name for column in division.sample.encoder.kept} | {
        test.field for test in tests if test.survives
    }
    fields = [field for field in division.sample.fields if field.name in reported]
    found = [row_of(trait, division) for field in fields for trait in traits(division.sample, field)]
    found = [(unevenness, row) for unevenness, row in found if any(value is not None for value in row.values)]
    uneven = sorted(range(len(found)), key=lambda at: (-round(found[at][0], 6), at))[:MOST_ROWS]
    return tuple(found[at][1] for at in sorted(uneven))


def row_of(trait: Trait, division: Division) -> tuple[float, HeatRow]:
    """The row, and the share of its variance that lies between the segments."""
    values, memberships = trait.values[trait.known], division.memberships[0, trait.known]
    users = memberships.sum(axis=0)
    mean, spread = (float(values.mean()), float(values.std())) if values.size else (0.0, 0.0)
    means = np.divide(values @ memberships, users, out=np.full(division.k, mean), where=users > 0)
    standardised = (means - mean) / spread if spread > 0 else np.zeros(division.k)
    may_be_shown = _with_a_second(_may_be_shown(trait, values, memberships, division), division)
    unevenness = float(users @ standardised**2 / max(users.sum(), 1.0))
    row = HeatRow(
        label=trait.field.header if trait.level is None else f"{trait.field.header}: {trait.level}",
        group=trait.field.group,
        values=tuple(
            round(float(standardised[index]), COLOUR_DECIMALS) + 0.0 if may_be_shown[index] else None
            for index in division.by_size
        ),
        texts=tuple(
            _text(trait, float(means[index]), values, memberships[:, index]) if may_be_shown[index] else SUPPRESSED
            for index in division.by_size
        ),
    )
    return unevenness, row


def _may_be_shown(trait: Trait, values: Floats, memberships: Floats, division: Division) -> list[bool]:
    """Per segment, whether 20 users are in its cell, and for a share also whether 20 or no users are outside it."""
    users = memberships.sum(axis=0)
    having = values @ memberships if trait.is_share else users
    in_cell = np.minimum(division.users_at_least(having), division.users)
    may_be = np.array([shown(cell) is not None for cell in in_cell.tolist()])
    if trait.is_share:
        may_be &= (users == having) | (division.users_at_least(users - having) >= LEAST_SHOWN)
    may: list[bool] = may_be.tolist()
    return may


def _with_a_second(may_be_shown: list[bool], division: Division) -> list[bool]:
    """The same, but a single suppressed cell gets a second: the total less the rest would reveal it."""
    if may_be_shown.count(False) != 1:
        return may_be_shown
    second = next(index for index in reversed(division.by_size) if may_be_shown[index])
    return [may and index != second for index, may in enumerate(may_be_shown)]


def _text(trait: Trait, mean: float, values: Floats, members: Floats) -> str:
    if trait.is_share:
        return percent(mean)
    if trait.field.kind is Kind.ORDERED:
        # A mean of ranks is not a label; the median user's is.
        return trait.field.levels[int(np.quantile(values[members > 0], 0.5, method="lower"))]
    return figure(mean) + ("\N{NO-BREAK SPACE}d" if trait.field.kind is Kind.DAYS_SINCE else "")


def figure(value: float) -> str:
    """A number to three digits, as people write it: 4,213 · 57.3 · 4.40 · 0.0153."""
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    return decimal(value, min(max(DIGITS - 1 - magnitude, 0), MOST_DECIMALS))
