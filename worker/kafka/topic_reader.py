"""Reading ranges of topics as a read_committed reader outside of any group; nothing is ever written."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

from kafka import KafkaAdminClient, KafkaConsumer
from kafka.admin import OffsetSpec
from kafka.errors import GroupAuthorizationFailedError, KafkaError, OffsetOutOfRangeError
from kafka.structs import TopicPartition

from worker.errors import ExitStatus, StopProcessError, WorkerError
from worker.kafka.client import CONNECT_MS, connected
from worker.kafka.errors import fault
from worker.kafka.lost_offsets import CommittedOffset, LostOffset, loss_reason, topic_id_in
from worker.kafka.ports import NotedOffset
from worker.kafka.tuning import FETCH_BYTES, PARTITION_FETCH_BYTES
from worker.settings import Settings
from worker.stream.records import Record

Partition = tuple[str, int]
"""Topic and number."""

_POLL_MS: Final = 500
_POLL_RECORDS: Final = 5_000
_ANSWER_MS: Final = 10_000
# In addition to the longest transaction: the broker looks for those that are too old every 10 s.
_PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Log:
    """What a partition holds: offsets from `start` up to and without `end`, open transactions included."""

    start: int
    end: int
    first_time_ms: int | None
    """The time of its first record; None where it is empty."""


class TopicReader:
    """A connection that only reads: it never joins a group, commits or writes.

    It needs READ on the topics and DESCRIBE on the group. Every method raises StopProcessError; a context manager.
    """

    def __init__(self, settings: Settings, connection: Mapping[str, Any], group_id: str) -> None:
        self._settings = settings
        self._group_id = group_id
        with self._answers("connecting"):
            self._admin = connected(
                KafkaAdminClient,
                **connection,
                bootstrap_timeout_ms=CONNECT_MS,
                request_timeout_ms=_ANSWER_MS,
            )
            self._consumer = connected(
                KafkaConsumer,
                **connection,
                # Only to ask for its offsets: assigning partitions by hand does not join it.
                group_id=group_id,
                # Also waits for offsets of open transactions, which others would see too late.
                isolation_level="read_committed",
                enable_auto_commit=False,
                auto_offset_reset="none",
                fetch_max_bytes=FETCH_BYTES,
                max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
                bootstrap_timeout_ms=CONNECT_MS,
                metrics_enabled=False,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close(autocommit=False)
        self._admin.close()

    def committed(self, topic: str, partitions: int) -> Mapping[int, int]:
        """The group's committed offset of each partition that has one, after all open transactions are over."""
        return {number: offset for number, (offset, _) in self.committed_with_notes(topic, partitions).items()}

    def committed_with_notes(self, topic: str, partitions: int) -> Mapping[int, NotedOffset]:
        """The same, each with the note that was committed beside it."""
        coordinator = self._consumer._coordinator  # noqa: SLF001  # committed() asks for one partition at a time
        wanted = [TopicPartition(topic, number) for number in range(partitions)]
        with self._answers("asking for the committed offsets"):
            found = coordinator.fetch_committed_offsets(wanted, timeout_ms=int(self._longest_wait_s * 1000))
        return {
            at.partition: NotedOffset.stored(each.offset, each.metadata)
            for at, each in found.items()
            if each.offset >= 0
        }

    def lost_offsets(self, topic: str, partitions: int) -> Iterator[LostOffset]:
        """The group's committed offsets, as they are now, that a worker could not resume from."""
        wanted = [TopicPartition(topic, number) for number in range(partitions)]
        with self._answers("asking for the committed offsets"):
            # Before the logs, so that a worker that continues meanwhile is never ahead of what they hold.
            found = self._admin.list_group_offsets({self._group_id: wanted})[self._group_id]
            # Brokers before Kafka 2.8 have no topic ids, and some answer zero.
            current_id = UUID(self._admin.describe_topics([topic])[0].get("topic_id") or UUID(int=0).hex)
        logs = self.logs(topic, partitions)
        for at, each in sorted(found.items()):
            log = logs[topic, at.partition]
            noted = NotedOffset.stored(each.offset, each.metadata)
            committed = CommittedOffset(noted.offset, topic_id_in(noted.note))
            current = str(current_id) if current_id.int else ""
            reason = loss_reason(committed, current, log.start, beyond_end=each.offset > log.end)
            if each.offset >= 0 and reason is not None:
                yield LostOffset(at.partition, each.offset, log.start, log.end, reason)

    def logs(self, topic: str, partitions: int) -> Mapping[Partition, Log]:
        """What each partition of the topic holds now."""
        wanted = [TopicPartition(topic, number) for number in range(partitions)]
        with self._answers(f"asking for the offsets of topic {topic}"):
            # In this order: a record that comes in between makes the log longer, not wrong.
            starts = self._admin.list_partition_offsets(dict.fromkeys(wanted, OffsetSpec.EARLIEST))
            firsts = self._admin.list_partition_offsets(dict.fromkeys(wanted, 0))
            ends = self._admin.list_partition_offsets(dict.fromkeys(wanted, OffsetSpec.LATEST))
        return {
            (topic, at.partition): Log(
                start=starts[at].offset,
                end=ends[at].offset,
                first_time_ms=firsts[at].timestamp if firsts[at].offset >= 0 else None,
            )
            for at in wanted
        }

    def stable_ends(self, partitions: Iterable[Partition]) -> Mapping[Partition, int]:
        """The last stable offset of each partition: where a read_committed reader ends now."""
        with self._answers("asking for the ends of the log"):
            found = self._consumer.end_offsets([TopicPartition(*at) for at in partitions], timeout_ms=_ANSWER_MS)
        return {(at.topic, at.partition): offset for at, offset in found.items()}

    def offsets_at(self, topic: str, partitions: int, time_ms: int) -> Mapping[int, int]:
        """Each partition's first offset at or after this time; partitions without one are left out."""
        wanted = [TopicPartition(topic, number) for number in range(partitions)]
        with self._answers(f"asking for the offsets of topic {topic}"):
            found = self._admin.list_partition_offsets(dict.fromkeys(wanted, max(0, time_ms)))
        return {at.partition: each.offset for at, each in found.items() if each.offset >= 0}

    def read(self, spans: Mapping[Partition, range]) -> Iterator[tuple[Partition, int, list[Record]]]:
        """All records in these ranges of offsets that a read_committed reader receives, in parts of one partition each.

        Each part comes with the next offset to be read there, which is also beyond transaction markers and aborted
        records. Waits for open transactions within a range. Memory depends on the number of partitions only.
        """
        left = {TopicPartition(*at): span for at, span in spans.items() if span}
        moved_s = time.monotonic()
        with self._answers("reading"):
            self._consumer.assign(list(left))
            # A partition that was assigned before keeps that it was paused, when a range before this one ended.
            self._consumer.resume(*left)
            for at, span in left.items():
                self._consumer.seek(at, span.start)
        reached = {at: span.start for at, span in left.items()}
        while left:
            with self._answers("reading"):
                found = self._consumer.poll(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
            for at in list(left):
                position = self._position(at)
                if position == reached[at]:
                    continue
                moved_s, reached[at], stop = time.monotonic(), position, left[at].stop
                rows = [
                    Record(at.topic, at.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
                    for r in found.get(at, ())
                    if r.offset < stop
                ]
                yield (at.topic, at.partition), min(position, stop), rows
                if position >= stop:
                    del left[at]
                    self._consumer.pause(at)
            if left and time.monotonic() - moved_s > self._longest_wait_s:
                raise self._stuck(next(iter(left)), reached)

    @property
    def _longest_wait_s(self) -> float:
        return self._settings.worker_transaction_timeout_ms / 1000 + _PATIENCE_S

    def _position(self, at: TopicPartition) -> int:
        # position() would ask the broker where one is missing; all of these were set.
        position: int = self._consumer._subscription.position(at).offset  # noqa: SLF001  # see above
        return position

    def _stuck(self, at: TopicPartition, reached: Mapping[TopicPartition, int]) -> WorkerError:
        return StopProcessError(
            f"topic {at.topic}, partition {at.partition} could not be read beyond offset {reached[at]} for "
            f"{self._longest_wait_s:g} s: its broker does not answer, or a transaction is open there; find it with "
            "kafka-transactions find-hanging, then run this again",
            ExitStatus.RESTART,
        )

    @contextmanager
    def _answers(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OffsetOutOfRangeError as error:
            raise StopProcessError(
                f"retention deleted records while they were read ({error}); run this again", ExitStatus.RESTART
            ) from error
        except GroupAuthorizationFailedError as error:
            raise StopProcessError(
                f"no right to use group {self._group_id}; grant DESCRIBE on it to see offsets, READ to commit them",
                ExitStatus.ACT_FIRST,
            ) from error
        except KafkaError as error:
            failure = fault([error], doing, self._settings)
            if isinstance(failure, StopProcessError):
                raise failure from error
            raise StopProcessError(
                f"{self._settings.kafka_bootstrap_servers} did not answer ({failure}); run this again",
                ExitStatus.RESTART,
            ) from error
