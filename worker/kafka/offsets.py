"""Where reading goes on: at the committed offsets; and what becomes of a partition whose log does not hold its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

import structlog
from kafka.errors import KafkaError, LeaderNotAvailableError, NoOffsetForPartitionError, OffsetOutOfRangeError
from kafka.structs import TopicPartition

from worker.errors import ExitStatus, StopProcessError
from worker.kafka.errors import fault
from worker.lifecycle import Deadline
from worker.settings import Settings
from worker.stream.ports import PartitionProgress

STEP_LONGEST_S = 15.0
ANSWER_MS = 5_000
PROGRESS_ANSWER_MS = 2_000
_log = structlog.get_logger()


class NowhereToBegin(Exception):
    """An assigned partition has no committed offset, or one that its log does not hold."""

    def __init__(self, out_of_range: Mapping[TopicPartition, int] | None = None) -> None:
        super().__init__()
        self.out_of_range = out_of_range or {}
        """What the broker refused to read from."""


class Because(StrEnum):
    """Why the group's place in a partition is gone."""

    MADE_ANEW = "the topic was deleted and made anew"
    DELETED = "the offset was deleted while this worker ran"
    EXPIRED = "retention removed records, or markers of transactions, before they were worked on"
    # Not expired: from the beginning all that is left of the log would be worked on again.
    TRUNCATED = "the log lost records that were worked on already, as after an unclean leader election"
    UNKNOWN = "the topic was made anew, or lost records that were worked on"


@dataclass(frozen=True, slots=True)
class Loss:
    """The group's place in a partition is gone."""

    because: Because
    before: int | None
    """The offset that is no place any more; None where it is not known."""


@dataclass(frozen=True, slots=True)
class Starts:
    """Where to begin each partition that has no offset to go on from, and which of them had one."""

    offsets: Mapping[tuple[str, int], int]
    losses: Mapping[tuple[str, int], Loss]
    topic_id: str
    """The topic whose offsets these are."""


@dataclass(frozen=True, slots=True)
class _Committed:
    offset: int
    topic_id: str
    """Which topic of that name it was; empty where it was set by hand."""


@contextmanager
def step(doing: str, settings: Settings, deadline: Deadline) -> Iterator[None]:
    """One call of the consumer: over in time, its errors in the worker's terms.

    Raises NowhereToBegin and WorkerError.
    """
    try:
        with deadline.within(STEP_LONGEST_S, doing):
            yield
    except NoOffsetForPartitionError as error:
        raise NowhereToBegin from error
    except OffsetOutOfRangeError as error:
        raise NowhereToBegin(error.args[0]) from error
    except KafkaError as error:
        raise fault([error], doing, settings) from error


class Positions:
    """The places of one consumer in the input topic. All but `progress` belong to one thread.

    A topic that is deleted and made anew has the same name and other records; whoever went on at the old offset would
    pass over as many of them. So each offset is committed with the id of its topic.
    """

    def __init__(self, settings: Settings, consumer: Any, deadline: Deadline) -> None:
        self._settings = settings
        self._consumer = consumer
        self._deadline = deadline
        # Swapped whole: progress() reads it from another thread.
        self._settled: dict[TopicPartition, int | None] = {}
        self._topic_id = ""

    @property
    def topic_id(self) -> str:
        """The id of the topic that is read; empty where the brokers are too old to know one."""
        return self._topic_id

    def require_topic(self) -> None:
        """Raise NowhereToBegin when the topic that was read is gone, and another one has its name.

        Not while nothing is assigned: no place in the new topic is known then, and that it is new would be forgotten.
        """
        if self._consumer.assignment() and self._made_anew(self._topic_id):
            raise NowhereToBegin

    def settle(self) -> None:
        """Take the positions for settled: nothing is in hand, what was polled has been committed or rewound."""
        # The client's position is ahead of the last record by the markers of transactions: nothing to work on.
        subscription = self._consumer._subscription  # noqa: SLF001  # position() asks the broker when one is missing
        positions = {partition: subscription.position(partition) for partition in self._consumer.assignment()}
        self._settled = {p: None if position is None else position.offset for p, position in positions.items()}

    def rewind(self) -> None:
        """Go back to the committed offset of every assigned partition, asked anew and stable.

        Asked anew, because a partition can leave, advance elsewhere and come back. Raises NowhereToBegin where an
        offset is gone that was there, or belongs to another topic.
        """
        committed = self._committed()
        self.require_topic()
        for partition, place in committed.items():
            gone = place is None and self._settled.get(partition) is not None
            if gone or (place is not None and self._made_anew(place.topic_id)):
                raise NowhereToBegin
        for partition, place in committed.items():
            if place is not None:
                self._consumer.seek(partition, place.offset)
        self._settled = {partition: None if place is None else place.offset for partition, place in committed.items()}
        self._topic_id = self._topic_id or self._current_topic_id()

    def starts(self, out_of_range: Mapping[TopicPartition, int]) -> Starts:
        """Where those assigned partitions are to begin that have no offset to go on from.

        Where there never was one, WORKER_START_AT says it. Raises StopProcessError where one is lost, unless
        WORKER_ON_EXPIRED_OFFSETS says to go on.
        """
        committed = self._committed()
        topic_id = self._current_topic_id()
        with step("asking for the offsets to start at", self._settings, self._deadline):
            self._require_leaders(committed)
            first = self._consumer.beginning_offsets(list(committed), timeout_ms=ANSWER_MS)
            # read_committed: the last stable offset, so that no open transaction is passed over.
            end = self._consumer.end_offsets(list(committed), timeout_ms=ANSWER_MS)
        offsets: dict[tuple[str, int], int] = {}
        losses: dict[tuple[str, int], Loss] = {}
        for partition, place in committed.items():
            at = (partition.topic, partition.partition)
            because = self._why_lost(partition, place, out_of_range, first[partition])
            if because is not None:
                loss = Loss(because, self._settled.get(partition) if place is None else place.offset)
                if because is Because.TRUNCATED or self._settings.worker_on_expired_offsets == "stop":
                    raise self._stop(partition, loss, first[partition], end[partition])
                offsets[at], losses[at] = first[partition], loss
            elif place is None:
                offsets[at] = (first if self._settings.worker_start_at == "earliest" else end)[partition]
        return Starts(offsets, losses, topic_id)

    def begin(self, starts: Starts) -> None:
        """Go on from these, which are committed by now."""
        self._settled = {}
        self._topic_id = starts.topic_id
        self.rewind()

    def progress(self) -> tuple[PartitionProgress, ...]:
        """Each assigned partition's progress; from any thread, within 2 s, never raises."""
        settled = self._settled
        ends: dict[TopicPartition, int] = {}
        # A partition without a leader has no answer, and would take that of all others with it.
        led = [partition for partition in settled if self._has_leader(partition)]
        if led:
            try:
                ends = self._consumer.end_offsets(led, timeout_ms=PROGRESS_ANSWER_MS)
            except Exception as error:  # noqa: BLE001  # whatever went wrong, no broker answered
                _log.debug("no_last_stable_offset", error=repr(error))
        return tuple(
            PartitionProgress(partition.topic, partition.partition, position, ends.get(partition))
            for partition, position in sorted(settled.items())
        )

    def _why_lost(
        self,
        partition: TopicPartition,
        place: _Committed | None,
        out_of_range: Mapping[TopicPartition, int],
        first: int,
    ) -> Because | None:
        # What stands beside an offset decides, not which topic this worker knew: in the new one, others may have
        # committed already.
        if self._made_anew(place.topic_id if place is not None and place.topic_id else self._topic_id):
            return Because.MADE_ANEW
        if place is None:
            return None if self._settled.get(partition) is None else Because.DELETED
        # Another one was read at a position that is past, or moved by hand since.
        if out_of_range.get(partition) != place.offset:
            return None
        if place.offset < first:
            return Because.EXPIRED
        # Beyond the end when it was refused, whatever has been written since.
        return Because.TRUNCATED if place.topic_id else Because.UNKNOWN

    def _stop(self, partition: TopicPartition, loss: Loss, first: int, end: int) -> StopProcessError:
        offset = "" if loss.before is None else f" {loss.before}"
        setting = f", or set WORKER_ON_EXPIRED_OFFSETS=earliest to go on at offset {first}"
        return StopProcessError(
            f"the committed offset{offset} of group {self._settings.worker_group_id} for topic {partition.topic}, "
            f"partition {partition.partition} is no place to go on from, its log goes from {first} to {end}: "
            f"{loss.because}; say where to go on with kafka-consumer-groups "
            f"--reset-offsets{'' if loss.because is Because.TRUNCATED else setting}, then start again",
            ExitStatus.ACT_FIRST,
        )

    def _committed(self) -> dict[TopicPartition, _Committed | None]:
        coordinator = self._consumer._coordinator  # noqa: SLF001  # committed() asks for one partition at a time
        assigned = self._consumer.assignment()
        with step("asking for the committed offsets", self._settings, self._deadline):
            # An answer that came after its question was given up is kept there for whoever asks next: it may be old.
            coordinator._offset_fetch_futures.clear()  # noqa: SLF001  # see above
            found = coordinator.fetch_committed_offsets(assigned, timeout_ms=ANSWER_MS)
        places = {
            partition: _Committed(each.offset, topic_id_in(each.metadata or "")) for partition, each in found.items()
        }
        return {partition: places.get(partition) for partition in assigned}

    def _current_topic_id(self) -> str:
        known = self._consumer._cluster.topic_id(self._settings.worker_input_topic)  # noqa: SLF001  # cached
        return str(known) if known is not None and known.int else ""

    def _made_anew(self, topic_id: str) -> bool:
        current = self._current_topic_id()
        return bool(current and topic_id) and topic_id != current

    def _has_leader(self, partition: TopicPartition) -> bool:
        leader = self._consumer._cluster.leader_for_partition(partition)  # noqa: SLF001  # cached
        return leader is not None and leader >= 0

    def _require_leaders(self, partitions: Iterable[TopicPartition]) -> None:
        headless = [f"{each.topic}/{each.partition}" for each in partitions if not self._has_leader(each)]
        if headless:
            raise LeaderNotAvailableError(", ".join(headless))


def topic_id_in(note: str) -> str:
    """The id of a topic that stands beside a committed offset; empty where something else does, or nothing."""
    try:
        return str(UUID(note))
    except ValueError:
        return ""
