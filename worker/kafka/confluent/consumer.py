"""librdkafka's consumer as the transport needs it."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from contextlib import suppress
from itertools import starmap
from operator import methodcaller
from threading import get_ident
from typing import Any, Final
from uuid import UUID

import confluent_kafka
import orjson
from confluent_kafka import IsolationLevel, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported, and not marked so
    AdminClient,
    OffsetSpec,
    TopicDescription,
)
from kafka.errors import (
    FencedInstanceIdError,
    KafkaError,
    LeaderNotAvailableError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RetriableError,
    UnknownTopicOrPartitionError,
)
from kafka.structs import TopicPartition

from schemas.formats.records import Headers
from worker.errors import ExitStatus, StopProcessError
from worker.kafka import tuning
from worker.kafka.confluent.config import connection_settings
from worker.kafka.confluent.errors import kafka_error, translated
from worker.kafka.confluent.login import LoginWatch
from worker.kafka.confluent.membership import membership_in
from worker.kafka.ports import NotedOffset, Polled
from worker.settings import Settings
from worker.stream.records import Membership

# A topic that was deleted and recreated is noticed by its id.
TOPIC_ID_EVERY_S: Final = 30.0
_STATISTICS_MS: Final = 2_000
_ASK_HEADERS: Final = methodcaller("headers")
_EARLIEST: Final = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # confluent-kafka's
_LATEST: Final = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # confluent-kafka's
# What the client holds ahead, beyond what it is fetching; outside of Python's heap.
_QUEUED_KBYTES: Final = 16 * 1024
# While that much is held, fetching pauses; 1 s, the default, is what it then costs.
_FETCH_BACKOFF_MS: Final = 20
_PROPAGATION_MS: Final = 5_000
_REQUEST_TIMEOUT_MS: Final = 30_000
# It gets a position by a seek; until then it is paused, and nothing is read from here.
_NO_POSITION_YET: Final = 0
# A partition was assigned a moment ago, or its last offset was out of range: only a new start helps.
_NOT_FETCHING: Final = frozenset({"_STATE", "_PREV_IN_PROGRESS"})
# The client goes on by itself after these, or the assignment says what they are about.
_PASSING: Final = frozenset(
    {
        "_MAX_POLL_EXCEEDED",
        "_TRANSPORT",
        "_ALL_BROKERS_DOWN",
        "UNKNOWN_TOPIC_OR_PART",
        "UNKNOWN_TOPIC_ID",
        "_PARTITION_EOF",
    }
)


class ConfluentConsumer:
    """A ConsumerClient."""

    def __init__(self, settings: Settings, connection: Mapping[str, Any]) -> None:
        self._topic = settings.worker_input_topic
        self._group_id, self._instance_id = settings.worker_group_id, settings.worker_instance_id
        self._login = LoginWatch(settings, connection)
        # Replaced as a whole, because progress is asked from another thread.
        self._assigned: frozenset[TopicPartition] = frozenset()
        # Assigned partitions that no seek has given a position yet.
        self._unplaced: set[TopicPartition] = set()
        self._sought: dict[TopicPartition, int] = {}
        self._settled: bytes | None = None
        # The membership ended without a rebalance, and there is no new one yet.
        self._lost = False
        self._closing = False
        self._coordinator_known = True
        self._pending: Exception | None = None
        self._member: Membership | None = None
        self._polling_thread: int | None = None
        self._description: Any = None
        self._described_at_s = 0.0
        self._asked: Future[TopicDescription] | None = None
        log = "kafka.consumer.librdkafka"
        shared = connection_settings(settings, connection, log, self._login.note)
        with translated():
            self._consumer = confluent_kafka.Consumer(
                {
                    **shared,
                    "group.id": settings.worker_group_id,
                    **({} if self._instance_id is None else {"group.instance.id": self._instance_id}),
                    "isolation.level": "read_committed",
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": "error",
                    "partition.assignment.strategy": "cooperative-sticky",
                    "session.timeout.ms": settings.worker_session_timeout_ms,
                    "heartbeat.interval.ms": min(tuning.HEARTBEAT_MS, settings.worker_session_timeout_ms // 3),
                    "max.poll.interval.ms": settings.worker_max_poll_interval_ms,
                    "fetch.max.bytes": tuning.FETCH_BYTES,
                    "max.partition.fetch.bytes": tuning.PARTITION_FETCH_BYTES,
                    "queued.max.messages.kbytes": _QUEUED_KBYTES,
                    "fetch.queue.backoff.ms": _FETCH_BACKOFF_MS,
                    "check.crcs": True,
                    "socket.timeout.ms": _REQUEST_TIMEOUT_MS,
                    # The topic is there when a worker starts: one that is missing was deleted.
                    "topic.metadata.propagation.max.ms": _PROPAGATION_MS,
                    "statistics.interval.ms": _STATISTICS_MS,
                    "stats_cb": self._note_statistics,
                }
            )
        self._for_admin: dict[str, Any] = {**shared, "error_cb": _ignore}
        self._admin: Any = None
        self._connect_admin()

    def subscribe(self, timeout_ms: int) -> None:
        """Ask to become a member of the group; the next polls join it."""
        self._describe(timeout_ms)
        with translated():
            self._consumer.subscribe(
                [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )

    def require_login(self) -> None:
        """Raise the reason why this client can no longer connect or log in, although it keeps trying."""
        self._login.require()

    def between_polls(self) -> None:
        """Ask for the topic's id from time to time."""
        self._polling_thread = get_ident()
        if self._asked is not None and self._asked.done():
            # Without an answer, what is known stays known until the next question.
            with suppress(KafkaError):
                self._note_description(self._asked)
            self._asked = None
        elif self._asked is None and time.monotonic() - self._described_at_s > TOPIC_ID_EVERY_S:
            self._asked = self._ask_description(_REQUEST_TIMEOUT_MS)

    def poll(self, wait_ms: float, max_records: int) -> Polled:
        """Records that were read, after this time at the latest."""
        try:
            return self._poll(wait_ms, max_records)
        except FencedInstanceIdError as error:
            if not self._lost:
                raise
            # A static member whose session ended joins again, and librdkafka takes the late answer to a request of its
            # old session for a second worker. It cannot go on after that.
            raise StopProcessError(
                f"group {self._group_id}: the session of instance id {self._instance_id} timed out, and librdkafka "
                "cannot go on; restart; if it happens often, look for another worker of this instance id, or raise "
                "WORKER_SESSION_TIMEOUT_MS",
                ExitStatus.RESTART,
            ) from error

    def _poll(self, wait_ms: float, max_records: int) -> Polled:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            raise pending
        with translated():
            messages = self._messages(wait_ms, max_records)
            if self._unplaced and self.settled_membership() is not None:
                self._give_back(messages)
                raise NoOffsetForPartitionError(frozenset(self._unplaced))
            for at, message in enumerate(messages):
                if message.error() is not None:
                    # What was read before it is handed out first.
                    self._give_back(messages[at + 1 :])
                    self._pending = self._meaning(message)
                    messages = messages[:at]
                    break
        if self._pending is not None and not messages:
            pending, self._pending = self._pending, None
            raise pending
        return _columns(messages)

    def membership(self) -> Membership | None:
        """Who this process is in the group now, or None when it is not a member; from any thread."""
        # Other threads see what the thread that polls saw last: the client blocks them, and with them the interpreter,
        # until a poll returns.
        if get_ident() == self._polling_thread:
            self._metadata()
        return self._member

    def settled_membership(self) -> Membership | None:
        """Who this process is in the group now, or None when it is not a member or the group rebalances."""
        # A new generation is visible before the assignment that belongs to it is.
        return self._member if self._metadata() == self._settled else None

    def rebalance_due(self) -> bool:
        """Whether the next poll lets the group rebalance, as far as this client knows."""
        # librdkafka joins on a thread of its own; what is left for a poll is to learn what is assigned.
        return self.settled_membership() is None

    @property
    def coordinator_known(self) -> bool:
        """Whether the group has a coordinator that this client knows, as of its last statistics."""
        return self._coordinator_known

    def assignment(self) -> AbstractSet[TopicPartition]:
        """The partitions that this member reads."""
        return self._assigned

    def positions(self) -> Mapping[TopicPartition, int]:
        """The next offset to be read, of each assigned partition that has one."""
        placed = [each for each in self._assigned if each in self._sought]
        if not placed:
            return {}
        with translated():
            found = self._consumer.position(list(starmap(confluent_kafka.TopicPartition, placed)))
        # Negative until something was read since the seek.
        return {
            at: each.offset if each.offset >= 0 else self._sought[at] for at, each in zip(placed, found, strict=True)
        }

    def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read these assigned partitions on from these offsets."""
        self._pending = None
        placed = self._unplaced.intersection(offsets)
        with translated():
            for at, offset in offsets.items():
                self._seek(at, offset)
            self._consumer.resume(list(starmap(confluent_kafka.TopicPartition, placed)))
        self._unplaced -= placed

    def committed(
        self, partitions: Collection[TopicPartition], timeout_ms: int
    ) -> Mapping[TopicPartition, NotedOffset]:
        """The group's committed offsets, asked now, once no open transaction can change them."""
        # They belong to the topic of that id only.
        self._describe(timeout_ms)
        if not partitions:
            return {}
        with translated():
            # read_committed, and therefore stable.
            found = self._consumer.committed(
                list(starmap(confluent_kafka.TopicPartition, partitions)), timeout_ms / 1000
            )
        for each in found:
            if each.error is not None:
                raise kafka_error(each.error, each.topic)
        return {
            TopicPartition(each.topic, each.partition): NotedOffset.stored(each.offset, _metadata_of(each))
            for each in found
            if each.offset >= 0
        }

    def log_ends(
        self, partitions: Collection[TopicPartition], timeout_ms: int
    ) -> tuple[Mapping[TopicPartition, int], Mapping[TopicPartition, int]]:
        """The first offset of each log, and its last stable offset."""
        until_s = time.monotonic() + timeout_ms / 1000
        while True:
            try:
                if leaderless := [f"{each.topic}/{each.partition}" for each in set(partitions) - self._led()]:
                    raise LeaderNotAvailableError(", ".join(leaderless))
                first = self._offsets_at(partitions, _EARLIEST, timeout_ms)
                return first, self._offsets_at(partitions, _LATEST, timeout_ms)
            except RetriableError:  # as of a topic that is new, or whose leader changes
                if time.monotonic() > until_s:
                    raise
                time.sleep(0.1)
                self._describe(timeout_ms)

    def last_stable_offsets(
        self, partitions: Collection[TopicPartition], timeout_ms: int
    ) -> Mapping[TopicPartition, int]:
        """The last stable offset of each partition that has a leader; from any thread."""
        return self._offsets_at(self._led().intersection(partitions), _LATEST, timeout_ms)

    def partitions(self) -> Sequence[TopicPartition]:
        """All partitions of the input topic that this client knows."""
        described = self._description
        return [] if described is None else [TopicPartition(self._topic, each.id) for each in described.partitions]

    def topic_id(self) -> str:
        """The id of the input topic that has this name now; empty where it is not known, or brokers have none."""
        described = self._description
        return "" if described is None else _topic_id(described)

    def close(self) -> None:
        """Leave the group (a static member only goes silent) and release the connections."""
        self._member, self._polling_thread, self._closing = None, None, True
        # It has no close(): its threads end with it.
        self._admin = None
        with translated():
            self._consumer.close()

    def _messages(self, wait_ms: float, max_records: int) -> list[Any]:
        # consume() waits until it has as many as it may return.
        messages: list[Any] = []
        if wait_ms > 0:
            first = self._consumer.poll(wait_ms / 1000)
            if first is None:
                return []
            messages.append(first)
        if len(messages) < max_records:
            messages += self._consumer.consume(max_records - len(messages), 0)
        return [each for each in messages if (error := each.error()) is None or error.name() not in _PASSING]

    def _meaning(self, message: Any) -> Exception:
        error = message.error()
        if error.name() == "_AUTO_OFFSET_RESET":
            refused = {TopicPartition(message.topic(), message.partition()): message.offset()}
            return OffsetOutOfRangeError(refused)  # type: ignore[no-any-return]  # kafka-python ships no types
        meaning = kafka_error(error, message.topic())
        if error.name() == "_FATAL" and not isinstance(meaning, FencedInstanceIdError):
            return StopProcessError(f"librdkafka cannot go on ({error.str()}); restart", ExitStatus.RESTART)
        return meaning

    def _give_back(self, messages: Sequence[Any]) -> None:
        # As if they had not been read.
        for message in reversed(messages):
            at = TopicPartition(message.topic(), message.partition())
            if at in self._sought and message.offset() >= 0:
                self._seek(at, message.offset())

    def _seek(self, at: TopicPartition, offset: int) -> None:
        there = confluent_kafka.TopicPartition(at.topic, at.partition, offset)
        try:
            self._consumer.seek(there)
        except confluent_kafka.KafkaException as error:
            if error.args[0].name() not in _NOT_FETCHING:
                raise
            self._consumer.incremental_unassign([there])
            self._consumer.incremental_assign([there])
        self._sought[at] = offset

    def _on_assign(self, consumer: Any, partitions: list[confluent_kafka.TopicPartition]) -> None:
        for each in partitions:
            each.offset = _NO_POSITION_YET
        consumer.incremental_assign(partitions)
        consumer.pause(partitions)
        added = {TopicPartition(each.topic, each.partition) for each in partitions}
        self._assigned |= added
        self._unplaced |= added
        try:
            self._settled = consumer.consumer_group_metadata()
        except RuntimeError:
            # An assignment that nobody polled for comes while the client closes, and may find the group left.
            if not self._closing:
                raise
        self._lost = False

    def _on_lost(self, consumer: Any, partitions: list[confluent_kafka.TopicPartition]) -> None:
        self._lost = True
        self._on_revoke(consumer, partitions)

    def _on_revoke(self, consumer: Any, partitions: list[confluent_kafka.TopicPartition]) -> None:
        consumer.incremental_unassign(partitions)
        gone = {TopicPartition(each.topic, each.partition) for each in partitions}
        self._assigned -= gone
        self._unplaced -= gone
        for at in gone:
            self._sought.pop(at, None)

    def _note_statistics(self, statistics: str) -> None:
        # What librdkafka shows in no other place.
        group = orjson.loads(statistics).get("cgrp")
        self._coordinator_known = group is None or group["state"] == "up"

    def _metadata(self) -> bytes:
        metadata: bytes = self._consumer.consumer_group_metadata()
        self._member = membership_in(metadata)
        return metadata

    def _describe(self, timeout_ms: int) -> None:
        self._asked = None
        self._note_description(self._ask_description(timeout_ms))

    def _ask_description(self, timeout_ms: int) -> Future[TopicDescription]:
        self._described_at_s = time.monotonic()
        with translated():
            asked: dict[str, Future[TopicDescription]] = self._admin.describe_topics(
                TopicCollection([self._topic]), request_timeout=timeout_ms / 1000
            )
        return asked[self._topic]

    def _note_description(self, asked: Future[TopicDescription]) -> None:
        try:
            with translated():
                self._description = asked.result()
        except UnknownTopicOrPartitionError:
            self._description = None
        except KafkaError:
            # This one keeps waiting for the broker that it took for the controller, even if that broker is away.
            self._connect_admin()
            raise

    def _connect_admin(self) -> None:
        with translated():
            self._admin = AdminClient(self._for_admin)

    def _led(self) -> frozenset[TopicPartition]:
        described = self._description
        return frozenset(
            TopicPartition(self._topic, each.id)
            for each in (() if described is None else described.partitions)
            if each.leader is not None and each.leader.id >= 0
        )

    def _offsets_at(
        self, partitions: Collection[TopicPartition], spec: OffsetSpec, timeout_ms: int
    ) -> Mapping[TopicPartition, int]:
        if not partitions:
            return {}
        # Held until it has answered, because another thread may replace it: futures of a client that is gone never end.
        admin = self._admin
        with translated():
            asked = admin.list_offsets(
                {confluent_kafka.TopicPartition(*at): spec for at in partitions},
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=timeout_ms / 1000,
            )
            return {TopicPartition(at.topic, at.partition): each.result().offset for at, each in asked.items()}


def _ignore(_: object) -> None:
    """The consumer reports the same."""


def _columns(messages: Sequence[Any]) -> Polled:
    keys = [each.key() for each in messages]
    values = [each.value() for each in messages]
    return Polled(
        [each.partition() for each in messages],
        [each.offset() for each in messages],
        [each.timestamp()[1] for each in messages],
        keys,
        values,
        [_headers(each) for each in messages],
        [len(key or b"") + len(value or b"") for key, value in zip(keys, values, strict=True)],
    )


def _headers(message: Any) -> Headers:
    # The client returns a list with a hole in it and an error at the same time: a look into the hole ends the process.
    # A call from C notices the error; a method call in Python does not once it runs often (CPython's specialised calls
    # check nothing). Asked once: a second time there is no error any more.
    try:
        headers = _ASK_HEADERS(message)
    except (UnicodeDecodeError, SystemError):
        # One name that is not UTF-8 keeps all of them from being read.
        return ()
    return tuple(headers) if headers else ()


def _metadata_of(committed: Any) -> str | None:
    # A program that stored it without a null byte at its end (see NotedOffset) is no worker of ours.
    try:
        metadata: str | None = committed.metadata
    except UnicodeDecodeError:
        return None
    return metadata


def _topic_id(described: Any) -> str:
    high, low = described.topic_id.get_most_significant_bits(), described.topic_id.get_least_significant_bits()
    found = UUID(int=(high % 2**64) << 64 | low % 2**64)
    return str(found) if found.int else ""
