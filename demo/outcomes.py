"""The worker's outcomes, counted: assignments by segment, rejected events by reason, and outcomes per input record."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from demo.kafka.client import StoredRecord
from demo.population import planted_group
from schemas.events import SegmentAssigned
from schemas.rejected import RejectedHeader, RejectReason

_LAST = 5

InputRecord = tuple[int, int]
"""Partition and offset of an input record."""


@dataclass
class Outcomes:
    """The outcomes read so far; records are added in the order in which they were read."""

    rejected_topic: str
    segments: Counter[int] = field(default_factory=Counter)
    names: dict[int, str] = field(default_factory=dict)
    reasons: Counter[RejectReason] = field(default_factory=Counter)
    inputs: Counter[InputRecord] = field(default_factory=Counter)
    """Number of outcomes by input record."""
    together: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Number of assignments by planted group and segment."""
    last: deque[SegmentAssigned] = field(default_factory=lambda: deque(maxlen=_LAST))

    @property
    def assigned(self) -> int:
        """Number of assignments."""
        return self.segments.total()

    @property
    def rejected(self) -> int:
        """Number of rejected events."""
        return self.reasons.total()

    @property
    def total(self) -> int:
        """Number of outcomes."""
        return self.assigned + self.rejected

    def add(self, records: Iterable[StoredRecord]) -> None:
        """Count records of the output topic and of the dead-letter topic."""
        for record in records:
            if record.topic == self.rejected_topic:
                self._add_rejected(record.headers)
            else:
                self._add_assigned(SegmentAssigned.model_validate_json(record.value or b""))

    def _add_assigned(self, event: SegmentAssigned) -> None:
        assignment = event.data
        self.segments[assignment.segment] += 1
        self.names[assignment.segment] = assignment.segment_name
        self.inputs[assignment.input.partition, assignment.input.offset] += 1
        self.together[planted_group(event.subject), assignment.segment] += 1
        self.last.append(event)

    def _add_rejected(self, headers: Mapping[str, bytes]) -> None:
        self.reasons[RejectReason(headers[RejectedHeader.REASON].decode())] += 1
        self.inputs[int(headers[RejectedHeader.PARTITION]), int(headers[RejectedHeader.OFFSET])] += 1

    def lost_and_duplicates(self, end_offsets: Mapping[int, int]) -> tuple[int, int]:
        """How many input records below the end offsets have no outcome, and how many outcomes are surplus."""
        inputs = {(partition, offset) for partition, end in end_offsets.items() for offset in range(end)}
        lost = len(inputs - self.inputs.keys())
        return lost, self.inputs.total() - (len(inputs) - lost)


def adjusted_rand_index(together: Mapping[tuple[int, int], int]) -> float:
    """How well two partitions of the same items agree: 1 the same, about 0 no better than chance (Hubert, Arabie 1985).

    `together` counts the items by their part in the first and in the second partition.
    """
    first, second = Counter[int](), Counter[int]()
    for (one, other), count in together.items():
        first[one] += count
        second[other] += count
    both = sum(map(_pairs, together.values()))
    in_first, in_second = (sum(map(_pairs, sizes.values())) for sizes in (first, second))
    by_chance = in_first * in_second / max(_pairs(first.total()), 1)
    at_best = (in_first + in_second) / 2
    return 1.0 if at_best == by_chance else (both - by_chance) / (at_best - by_chance)


def _pairs(things: int) -> int:
    return things * (things - 1) // 2
