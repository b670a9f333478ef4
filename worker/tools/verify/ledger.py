"""How many outcomes each input record has: one small number for each offset, in little memory."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]

BLOCK: Final = 1 << 16
# Blocks that lie open, over all partitions: 32 MiB.
_OPEN_MOST: Final = 512
# What the number of an offset says: 1 when it is an input record, and 2 for each of at most two outcomes.
_INPUT: Final = 1
_OUTCOME: Final = 2
_OUTCOMES_MOST: Final = 2
EXAMPLES_MOST: Final = 10


@dataclass(frozen=True, slots=True)
class Tally:
    """What the offsets of one partition came to; of each kind of damage the count and the first offsets."""

    inputs: int
    unanswered: int
    """Input records without an outcome, below the offset from which on they count as missing."""
    missing: int
    doubled: int
    """Input records with more than one outcome."""
    strangers: int
    """Offsets with an outcome where there is no input record."""
    missing_at: tuple[int, ...]
    doubled_at: tuple[int, ...]
    strangers_at: tuple[int, ...]


class Ledger:
    """Input records and their outcomes, in any order, over one range of offsets for each partition.

    One byte for each offset, in blocks of 65,536. All but the blocks used last are compressed: a block in which all is
    well takes about 300 bytes, so that a thousand million records fit in 5 MB.
    """

    def __init__(self, spans: Mapping[int, range]) -> None:
        self._spans = spans
        self._open: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self._closed: dict[tuple[int, int], bytes] = {}

    def add_inputs(self, partition: int, offsets: Offsets) -> None:
        """There are input records at these offsets, all within the partition's range."""
        for block, places, _ in self._by_block(partition, offsets):
            block[places] |= _INPUT

    def add_outcomes(self, partition: int, offsets: Offsets) -> NDArray[np.bool_]:
        """There is one more outcome for each of these offsets, all within the partition's range.

        Returns, for each, whether it is the first one of its offset.
        """
        first = np.zeros(len(offsets), np.bool_)
        for block, places, rows in self._by_block(partition, offsets):
            several, first_rows, counts = np.unique(places, return_index=True, return_counts=True)
            before = block[several] // _OUTCOME
            first[rows[first_rows[before == 0]]] = True
            after = np.minimum(before + counts, _OUTCOMES_MOST).astype(np.uint8)
            block[several] = (block[several] & _INPUT) + _OUTCOME * after
        return first

    def tally(self, partition: int, missing_from: int) -> Tally:
        """What it came to; input records without an outcome are missing from this offset on."""
        inputs = unanswered = 0
        missing, doubled, strangers = _Found(), _Found(), _Found()
        for start, states in self._blocks(partition):
            is_input = (states & _INPUT).astype(np.bool_)
            outcomes = states // _OUTCOME
            without = start + np.flatnonzero(is_input & (outcomes == 0))
            late = without >= missing_from
            inputs += int(np.count_nonzero(is_input))
            unanswered += len(without) - int(np.count_nonzero(late))
            missing.add(without[late])
            doubled.add(start + np.flatnonzero(is_input & (outcomes > 1)))
            strangers.add(start + np.flatnonzero(~is_input & (outcomes > 0)))
        return Tally(
            inputs=inputs,
            unanswered=unanswered,
            missing=missing.count,
            doubled=doubled.count,
            strangers=strangers.count,
            missing_at=missing.examples,
            doubled_at=doubled.examples,
            strangers_at=strangers.examples,
        )

    def _by_block(
        self, partition: int, offsets: Offsets
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]]:
        """Each block that is meant, with the places in it, and the rows of `offsets` that they come from."""
        relative = offsets - self._spans[partition].start
        numbers = relative // BLOCK
        for number in np.unique(numbers).tolist():
            rows = np.flatnonzero(numbers == number)
            yield self._block((partition, number)), relative[rows] - number * BLOCK, rows

    def _block(self, key: tuple[int, int]) -> NDArray[np.uint8]:
        if key in self._open:
            self._open.move_to_end(key)
            return self._open[key]
        closed = self._closed.pop(key, None)
        block = (
            np.zeros(BLOCK, np.uint8) if closed is None else np.frombuffer(bytearray(zlib.decompress(closed)), np.uint8)
        )
        self._open[key] = block
        if len(self._open) > _OPEN_MOST:
            oldest, its_block = self._open.popitem(last=False)
            self._closed[oldest] = zlib.compress(its_block.tobytes(), 1)
        return block

    def _blocks(self, partition: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        numbers = sorted(number for of, number in {*self._open, *self._closed} if of == partition)
        for number in numbers:
            yield self._spans[partition].start + number * BLOCK, self._block((partition, number))


class _Found:
    """A count, and the first offsets of what was counted."""

    def __init__(self) -> None:
        self.count = 0
        self.examples: tuple[int, ...] = ()

    def add(self, offsets: Offsets) -> None:
        self.count += len(offsets)
        self.examples += tuple(offsets[: EXAMPLES_MOST - len(self.examples)].tolist())
