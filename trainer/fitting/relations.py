"""Which columns of a history are related to any other: others say nothing about groups of users."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.special import chdtrc

from schemas.roles import Kind, ProfileField

QUANTILE_BINS = 5
SIGNIFICANCE = 0.01
LEAST_STRENGTH = 0.1
# Cochran's rule: with fewer, a chi-square test finds relations in noise.
LEAST_EXPECTED_ROWS = 5.0
# An outcome is associated with so many of the other columns, and these with so few of each other.
OUTCOME_SHARE = 0.8
CAUSES_SHARE = 0.5
LEAST_CAUSES = 3

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Relation:
    """How strongly two fields are associated."""

    first: str
    second: str
    p_value: float
    """Probability of a table at least as uneven if they were independent, corrected for the number of pairs tested."""
    strength: float
    """Bias-corrected Cramér's V: 0 if independent, 1 if one determines the other."""

    @property
    def holds(self) -> bool:
        """Whether it is significant, and strong enough to matter."""
        return self.p_value <= SIGNIFICANCE and self.strength >= LEAST_STRENGTH


@dataclass(frozen=True, slots=True)
class _Factor:
    """A column as indicators, rows × levels: one per row, or any number for a list of items."""

    name: str
    kind: Kind
    indicators: sparse.csr_array
    known: Counts
    """1 for each row that has a value, else 0."""


def relations(table: pd.DataFrame, fields: Sequence[ProfileField]) -> tuple[Relation, ...]:
    """Every pair of the given fields, in their order, with the p-value corrected for all pairs (Bonferroni).

    A pair is compared over the users who have a value in both. Numbers are compared in five quantile bins, labels by
    level; the most significant item of a multi-label field
    counts, at a p-value multiplied by the number of its items.
    """
    factors = [_factor(table[field.name], field) for field in fields]
    pairs = [*combinations(factors, 2)]
    return tuple(_relation(first, second, len(pairs)) for first, second in pairs)


def related(found: Sequence[Relation]) -> frozenset[str]:
    """Names of the fields with at least one relation that holds."""
    return frozenset(name for relation in found if relation.holds for name in (relation.first, relation.second))


def likely_outcomes(found: Sequence[Relation], two_valued: Collection[str]) -> tuple[str, ...]:
    """Of these fields, those that nearly all others are associated with, though hardly with each other.

    That is how a result looks of which the others are causes, such as who was lost as a customer.
    """
    names = {name for relation in found for name in (relation.first, relation.second)}
    if len(names) <= LEAST_CAUSES:
        return ()
    outcomes = []
    for name in two_valued:
        own = [each.holds for each in found if name in {each.first, each.second}]
        others = [each.holds for each in found if name not in {each.first, each.second}]
        if sum(own) >= OUTCOME_SHARE * len(own) > 0 and sum(others) < CAUSES_SHARE * len(others):
            outcomes.append(name)
    return tuple(outcomes)


def _factor(values: pd.Series, field: ProfileField) -> _Factor:
    if field.kind.is_numeric:
        indicators = _indicators(quantile_bins(values.to_numpy(dtype=np.float64)))
    elif field.kind is Kind.SEVERAL_OF:
        indicators = _item_indicators(values)
    else:
        indicators = _indicators(values.cat.codes.to_numpy())
    return _Factor(field.name, field.kind, indicators, values.notna().to_numpy().astype(np.float64))


def quantile_bins(values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """The bin of each value, from 0: five of about equal size, fewer where many values are equal; −1 for NaN."""
    known = ~np.isnan(values)
    observed = values[known]
    found = np.full(len(values), -1)
    if not observed.size:
        return found
    edges = np.unique(np.quantile(observed, np.arange(1, QUANTILE_BINS) / QUANTILE_BINS))
    # Where many rows share one value, an edge falls on it: they go to the side that leaves more bins.
    below, above = (np.searchsorted(edges, observed, side=side) for side in ("left", "right"))
    found[known] = max(below, above, key=lambda bins: len(np.unique(bins)))
    return found


def _indicators(codes: npt.NDArray[np.integer]) -> sparse.csr_array:
    """One per row, none where the code is −1."""
    known = codes >= 0
    return _rows_of_indicators(codes[known], np.concatenate([[0], np.cumsum(known)]))


def _item_indicators(values: pd.Series) -> sparse.csr_array:
    distinct = values.map(lambda items: tuple(dict.fromkeys(items or ())))
    codes, _ = pd.factorize(np.array([item for items in distinct for item in items], dtype=object))
    ends = np.concatenate([[0], np.cumsum(distinct.map(len).to_numpy(dtype=np.intp))])
    return _rows_of_indicators(codes, ends)


def _rows_of_indicators(levels: npt.NDArray[np.integer], ends: npt.NDArray[np.intp]) -> sparse.csr_array:
    shape = (len(ends) - 1, int(levels.max(initial=-1)) + 1)
    return sparse.csr_array((np.ones(len(levels)), levels, ends), shape=shape)


def _relation(first: _Factor, second: _Factor, pairs: int) -> Relation:
    tested = [chi_square(table) for table in map(without_rare, _tables(first, second)) if min(table.shape) > 1]
    if not tested:
        return Relation(first.name, second.name, 1.0, 0.0)
    p_value, strength = min(tested, key=lambda found: (found[0], -found[1]))
    return Relation(first.name, second.name, min(1.0, p_value * len(tested) * pairs), strength)


def _tables(first: _Factor, second: _Factor) -> Iterator[Counts]:
    together = (first.indicators.T @ second.indicators).toarray()
    if first.kind is not Kind.SEVERAL_OF and second.kind is not Kind.SEVERAL_OF:
        yield together
        return
    rows = first.known @ second.known
    first_totals, second_totals = first.indicators.T @ second.known, second.indicators.T @ first.known
    if second.kind is not Kind.SEVERAL_OF:
        yield from (np.stack([having, second_totals - having]) for having in together)
    elif first.kind is not Kind.SEVERAL_OF:
        yield from (np.stack([having, first_totals - having]) for having in together.T)
    else:
        for i, j in np.ndindex(together.shape):
            both, one, other = together[i, j], first_totals[i], second_totals[j]
            yield np.array([[both, one - both], [other - both, rows - one - other + both]])


def without_rare(table: Counts) -> Counts:
    """The table with its rarest levels joined until every cell expects enough rows."""
    while min(table.shape) > 1:
        totals = [table.sum(axis=1), table.sum(axis=0)]
        if totals[0].min() * totals[1].min() >= LEAST_EXPECTED_ROWS * table.sum():
            break
        # The side with the rarest level, unless that would leave it with nothing to compare.
        axis = min((0, 1), key=lambda side: (table.shape[side] == 2, totals[side].min()))
        rarest, next_rarest = np.argsort(totals[axis], kind="stable")[:2]
        table = table.copy() if axis == 0 else table.T.copy()
        table[next_rarest] += table[rarest]
        table = np.delete(table, rarest, axis=0)
        table = table if axis == 0 else table.T
    return table


def chi_square(table: Counts) -> tuple[float, float]:
    """The p-value of independence and the bias-corrected Cramér's V (Bergsma 2013) of a table of counts."""
    rows = table.sum()
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / rows
    chi_square = float(((table - expected) ** 2 / expected).sum())
    height, width = table.shape
    freedom = (height - 1) * (width - 1)
    spread = max(0.0, chi_square / rows - freedom / (rows - 1))
    levels = min(side - (side - 1) ** 2 / (rows - 1) for side in (height, width))
    return float(chdtrc(freedom, chi_square)), math.sqrt(spread / (levels - 1))
