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
from scipy.special import ndtri
from scipy.stats import rankdata

from models.encoding import CategoryColumn, Encoder, Floats, SeveralOfColumn

# Terms of the series below: at a latent correlation of 0.9, what is left out is under 0.9^40 = 1.5 %.
HERMITE_TERMS = 40
# Latent correlations beyond it make the matrix singular; ranks are as good as equal there.
GREATEST_LATENT = 0.999
HALVINGS = 30
# Projections on the correlation matrices; each is closer than the last (Higham 2002).
PROJECTIONS = 50
LEAST_EIGENVALUE = 1e-6

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
    factor: Floats
    """Cholesky factor of the latent correlations, shape (variables, variables)."""

    def draw(self, generator: np.random.Generator) -> Floats:
        """As many rows as the sample has, in the same space; each column holds the sample's values in another order."""
        latent = self.factor @ generator.normal(size=(len(self.blocks), len(self.scaled)))
        drawn = self.scaled.copy()
        for block, rows, ranked in zip(self.blocks, self.ordered_rows, np.argsort(latent, axis=1), strict=True):
            drawn[ranked, block] = self.scaled[rows, block]
        return drawn


def learn_null(encoder: Encoder, matrix: Floats) -> Null:
    """The null of a sample that was encoded to this raw matrix (rows × width of the encoder)."""
    variables = [*_variables(encoder, matrix)]
    ranks = np.array([values for _, values in variables])
    factor: Floats = np.linalg.cholesky(_nearest_correlations(_latent_correlations(ranks))).astype(np.float64)
    return Null(
        scaled=encoder.scale(matrix),
        blocks=tuple(block for block, _ in variables),
        ordered_rows=np.argsort(ranks, axis=1, kind="stable"),
        factor=factor,
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


def _latent_correlations(ranks: Floats) -> Floats:
    """The correlations of normal variables whose ranks, tied as those given are, have the correlations of these.

    The rank correlation that belongs to a latent correlation r is Σ aᵢₖ aⱼₖ rᵏ, where aᵢₖ are the coefficients of the
    standardised rank of variable i in normalised Hermite polynomials (Mehler's formula). It grows with r, so r is found
    by halving.
    """
    standard = ranks - ranks.mean(axis=1, keepdims=True)
    standard /= standard.std(axis=1, keepdims=True)
    wanted = standard @ standard.T / standard.shape[1]
    coefficients = _hermite_coefficients(np.sort(standard, axis=1))
    low, high = np.full_like(wanted, -GREATEST_LATENT), np.full_like(wanted, GREATEST_LATENT)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        reached = np.zeros_like(middle)
        for coefficient in coefficients[::-1]:
            reached = (reached + np.outer(coefficient, coefficient)) * middle
        low, high = np.where(reached < wanted, middle, low), np.where(reached < wanted, high, middle)
    latent: Floats = (low + high) / 2
    np.fill_diagonal(latent, 1.0)
    return latent


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


def _nearest_correlations(matrix: Floats) -> Floats:
    """The correlation matrix nearest to a symmetric one, positive definite (Higham 2002)."""
    nearest, correction = matrix, np.zeros_like(matrix)
    for _ in range(PROJECTIONS):
        values, vectors = np.linalg.eigh(nearest - correction)
        if values[0] >= LEAST_EIGENVALUE:
            break
        positive = (vectors * np.maximum(values, 2 * LEAST_EIGENVALUE)) @ vectors.T
        correction = positive - (nearest - correction)
        nearest = positive.copy()
        np.fill_diagonal(nearest, 1.0)
    values, vectors = np.linalg.eigh(nearest)
    definite: Floats = (vectors * np.maximum(values, LEAST_EIGENVALUE)) @ vectors.T
    deviations = np.sqrt(np.diag(definite))
    definite /= np.outer(deviations, deviations)
    return definite
