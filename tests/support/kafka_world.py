"""Topics, transports and readers for tests of the transport on a real broker."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import pytest
import structlog
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import MemberToRemove, NewTopic, OffsetSpec
from kafka.errors import RetriableError
from kafka.structs import TopicPartition

from tests.support.topic_names import TopicNames
from tests.support.transport_contract import PATIENCE_S, until
from worker.errors import RetryBatchError
from worker.kafka.client import connected
from worker.kafka.config import connection_arguments
from worker.kafka.transport import KafkaTransport, open_transport
from worker.lifecycle import Deadline
from worker.settings import Settings
from worker.stream import loop
from worker.stream.ports import Timings
from worker.stream.records import Batch, Message, Outcome, Record

_log = structlog.get_logger()

CLIENTS = ("kafka-python", "confluent")
both_clients = pytest.mark.parametrize("client", CLIENTS)
"""For a test, or a class of them, that runs with each of the worker's Kafka clients instead of kafka-python only."""
both_clients_at_length = pytest.mark.parametrize(
    "client", [pytest.param(CLIENTS[0], marks=pytest.mark.long), CLIENTS[1]]
)
"""The same for a test that takes so long that `make test` runs it with one of them only."""


@dataclass
class KafkaWorld(TopicNames):
    """Three topics of their own, and everything opened on them closed at the end."""

    bootstrap_servers: str
    partitions: int = 4
    copies: int = 1
    input_configs: dict[str, str] = field(default_factory=dict)
    output_configs: dict[str, str] = field(default_factory=dict)
    client: str = "kafka-python"
    """KAFKA_CLIENT of the transports."""
    name: str = field(default_factory=lambda: f"t-{uuid.uuid4().hex[:12]}")
    batches_dropped: int = 0
    """By all of its transports, because the group rebalanced."""

    def __enter__(self) -> Self:
        self._closing = ExitStack()
        self.admin: Any = KafkaAdminClient(bootstrap_servers=self.bootstrap_servers, reconnect_backoff_max_ms=500)
        self._closing.callback(self.admin.close)
        self._producer: Any = connected(
            KafkaProducer, bootstrap_servers=self.bootstrap_servers, linger_ms=20, reconnect_backoff_max_ms=500
        )
        self._closing.callback(self._producer.close)
        self.create_topics()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def create_topics(self) -> None:
        """Create those of the three topics that are not there."""
        configs = {self.input: self.input_configs, self.output: self.output_configs, self.rejected: {}}
        there = self.admin.list_topics()
        self.admin.create_topics(
            [
                NewTopic(topic, self.partitions, self.copies, topic_configs=config)
                for topic, config in configs.items()
                if topic not in there
            ],
            wait_for_metadata=True,
        )

    def settings(self, **changed: Any) -> Settings:
        """Settings for a worker on these topics, with timeouts that suit tests."""
        given: dict[str, Any] = {
            "kafka_bootstrap_servers": self.bootstrap_servers,
            "kafka_client": self.client,
            "kafka_security_protocol": "PLAINTEXT",
            "worker_group_id": self.group,
            "worker_input_topic": self.input,
            "worker_output_topic": self.output,
            "worker_rejected_topic": self.rejected,
            "worker_session_timeout_ms": 6_000,  # the least that brokers allow by default
            **changed,
        }
        return Settings(_env_file=None, **given)

    def open(self, **changed: Any) -> KafkaTransport:
        """A transport that is closed at the end of the test, if the test does not."""
        settings = self.settings(**changed)
        stop = threading.Event()
        deadline = self._closing.enter_context(Deadline(stop))
        transport = open_transport(settings, connection_arguments(settings), deadline, stop, self._batch_dropped)
        assert transport is not None
        self._closing.callback(transport.close)
        return transport

    def _batch_dropped(self) -> None:
        self.batches_dropped += 1

    def send(self, *values: bytes, partition: int | None = None, key: bytes | None = None, headers: Any = None) -> None:
        """Append records to the input and wait until they are there; those of one partition have one key."""
        if key is None and partition is not None:
            key = b"key-%d" % partition
        futures = [
            self._producer.send(self.input, value, key, headers=headers, partition=partition) for value in values
        ]
        self._producer.flush(timeout=PATIENCE_S)
        for future in futures:
            future.get(timeout=PATIENCE_S)

    def read(self, topic: str, isolation_level: str = "read_committed") -> list[Any]:
        """All records of a topic, each partition in order; waits for transactions that are still open."""
        consumer = connected(
            KafkaConsumer,
            bootstrap_servers=self.bootstrap_servers,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level=isolation_level,
        )
        try:
            partitions = [TopicPartition(topic, number) for number in range(self.partitions)]
            consumer.assign(partitions)
            ends = consumer.end_offsets(partitions)
            consumer.seek_to_beginning()
            rows: list[Any] = []
            until = time.monotonic() + PATIENCE_S
            while any(consumer.position(partition) < ends[partition] for partition in partitions):
                assert time.monotonic() < until, f"{topic} could not be read to its end"
                rows += [row for batch in consumer.poll(timeout_ms=500).values() for row in batch]
            return sorted(rows, key=lambda row: (row.partition, row.offset))
        finally:
            consumer.close()

    def values(self, topic: str, isolation_level: str = "read_committed") -> list[bytes]:
        return [row.value for row in self.read(topic, isolation_level)]

    def committed(self) -> dict[int, int]:
        """The group's committed offset of each partition of the input that has one."""
        try:
            offsets = self.admin.list_group_offsets({self.group: None})[self.group]
        except RetriableError:  # a broker that just started does not know yet
            return {}
        return {at.partition: there.offset for at, there in offsets.items() if at.topic == self.input}

    def add_partitions(self, total: int) -> None:
        """Let the input have this many partitions, and the producer know it."""
        self.admin.create_partitions({self.input: total})

        def known() -> bool | None:
            self._producer._metadata.request_update()
            return len(self._producer.partitions_for(self.input)) == total or None

        until(known)

    def end_offset(self, topic: str | None = None) -> int:
        """The ends of all logs of a topic, the input unless named, added up; transaction markers included."""
        asked = {TopicPartition(topic or self.input, number): OffsetSpec.LATEST for number in range(self.partitions)}
        return sum(int(end.offset) for end in self.admin.list_partition_offsets(asked).values())

    def log_bytes(self, topic: str) -> int:
        """How many bytes the logs of a topic take on the broker's disk."""
        [broker] = self.admin.describe_log_dirs([topic])
        topics = [each for log_dir in broker["log_dirs"] for each in log_dir["topics"]]
        return sum(partition["partition_size"] for each in topics for partition in each["partitions"])

    def expel_members(self) -> None:
        """Throw every member out of the group, as an administrator can."""
        members = self.admin.describe_groups([self.group])[self.group]["members"]
        expelled = [MemberToRemove(member_id=member["member_id"]) for member in members]
        self.admin.remove_group_members(self.group, expelled)


def client_of(transport: KafkaTransport) -> Any:
    """The adapter of the Kafka client that the transport reads with; what it is made of, mypy does not know."""
    return transport._reader._client


def echo(records: Sequence[Record]) -> Outcome:
    """Each record's value as its result."""
    return Outcome(results=tuple(Message(record.key, record.value or b"") for record in records))


class Watched:
    """An observer that stops the loop after this many records; None: never."""

    def __init__(self, stop: threading.Event, stop_after: int | None = None) -> None:
        self._stop = stop
        self._left = stop_after
        self.records: list[Record] = []
        self.retries: list[RetryBatchError] = []

    def turned(self) -> None:
        pass

    def committed(self, batch: Batch, _: Outcome, __: Timings) -> None:
        self.records += batch.records
        if self._left is not None and len(self.records) >= self._left:
            self._stop.set()

    def retrying(self, error: RetryBatchError, _: float) -> None:
        self.retries.append(error)
        _log.info("retrying", because=str(error))


@contextmanager
def looping(transport: KafkaTransport) -> Iterator[Watched]:
    """The worker's loop on a thread of its own, stopped and drained at the end.

    What ended the loop is raised here, also when the test waits in vain because of it.
    """
    stop = threading.Event()
    watched = Watched(stop)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            loop.run(transport, lambda batch: echo(batch.records), watched, stop)
        except BaseException as error:  # noqa: BLE001  # raised again in the test's thread
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield watched
    finally:
        stop.set()
        thread.join(timeout=PATIENCE_S)
        if failures:
            raise failures[0]
    assert not thread.is_alive()
