"""Kafka in memory, behind the same seam: what a transport promises, and nothing of how Kafka does it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from worker.errors import RetryBatchError, WorkerError
from worker.stream.ports import PartitionProgress
from worker.stream.records import Batch, Membership, Message, Outcome, Record, Records

TOPIC = "in"
MEMBER = Membership("group", "member", 1, None)


@dataclass
class FakeTransport:
    """One topic of several partitions.

    Errors put into `poll_errors` and `commit_errors` are raised once each; None lets one commit pass.
    """

    partitions: int = 2
    batch_max_events: int = 3
    results: list[Message] = field(default_factory=list)
    rejected: list[Message] = field(default_factory=list)
    poll_errors: deque[WorkerError] = field(default_factory=deque)
    commit_errors: deque[WorkerError | None] = field(default_factory=deque)
    on_poll: Callable[[], None] = lambda: None
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._log: list[list[Record]] = [[] for _ in range(self.partitions)]
        self._committed = [0] * self.partitions
        self._position = [0] * self.partitions
        self._stale = False
        self._in_flight: tuple[Batch, Outcome] | None = None
        self._closed = False

    def send(self, partition: int, value: bytes, key: bytes | None = None) -> None:
        """Append one record to the input."""
        log = self._log[partition]
        log.append(Record(TOPIC, partition, len(log), 0, key, value))

    def rebalance(self) -> None:
        """What was polled until now may no longer be committed."""
        self._stale = True

    @property
    def closed(self) -> bool:
        return self._closed

    def poll(self) -> Batch | None:
        self.calls.append("poll")
        self.on_poll()
        if self.poll_errors:
            raise self.poll_errors.popleft()
        records: list[Record] = []
        for partition, log in enumerate(self._log):
            taken = log[self._position[partition] :][: self.batch_max_events - len(records)]
            self._position[partition] += len(taken)
            records += taken
        if not records:
            return None
        return Batch(Records.of(records), {(r.topic, r.partition): r.offset + 1 for r in records}, MEMBER)

    def begin(self, batch: Batch, outcome: Outcome) -> None:
        self.calls.append("begin")
        assert self._in_flight is None
        if self._stale:
            raise RetryBatchError("the group rebalanced while the batch was in hand")
        self._in_flight = batch, outcome

    def finish(self) -> float:
        self.calls.append("finish")
        assert self._in_flight is not None
        (batch, outcome), self._in_flight = self._in_flight, None
        if self.commit_errors and (error := self.commit_errors.popleft()) is not None:
            raise error
        self.results += outcome.results
        self.rejected += outcome.rejected
        for (_, partition), offset in batch.next_offsets.items():
            self._committed[partition] = offset
        return 0.0

    def commit_markers(self) -> None:
        self.calls.append("commit_markers")
        assert self._in_flight is None

    def rewind(self) -> None:
        self.calls.append("rewind")
        assert self._in_flight is None
        self._stale = False
        self._position = list(self._committed)

    def close(self) -> None:
        self.calls.append("close")
        self._closed = True

    def progress(self) -> tuple[PartitionProgress, ...]:
        return tuple(
            PartitionProgress(TOPIC, partition, self._committed[partition], len(log))
            for partition, log in enumerate(self._log)
        )

    @property
    def joined(self) -> bool:
        return not self._closed
