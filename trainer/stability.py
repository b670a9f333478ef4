"""Whether segments come back when the users are drawn again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.scikit import Labels


@dataclass(frozen=True, slots=True)
class Resample:
    """Users drawn again, and the segments that a new search finds in them."""

    rows: npt.NDArray[np.intp]
    """Drawn with replacement, shape (n,)."""
    labels: Labels
    """The cluster of each drawn row, under the number of the solution's cluster that it was matched to, shape (n,)."""


@dataclass(frozen=True, slots=True)
class Stability:
    """How well each cluster of a solution comes back."""

    jaccard: tuple[float, ...]
    """Per cluster of the solution: mean over the resamples of the Jaccard index with its match (Hennig 2007)."""
    resamples: tuple[Resample, ...]
