"""Data without segments: the same columns, as strongly related, drawn from one Gaussian cloud.

The null of the judgement is a Gaussian copula over all columns that count in the distance. Each column keeps its values
as they are, with their modes and ties; only which values occur together is drawn at random. A number or an ordered
field is one latent variable by its ranks, a category one by its levels in the order of their first canonical score, and
a several-of field one per item.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import ndtri
from scipy.stats import rankdata

from models.encoding import CategoryColumn, Encoder, Floats, SeveralOfColumn

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

    def draw(self, generator: np.random.Generator) -> Floats:
        """As many rows as the sample has, in the same space; each column holds the sample's values in another order."""
        latent = self.vectors @ generator.normal(size=(len(self.blocks), len(self.scaled)))
        drawn = self.scaled.copy()
        for block, rows, ranked in zip(self.blocks, self.ordered_rows, np.argsort(latent, axis=1), strict=True):
            drawn[ranked, block] = self.scaled[rows, block]
        return drawn


def learn_null(encoder: Encoder, matrix: Floats) -> Null:
    """The null of a sample that was encoded to this raw matrix (rows × width of the encoder)."""
    variables = [*_variables(encoder, matrix)]
    ranks = np.array([values for _, values in variables])
    return Null(
        scaled=encoder.scale(matrix),
        blocks=tuple(block for block, _ in variables),
        ordered_rows=np.argsort(ranks, axis=1, kind="stable"),
        vectors=_latent_vectors(ranks),
    )


def _variables(encoder: Encoder, matrix: Floats) -> Iterator[tuple[slice, Floats]]:
    """The matrix columns of each latent variable, and the ranks of its values, from 1, the mean rank for ties."""
    start = 0
    for column in encoder.kept:
        block = slice(start, start + column.width)
        start = block.stop
        if isinstance(column, CategoryColumn):
            parts = [(block, _canonical_scores(encoder, matrix, block))]
        elif isinstance(column, SeveralOfColumn):
            parts = [(slice(at, at + 1), matrix[:, at]) for at in range(block.start, block.stop)]
        else:
            parts = [(block, matrix[:, block.start])]
        # Columns that do not vary in the sample stay as they are.
        yield from ((part, rankdata(values)) for part, values in parts if np.ptp(values) > 0)


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
    standard = ranks - ranks.mean(axis=1, keepdims=True)
    standard /= standard.std(axis=1, keepdims=True)
    wanted = standard @ standard.T / standard.shape[1]
    coefficients = _hermite_coefficients(np.sort(standard, axis=1))
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
