"""Data without segments: the same columns, as strongly related, drawn from one Gaussian cloud.

The null of the judgement is a Gaussian copula over all columns that count in the distance. Each column keeps its values
as they are, with their modes and ties; only which values occur together is drawn at random. A number or an ordered
field is one latent variable by its ranks, a category one by its levels in the order of their first canonical score, and
a several-of field one per item.

The draws have the same holes: which values of a user are missing stays together, and is laid on users at random.
Without them, missing values, which count at the mean, would draw the data to the centre but not the null.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import ndtri
from scipy.stats import rankdata

from models.encoding import CategoryColumn, Encoded, Encoder, Floats, SeveralOfColumn
from trainer.fitting.sample import Sample

# Terms of the series below: at a latent correlation of 0.9, what is left out is under 0.9^40 = 1.5 %.
HERMITE_TERMS = 40
MOST_STEPS = 300
# Keeps every axis in the search: from exactly 0 no step leads away.
LEAST_START = 1e-4

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Null:
    """Data with the columns of a sample, and as strongly related, but without segments."""

    scaled: Floats
    """The sample in the space of the distance, shape (rows, width)."""
    blocks: tuple[slice, ...]
    """The matrix columns that each latent variable moves together."""
    ordered_rows: Rows
    """The rows in ascending order of each variable's value, shape (variables, rows)."""
    vectors: Floats
    """Unit vectors whose products are the latent correlations, shape (variables, variables)."""
    holes: npt.NDArray[np.bool_] | None
    """Which values are missing, shape (rows, width); None if none is."""

    def draw(self, generator: np.random.Generator) -> Floats:
        """As many rows as the sample has, in the same space; each column holds the sample's values in another order.

        A column with missing values repeats its values to full length; then some are made missing.
        """
        latent = self.vectors @ generator.normal(size=(len(self.blocks), len(self.scaled)))
        drawn = self.scaled.copy()
        for block, rows, ranked in zip(self.blocks, self.ordered_rows, np.argsort(latent, axis=1), strict=True):
            drawn[ranked, block] = self.scaled[rows, block]
        if self.holes is not None:
            drawn[self.holes[generator.permutation(len(drawn))]] = 0.0
        return drawn


def learn_null(sample: Sample) -> Null:
    """The null of a sample."""
    variables = [*_variables(sample.encoder, sample.encoded)]
    ranks = np.array([values for _, values in variables])
    return Null(
        scaled=sample.scaled,
        blocks=tuple(block for block, _ in variables),
        ordered_rows=np.array([filled(np.argsort(values, kind="stable"), np.isfinite(values)) for values in ranks]),
        vectors=_latent_vectors(ranks),
        holes=sample.holes,
    )


def filled(ordered: Rows, observed: npt.NDArray[np.bool_]) -> Rows:
    """As many rows as there are, in the same order, from those that are observed, which come first: each as often."""
    places = (np.arange(len(ordered)) + 0.5) * observed.sum() / len(ordered)
    found: Rows = ordered[places.astype(np.intp)]
    return found


def _variables(encoder: Encoder, encoded: Encoded) -> Iterator[tuple[slice, Floats]]:
    """The matrix columns of each latent variable, and the ranks of its values, from 1, the mean rank for ties.

    The rank of a missing value is NaN.
    """
    matrix = encoded.matrix
    for column, block in encoder.blocks:
        observed = np.ones(len(matrix), dtype=np.bool_)
        observed[encoded.missing.get(column.name, [])] = False
        if isinstance(column, CategoryColumn):
            parts = [(block, _canonical_scores(encoder, matrix[observed], block))]
        elif isinstance(column, SeveralOfColumn):
            parts = [(slice(at, at + 1), matrix[observed, at]) for at in range(block.start, block.stop)]
        else:
            parts = [(block, matrix[observed, block.start])]
        for part, values in parts:
            # Columns that do not vary in the sample stay as they are.
            if values.size and np.ptp(values) > 0:
                ranks = np.full(len(matrix), np.nan)
                ranks[observed] = rankdata(values)
                yield part, ranks


def _canonical_scores(encoder: Encoder, matrix: Floats, block: slice) -> Floats:
    """For each row the score of its level: the first axis of the correspondence of levels and all other columns.

    Levels with close scores differ little in everything else. An unknown label is a level of its own.
    """
    levels = np.column_stack([matrix[:, block], 1 - matrix[:, block].sum(axis=1)])
    levels = levels[:, levels.any(axis=0)]
    shares = levels.mean(axis=0)
    others = np.delete(encoder.scale(matrix), block, axis=1)
    others -= others.mean(axis=0)
    profiles = levels.T @ others / len(levels) / np.sqrt(shares)[:, None]
    axis = np.linalg.svd(profiles, full_matrices=False)[0][:, 0] if others.size else np.arange(len(shares))
    # The sign of an axis is arbitrary, and so may be equal scores; levels must not fall together for that.
    ranks = np.argsort(np.argsort(axis / np.sqrt(shares), kind="stable"))
    scores: Floats = levels @ ranks.astype(np.float64)
    return scores


def _latent_vectors(ranks: Floats) -> Floats:
    """Unit vectors U, one per variable: normal variables correlated by U Uᵀ have rank correlations nearest to theirs.

    Ties count: where two variables are tied as the given ranks are, the rank correlation that belongs to a latent
    correlation r is Σ aᵢₖ aⱼₖ rᵏ, where aᵢₖ are the coefficients of the standardised rank of variable i in normalised
    Hermite polynomials (Mehler's formula). Solved for r pair by pair, items that exclude each other ask for
    correlations that no normal variables have all at once. So the squared error of the rank correlations themselves is
    minimised, over correlation matrices only.
    """
    standard = ranks - np.nanmean(ranks, axis=1, keepdims=True)
    standard /= np.nanstd(standard, axis=1, keepdims=True)
    wanted = _correlations(standard)
    coefficients = _hermite_coefficients(
        np.array([each[filled(np.argsort(each, kind="stable"), np.isfinite(each))] for each in standard])
    )
    others = 1 - np.eye(len(wanted))

    def error(flat: Floats) -> tuple[float, Floats]:
        vectors = flat.reshape(wanted.shape)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = vectors / lengths
        latent = unit @ unit.T
        reached, slope = np.zeros_like(latent), np.zeros_like(latent)
        for coefficient in coefficients[::-1]:
            reached += np.outer(coefficient, coefficient)
            slope *= latent
            slope += reached
            reached *= latent
        missed = others * (reached - wanted)
        gradient = (missed * slope) @ unit
        gradient -= (gradient * unit).sum(axis=1, keepdims=True) * unit
        return 0.25 * float((missed**2).sum()), (gradient / lengths).ravel()

    # It starts at the rank correlations, which some normal variables have.
    values, axes = np.linalg.eigh(wanted)
    start = axes * np.sqrt(np.maximum(values, LEAST_START))
    found = minimize(error, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": MOST_STEPS})
    vectors: Floats = found.x.reshape(wanted.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _correlations(values: Floats) -> Floats:
    """Of each pair of variables (variables × rows), over the rows that are observed in both."""
    observed = np.isfinite(values).astype(np.float64)
    values = np.nan_to_num(values)
    rows = np.maximum(observed @ observed.T, 1.0)
    # means[i, j], squares[i, j]: of variable i where j is observed.
    means, squares = values @ observed.T / rows, values**2 @ observed.T / rows
    variances = np.maximum(squares - means**2, 0.0)
    spread = np.sqrt(variances * variances.T)
    products = values @ values.T / rows - means * means.T
    correlations: Floats = np.divide(products, spread, out=np.eye(len(values)), where=spread > 0)
    return correlations


def _hermite_coefficients(steps: Floats) -> Floats:
    """Of ascending values (variables × rows), each held over an equal share of the normal distribution.

    Shape (terms, variables), from the first term on: the mean is 0. The integral of hₖφ from z on is hₖ₋₁(z)φ(z)/√k.
    """
    rows = steps.shape[1]
    edges = ndtri(np.arange(1, rows) / rows)
    density = np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi)
    jumps = np.diff(steps, axis=1)
    before, polynomial = np.zeros_like(edges), np.ones_like(edges)
    coefficients = []
    for k in range(1, HERMITE_TERMS + 1):
        coefficients.append(jumps @ (polynomial * density) / np.sqrt(k))
        before, polynomial = polynomial, (edges * polynomial - np.sqrt(k - 1) * before) / np.sqrt(k)
    return np.array(coefficients)
