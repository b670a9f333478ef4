"""Rows drawn at random from a history that comes in chunks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Drawn = Sequence[npt.NDArray[np.intp]]
"""Row indices for each chunk, ascending."""


def draw(chunk_rows: Sequence[int], most: int, seed: int) -> Drawn:
    """At most so many rows, drawn uniformly at random without replacement.

    Equal chunks and seeds give equal rows.
    """
    if sum(chunk_rows) <= most:
        return [np.arange(rows) for rows in chunk_rows]
    generator = np.random.default_rng(seed)
    # First the count per chunk, then the rows: rows that are not drawn take no memory.
    counts = generator.multivariate_hypergeometric(chunk_rows, most).tolist()
    return [
        np.sort(generator.choice(rows, count, replace=False)) for rows, count in zip(chunk_rows, counts, strict=True)
    ]
