"""What must come out of a backlog, and what is wrong with what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose

from schemas.rejected import RejectReason

DISTANCE_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Assigned:
    """The outcome of a valid event."""

    segment: int
    distance: float


Outcome = Assigned | RejectReason
Expected = Mapping[int, Sequence[Outcome]]
"""Partition of the input topic -> the outcome of each of its offsets, from 0."""


class Comparison:
    """Counts what is missing, doubled or wrong among the outcomes of a contender."""

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._seen = {partition: bytearray(len(outcomes)) for partition, outcomes in expected.items()}
        self.doubled = 0
        self.wrong = 0

    def see(self, partition: int, offset: int, outcome: Outcome | None) -> None:
        """Take one outcome with the position of its input; None: one that cannot be read."""
        seen = self._seen.get(partition, bytearray())
        if not 0 <= offset < len(seen):
            self.wrong += 1
        elif seen[offset]:
            self.doubled += 1
        else:
            seen[offset] = 1
            self.wrong += not _same(self._expected[partition][offset], outcome)

    @property
    def missing(self) -> int:
        """How many events have no outcome."""
        return sum(seen.count(0) for seen in self._seen.values())

    def problems(self) -> str:
        """What is wrong, in words; empty if nothing is."""
        found = {"missing": self.missing, "doubled": self.doubled, "wrong": self.wrong}
        return ", ".join(f"{count:,} {name}" for name, count in found.items() if count)


def _same(expected: Outcome, seen: Outcome | None) -> bool:
    if not isinstance(expected, Assigned) or not isinstance(seen, Assigned):
        return expected == seen
    return expected.segment == seen.segment and isclose(
        expected.distance, seen.distance, rel_tol=0, abs_tol=DISTANCE_TOLERANCE
    )
