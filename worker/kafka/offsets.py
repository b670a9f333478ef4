"""The offset from which each assigned partition is read, and what happens if that offset is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from kafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from kafka.structs import TopicPartition

from worker.errors import ExitStatus, RetryBatchError, StopProcessError
from worker.kafka.errors import fault
from worker.kafka.lost_offsets import (
    CommittedOffset,
    LossReason,
    LostOffset,
    is_other_topic,
    loss_reason,
    topic_id_in,
)
from worker.kafka.ports import ConsumerClient
from worker.lifecycle import Deadline
from worker.settings import Settings
from worker.stream.ports import PartitionProgress

STEP_LONGEST_S = 15.0
ANSWER_MS = 5_000
PROGRESS_ANSWER_MS = 2_000
_log = structlog.get_logger()


class NoStartOffset(Exception):
    """An assigned partition has no committed offset, or one that its log does not hold."""

    def __init__(self, out_of_range: Mapping[TopicPartition, int] | None = None) -> None:
        super().__init__()
        self.out_of_range = out_of_range or {}
        """The offsets that the broker refused to read from."""


@dataclass(frozen=True, slots=True)
class Starts:
    """Where to start each partition that has no offset to resume from."""

    new: Mapping[tuple[str, int], int]
    """Partitions that the group has never committed."""
    new_at: str
    """Which end of the log those offsets are: earliest or latest."""
    lost: Mapping[tuple[str, int], LostOffset]
    """Partitions whose committed offset is lost; they start at the beginning of the log."""
    topic_id: str
    """The topic that the offsets belong to."""

    @property
    def offsets(self) -> Mapping[tuple[str, int], int]:
        """All of them, to be committed."""
        return {**self.new, **{at: lost.log_start for at, lost in self.lost.items()}}


class InputOffsets:
    """The committed and the read offsets of one consumer of the input topic.

    All but `progress` belong to one thread. A topic that is deleted and recreated keeps its name and gets other
    records; resuming at the old offset would skip as many of them. So each offset is committed with its topic's id.
    """

    def __init__(self, settings: Settings, client: ConsumerClient, deadline: Deadline) -> None:
        self._settings = settings
        self._client = client
        self._deadline = deadline
        # Of each assigned partition, None until known. Replaced as a whole: progress() reads it from another thread.
        self._committed: Mapping[TopicPartition, int | None] = {}
        # Also of partitions that have left since: an offset that was there and is gone was deleted.
        self._known: dict[TopicPartition, int] = {}
        # From the committed offset on, offsets that this process has read and that held no record.
        self._without_records: Mapping[TopicPartition, range] = {}
        self._topic_id = ""

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """One call of the client: bounded in time, with its errors translated.

        Raises NoStartOffset and WorkerError.
        """
        try:
            with self._deadline.within(STEP_LONGEST_S, doing):
                self._client.require_login()
                yield
        except NoOffsetForPartitionError as error:
            raise NoStartOffset from error
        except OffsetOutOfRangeError as error:
            raise NoStartOffset(error.args[0]) from error
        except KafkaError as error:
            raise fault([error], doing, self._settings) from error

    @property
    def topic_id(self) -> str:
        """The id of the topic that is read; empty where the brokers are too old to have one."""
        return self._topic_id

    def require_topic(self) -> None:
        """Raise NoStartOffset when the topic that was read is gone and another one has its name.

        Not while nothing is assigned: the offsets in the new topic are unknown then, and the change would be forgotten.
        """
        if self._client.assignment() and self._is_recreated(self._topic_id):
            raise NoStartOffset

    def follow_assignment(self) -> None:
        """Forget the partitions that are no longer assigned."""
        self._committed = {partition: self._committed.get(partition) for partition in self._client.assignment()}

    def found_by_client(self) -> bool:
        """Whether the client found a committed offset where `rewind` found none: another member committed it since."""
        positions = self._client.positions()
        return any(offset is None and partition in positions for partition, offset in self._committed.items())

    def ahead(self) -> Mapping[tuple[str, int], int]:
        """How far each assigned partition has been read where that is beyond its committed offset.

        Also where no record was: a group that never commits the offsets of transaction markers and aborted records has
        a lag for ever, and its offset is out of range once retention has deleted them (KAFKA-6607, KAFKA-10683).
        """
        return {
            (partition.topic, partition.partition): position
            for partition, position in self._client.positions().items()
            if (committed := self._committed.get(partition)) is not None and position > committed
        }

    def note_no_records(self, ahead: Mapping[tuple[str, int], int]) -> None:
        """Everything between the committed offsets and these was read, and held no record."""
        self._without_records = {
            partition: range(committed, ahead[partition.topic, partition.partition])
            for partition, committed in self._committed.items()
            if committed is not None and (partition.topic, partition.partition) in ahead
        }

    def note_committed(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """These offsets were committed."""
        noted = {TopicPartition(*at): offset for at, offset in offsets.items()}
        self._committed = {**self._committed, **noted}
        self._known.update(noted)

    def rewind(self) -> None:
        """Go back to the committed offset of every assigned partition, asked again and stable.

        Asked again, because a partition can leave, advance elsewhere and come back. Raises NoStartOffset where an
        offset is gone that was there, or belongs to another topic.
        """
        found = self._ask_committed(self._client.assignment())
        self.require_topic()
        for partition, committed in found.items():
            gone = committed is None and partition in self._known
            if gone or (committed is not None and self._is_recreated(committed.topic_id)):
                raise NoStartOffset
        with self.step("going back to the committed offsets"):
            self._client.seek({at: self._resume_at(at, each.offset) for at, each in found.items() if each is not None})
        self._committed = {partition: each.offset if each else None for partition, each in found.items()}
        self._known.update({partition: each.offset for partition, each in found.items() if each})
        self._topic_id = self._topic_id or self._client.topic_id()

    def starts(self, out_of_range: Mapping[TopicPartition, int]) -> Starts:
        """Where to start those assigned partitions that have no offset to resume from.

        Raises StopProcessError where one is lost, unless WORKER_ON_OFFSET_OUT_OF_RANGE says to continue, and
        RetryBatchError when another member has to commit first.
        """
        # A log that does not hold where this process had got to is not the one that it read.
        self._without_records = {at: each for at, each in self._without_records.items() if at not in out_of_range}
        found = self._ask_committed(self._client.assignment())
        topic_id = self._client.topic_id()
        first, end = self._log_ends(found)
        lost: dict[tuple[str, int], LostOffset] = {}
        new: list[TopicPartition] = []
        for partition, committed in found.items():
            reason = self._loss_reason(partition, committed, out_of_range, first[partition])
            if reason is not None:
                offset = committed.offset if committed else self._known.get(partition)
                loss = LostOffset(partition.partition, offset, first[partition], end[partition], reason)
                if loss.only_by_hand or self._settings.worker_on_offset_out_of_range == "stop":
                    raise self._stop(loss)
                lost[partition.topic, partition.partition] = loss
            elif committed is None:
                new.append(partition)
        new_at = "earliest"
        if new and self._settings.worker_start_at == "latest":
            if self._has_begun():
                # Asked again, because it may have begun since: then they had a place in that beginning.
                new = [partition for partition, committed in self._ask_committed(new).items() if committed is None]
            else:
                new_at = "latest"
                # The whole topic's, not only the assigned ones: see _has_begun.
                _, end = self._log_ends(new := list(self._client.partitions()))
        offsets = {(each.topic, each.partition): (first if new_at == "earliest" else end)[each] for each in new}
        return Starts(offsets, new_at, lost, topic_id)

    def begin(self, starts: Starts) -> None:
        """Continue from these offsets, which are committed by now."""
        self._committed = {}
        if starts.topic_id != self._topic_id:
            self._topic_id, self._without_records, self._known = starts.topic_id, {}, {}
        self.rewind()

    def progress(self) -> tuple[PartitionProgress, ...]:
        """Each assigned partition's progress; from any thread, within 2 s, never raises."""
        committed = self._committed
        ends: Mapping[TopicPartition, int] = {}
        if committed:
            try:
                ends = self._client.last_stable_offsets(committed, PROGRESS_ANSWER_MS)
            except Exception as error:  # noqa: BLE001  # whatever went wrong, no broker answered
                _log.debug("no_last_stable_offset", error=repr(error))
        return tuple(
            PartitionProgress(partition.topic, partition.partition, offset, ends.get(partition))
            for partition, offset in sorted(committed.items())
        )

    def _resume_at(self, partition: TopicPartition, committed: int) -> int:
        # Retention may delete markers that were read but not committed yet. Only the process that has read these
        # offsets knows that they held no record; once they are gone, nobody else can find out.
        without_records = self._without_records.get(partition, range(0))
        return without_records.stop if without_records and without_records.start == committed else committed

    def _has_begun(self) -> bool:
        """Whether the group has a beginning, so that a partition without a committed offset was added after it.

        WORKER_START_AT=latest says where a *group* begins. Events in partitions that were added later came after that,
        so these partitions start at their earliest record. Two members that start at the same time share out the
        partitions, and neither may mistake the other's first commit for an old group. So the member that has partition
        0 commits the beginning of all partitions that it knows, in one transaction, and the others wait for it. The
        broker refuses the transaction of a member that has lost partition 0 to another one, and tells nobody the
        offsets of a transaction that is not over yet. Hence: partition 0 has a committed offset if, and only if, the
        group has begun, and whatever has none then was not known then. That also holds for a partition that was added
        between the join and the first commit: its earliest record is not older than the group.

        The member that has partition 0 looks at all partitions: if any has an offset, the group has begun and only the
        offset of partition 0 was deleted. Once the offsets of all partitions are deleted or have expired, the group
        begins again. In doubt the earliest record is right: it loses nothing. Raises RetryBatchError when this member
        has to wait.
        """
        if any(offset is not None for offset in self._committed.values()):
            return True
        partition_0 = TopicPartition(self._settings.worker_input_topic, 0)
        begins = partition_0 in self._client.assignment()
        # Others ask for one partition only, because the answer waits for every open transaction of what they ask for.
        found = self._ask_committed(self._client.partitions() if begins else [partition_0])
        if any(found.values()):
            return True
        if not begins:
            raise RetryBatchError("waiting for the member with partition 0 to commit where the group begins")
        return False

    def _loss_reason(
        self,
        partition: TopicPartition,
        committed: CommittedOffset | None,
        out_of_range: Mapping[TopicPartition, int],
        log_start: int,
    ) -> LossReason | None:
        # The topic id beside an offset decides, not the topic that this worker knew: in the new one, others may have
        # committed already.
        if committed is None or not committed.topic_id:
            if self._is_recreated(self._topic_id):
                return LossReason.RECREATED
            if committed is None:
                return LossReason.DELETED if partition in self._known else None
        offset = self._resume_at(partition, committed.offset)
        return loss_reason(
            CommittedOffset(offset, committed.topic_id),
            self._client.topic_id(),
            log_start,
            # When it was refused, whatever has been written since.
            beyond_end=out_of_range.get(partition) == offset,
        )

    def _stop(self, lost: LostOffset) -> StopProcessError:
        settings = self._settings
        setting = f", or set WORKER_ON_OFFSET_OUT_OF_RANGE=earliest to continue at offset {lost.log_start}"
        return StopProcessError(
            f"group {settings.worker_group_id}, topic {settings.worker_input_topic}, partition {lost.partition}: "
            f"{lost.description}; choose an offset with kafka-consumer-groups --reset-offsets"
            f"{'' if lost.only_by_hand else setting}, then restart",
            ExitStatus.ACT_FIRST,
        )

    def _ask_committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, CommittedOffset | None]:
        wanted = set(partitions)
        with self.step("asking for the committed offsets"):
            found = self._client.committed(wanted, ANSWER_MS)
        committed = {at: CommittedOffset(each.offset, topic_id_in(each.note)) for at, each in found.items()}
        return {partition: committed.get(partition) for partition in wanted}

    def _log_ends(
        self, partitions: Iterable[TopicPartition]
    ) -> tuple[Mapping[TopicPartition, int], Mapping[TopicPartition, int]]:
        with self.step("asking for the ends of the log"):
            return self._client.log_ends(list(partitions), ANSWER_MS)

    def _is_recreated(self, topic_id: str) -> bool:
        return is_other_topic(topic_id, self._client.topic_id())
