"""How many outcomes each input record has: one small integer for each offset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]

# The number of an offset: 1 if it is an input record, and 2 for each of at most two outcomes.
_INPUT: Final = 1
_OUTCOME: Final = 2
_OUTCOMES_MOST: Final = 2
EXAMPLES_MOST: Final = 10


@dataclass(frozen=True, slots=True)
class Found:
    """How many offsets, and the first of them."""

    count: int
    examples: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """What the offsets of one partition amount to."""

    inputs: int
    unanswered: int
    """Input records without an outcome, below the offset from which on they count as missing."""
    missing: Found
    duplicates: Found
    """Input records with more than one outcome."""
    orphans: Found
    """Offsets with an outcome where there is not any input record."""


class Ledger:
    """Input records and their outcomes, in any order, over one range of offsets for each partition.

    It takes one byte for each offset: 1 GB for a thousand million records.
    """

    def __init__(self, spans: Mapping[int, range]) -> None:
        self._spans = spans
        self._states = {partition: np.zeros(len(span), np.uint8) for partition, span in spans.items()}

    def add_inputs(self, partition: int, offsets: Offsets) -> None:
        """There are input records at these offsets, all within the partition's range."""
        self._states[partition][offsets - self._spans[partition].start] |= _INPUT

    def add_outcomes(self, partition: int, offsets: Offsets) -> NDArray[np.bool_]:
        """There is one more outcome for each of these offsets, all within the partition's range.

        Returns, for each, whether it is the first one of its offset.
        """
        states = self._states[partition]
        several, first_rows, counts = np.unique(
            offsets - self._spans[partition].start, return_index=True, return_counts=True
        )
        before = states[several] // _OUTCOME
        after = np.minimum(before + counts, _OUTCOMES_MOST).astype(np.uint8)
        states[several] = (states[several] & _INPUT) + _OUTCOME * after
        first = np.zeros(len(offsets), np.bool_)
        first[first_rows[before == 0]] = True
        return first

    def tally(self, partition: int, missing_from: int) -> Tally:
        """What it amounts to; input records without an outcome are missing from this offset on."""
        states, start = self._states[partition], self._spans[partition].start
        without = states == _INPUT
        checkable = max(0, missing_from - start)
        return Tally(
            inputs=int(np.count_nonzero(states & _INPUT)),
            unanswered=int(np.count_nonzero(without[:checkable])),
            missing=_found(without[checkable:], start + checkable),
            duplicates=_found(states == _INPUT + _OUTCOMES_MOST * _OUTCOME, start),
            orphans=_found((states & _INPUT == 0) & (states > 0), start),
        )


def _found(where: NDArray[np.bool_], start: int) -> Found:
    offsets = start + np.flatnonzero(where)
    return Found(len(offsets), tuple(offsets[:EXAMPLES_MOST].tolist()))
