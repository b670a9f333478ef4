"""What the loop needs from its surroundings: a transport, an observer, a stop signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from worker.errors import RetryBatchError
from worker.stream.records import Batch, Outcome


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """How far one assigned partition has been processed."""

    topic: str
    partition: int
    position: int | None
    """The next offset to process; all before it are committed. None until it is known."""
    last_stable_offset: int | None
    """The end of what a read_committed reader can see now; None if no broker answered."""

    @property
    def lag(self) -> int | None:
        """How many offsets are left to process; None if no broker answered."""
        if self.position is None or self.last_stable_offset is None:
            return None
        return max(0, self.last_stable_offset - self.position)


class Transport(Protocol):
    """Batches in, outcomes out, exactly once; one commit at a time, during which the next batch may be read.

    Every method but `progress` and `joined` belongs to the loop's thread, and raises RetryBatchError when nothing was
    committed and the batch can be read again, StopProcessError when the process must end.
    """

    def poll(self) -> Batch | None:
        """The next batch, or None when nothing came within a short wait, or by the end of the commit."""
        ...

    def begin(self, batch: Batch, outcome: Outcome) -> None:
        """Begin to make all of the outcome visible and the batch's offsets committed, or nothing of either.

        Only after what was begun before is finished.
        """
        ...

    def finish(self) -> float:
        """Wait until the commit that was begun is over; returns how long it took, in seconds.

        What was polled since must be forgotten if this raises.
        """
        ...

    def commit_markers(self) -> None:
        """Commit offsets that were read and that no record belongs to, if that works at the first try; never raises.

        All that was polled must be finished.
        """
        ...

    def rewind(self) -> None:
        """Go back to the committed offsets: what was polled since and not committed is polled again."""
        ...

    def close(self) -> None:
        """Leave the group and release everything, after a commit under way; bounded in time, and fine to call twice."""
        ...

    def progress(self) -> tuple[PartitionProgress, ...]:
        """Each assigned partition's progress, asked of the brokers now; from any thread, within 2 s, never raises."""
        ...

    @property
    def joined(self) -> bool:
        """Whether this process is a member of its group, even one without a partition; from any thread."""
        ...


@dataclass(frozen=True, slots=True)
class Timings:
    """How long each step of one committed batch took."""

    process_s: float
    commit_s: float


class Observer(Protocol):
    """Metrics, health and log of the loop. Called on the loop's thread; must neither raise nor block."""

    def turned(self) -> None:
        """One turn succeeded, with or without records."""
        ...

    def committed(self, batch: Batch, outcome: Outcome, timings: Timings) -> None:
        """A batch was committed; it may not be counted before this call, or an aborted batch counts twice."""
        ...

    def retrying(self, error: RetryBatchError, delay_s: float) -> None:
        """One turn failed, nothing was committed; after the delay the same records are read again."""
        ...


class StopSignal(Protocol):
    """Set once, from a signal handler or another thread; threading.Event is one."""

    def is_set(self) -> bool:
        """Whether the process should end."""
        ...
