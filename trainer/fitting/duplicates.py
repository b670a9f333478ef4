"""Columns that repeat another one: their relation says nothing about groups of users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from schemas.roles import Kind, ProfileField
from trainer.text.spellings import plain_spelling

# Two numbers are one if their ranks agree so well, as a wage and its logarithm, or minutes and seconds, do.
LEAST_RANK_CORRELATION = 0.995
# Two columns of labels are one if their labels agree so well beyond chance (Cohen's kappa): of two labels that are
# equally frequent, in 99.5 % of the rows. Most users lack what few have, which is no agreement.
LEAST_KAPPA = 0.99
# With fewer rows per label, labels of any two columns go together by chance.
LEAST_ROWS_PER_LABEL = 5
# Of so many users such a correlation is above .98 (two standard errors of Fisher's z).
LEAST_SHARED_ROWS = 20
# Of the users who have a value in a copy, so many have one in its original, too: the others would lose theirs.
LEAST_COVERED = 0.9
# Enough for such a correlation: its standard error is below 0.001.
COMPARED_ROWS = 3_000

Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Labels:
    """The values of a column as labels."""

    codes: Codes
    """Of each row, −1 for a missing value."""
    distinct: int
    spelled: Codes
    """Equal in all columns for labels that differ only in case or spaces, for each row."""


def duplicates(table: pd.DataFrame, fields: Sequence[ProfileField]) -> Mapping[str, str]:
    """Name of a field -> name of the field that it repeats: the one with the most values, the first of those.

    Its numbers have the same ranks, in either direction, or its labels go with those of the other, spelled alike or
    not, as codes go with names. Labels that follow the same groups are no duplicates: they have exceptions. Without
    any, segments would be the labels of one column.
    """
    rows = table.iloc[:: max(1, len(table) // COMPARED_ROWS)]
    known = {field.name: rows[field.name].notna().to_numpy() for field in fields}
    spellings: dict[str, int] = {}
    labels = {field.name: _labels(rows[field.name], field.kind, spellings) for field in fields}
    same_ranks = _same_ranks(rows[[field.name for field in fields if field.kind in {Kind.NUMBER, Kind.DAYS_SINCE}]])
    repeated: dict[str, str] = {}
    originals: list[str] = []
    for name in sorted(known, key=lambda name: -np.count_nonzero(known[name])):
        for original in originals:
            both = known[name] & known[original]
            if _covers(both, known[name]) and (
                (original, name) in same_ranks
                or _agree(labels[original].spelled[both], labels[name].spelled[both])
                or _go_together(labels[original], labels[name], both)
            ):
                repeated[name] = original
                break
        else:
            originals.append(name)
    return repeated


def _same_ranks(numbers: pd.DataFrame) -> frozenset[tuple[str, str]]:
    """Every two columns whose ranks agree; a column that is constant in these rows agrees with none."""
    ranks = numbers.corr(method="spearman", min_periods=LEAST_SHARED_ROWS).abs().to_numpy()
    names = [str(name) for name in numbers]
    return frozenset((names[i], names[j]) for i, j in np.argwhere(ranks >= LEAST_RANK_CORRELATION).tolist())


def _covers(both: npt.NDArray[np.bool_], copy: npt.NDArray[np.bool_]) -> bool:
    return int(np.count_nonzero(both)) >= max(LEAST_SHARED_ROWS, LEAST_COVERED * int(np.count_nonzero(copy)))


def _labels(values: pd.Series, kind: Kind, spellings: dict[str, int]) -> _Labels:
    """The labels of a column; those of a new spelling are added."""
    found = values.map(lambda items: tuple(sorted({*items})), na_action="ignore") if kind is Kind.SEVERAL_OF else values
    codes, distinct = pd.factorize(found.astype(object))
    texts = [f"{each:.15g}" if kind.is_numeric else str(each) for each in distinct]
    spelled = [spellings.setdefault(plain_spelling(text), len(spellings)) for text in texts]
    return _Labels(codes, len(distinct), np.array([*spelled, -1])[codes])


def _go_together(first: _Labels, second: _Labels, rows: npt.NDArray[np.bool_]) -> bool:
    """Whether each label of the one goes with one of the other."""
    if max(first.distinct, second.distinct) * LEAST_ROWS_PER_LABEL > np.count_nonzero(rows):
        return False
    ones, others = first.codes[rows], second.codes[rows]
    pairs, counts = np.unique(ones * second.distinct + others, return_counts=True)
    # The commonest partner of each is written last.
    one, other = np.divmod(pairs[np.argsort(counts, kind="stable")], second.distinct)
    partner, back = np.full(first.distinct, -1), np.full(second.distinct, -1)
    partner[one], back[other] = other, one
    mutual = back[partner] == np.arange(first.distinct)
    return _agree(np.where(mutual, partner, -1)[ones], others)


def _agree(first: Codes, second: Codes) -> bool:
    """Whether the codes are equal in nearly all rows, more often than by chance; −1 is equal to no code."""
    equal = float(np.mean(first == second))
    if equal < LEAST_KAPPA:
        return False
    levels = int(max(first.max(), second.max())) + 1
    shares = [np.bincount(codes[codes >= 0], minlength=levels) / len(codes) for codes in (first, second)]
    chance = float(shares[0] @ shares[1])
    return equal - chance >= LEAST_KAPPA * (1 - chance) > 0
