"""Rows drawn at random from a history that comes in chunks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Drawn = Sequence[npt.NDArray[np.intp]]
"""Some rows: which of each chunk, in ascending order."""


def draw(chunk_rows: Sequence[int], most: int, seed: int) -> Drawn:
    """So many rows at random without replacement, each as likely as any other; all of them where there are no more.

    Equal chunks and seeds give equal rows.
    """
    if sum(chunk_rows) <= most:
        return [np.arange(rows) for rows in chunk_rows]
    generator = np.random.default_rng(seed)
    # First how many of each chunk, then which: it takes no memory for rows that are not drawn.
    counts = generator.multivariate_hypergeometric(chunk_rows, most).tolist()
    return [
        np.sort(generator.choice(rows, count, replace=False)) for rows, count in zip(chunk_rows, counts, strict=True)
    ]
