"""The demo's access to a Kafka cluster; its only module that imports kafka-python."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    NotCoordinatorError,
)
from kafka.protocol.consumer import IsolationLevel

from demo.errors import ClusterError
from worker.kafka.client import connected

_REQUEST_TIMEOUT_MS = 10_000
_BOOTSTRAP_TIMEOUT_MS = 5_000


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record as a reader received it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class NewRecord:
    """One record to be sent; with a timestamp, or with the time of sending."""

    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] | None = None
    timestamp_ms: int | None = None
    partition: int | None = None


def answers(bootstrap_servers: str) -> bool:
    """Whether a broker there answers and is in service; quick when nothing listens."""
    host, port = bootstrap_servers.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            pass  # cheaper than a client that waits for its own timeouts
        # The client is only connected once the metadata has a broker in service.
        with Cluster(bootstrap_servers, bootstrap_timeout_ms=2000):
            return True
    except (OSError, ClusterError):
        return False


class Cluster:
    """Queries and commands to a cluster, over one connection. A context manager; every method raises ClusterError."""

    def __init__(self, bootstrap_servers: str, bootstrap_timeout_ms: int = _BOOTSTRAP_TIMEOUT_MS) -> None:
        """Connect."""
        self.bootstrap_servers = bootstrap_servers
        with _kafka_errors(bootstrap_servers):
            self._admin = connected(
                KafkaAdminClient,
                bootstrap_servers=bootstrap_servers,
                request_timeout_ms=_REQUEST_TIMEOUT_MS,
                bootstrap_timeout_ms=bootstrap_timeout_ms,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admin.close()

    def create_topic(self, name: str, partitions: int, config: Mapping[str, str] | None = None) -> None:
        """Create one topic and wait until each partition has a leader."""
        with _kafka_errors(self.bootstrap_servers):
            self._admin.create_topics(
                {name: {"num_partitions": partitions, "replication_factor": 1, "configs": dict(config or {})}},
                wait_for_metadata=True,
            )

    def topics(self) -> frozenset[str]:
        """The names of all topics."""
        with _kafka_errors(self.bootstrap_servers):
            return frozenset(self._admin.list_topics())

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        """Partition to its last stable offset: where a read_committed reader stands when it has read everything."""
        with _kafka_errors(self.bootstrap_servers):
            (described,) = self._admin.describe_topics([topic])
            partitions = [TopicPartition(topic, one["partition_index"]) for one in described["partitions"]]
            offsets = self._admin.list_partition_offsets(
                dict.fromkeys(partitions, OffsetSpec.LATEST), isolation_level=IsolationLevel.READ_COMMITTED
            )
            return {partition.partition: found.offset for partition, found in offsets.items()}

    def committed_offsets(self, group_id: str, topic: str) -> Mapping[int, int]:
        """Partition to the group's committed offset; partitions without one are left out."""
        with _kafka_errors(self.bootstrap_servers):
            try:
                found = self._admin.list_group_offsets(group_id)[group_id]
            except (CoordinatorNotAvailableError, CoordinatorLoadInProgressError, NotCoordinatorError):
                return {}  # the first member of the first group is still on its way, or the coordinator moves
            return {
                partition.partition: position.offset
                for partition, position in found.items()
                if partition.topic == topic and position.offset >= 0
            }

    def lag(self, group_id: str, topic: str) -> int:
        """How many offsets of the topic the group has not committed yet."""
        committed = self.committed_offsets(group_id, topic)
        return sum(end - committed.get(partition, 0) for partition, end in self.end_offsets(topic).items())


class Reader:
    """Reads topics from their beginning as a read_committed reader; a context manager; raises ClusterError."""

    def __init__(self, bootstrap_servers: str, topics: Sequence[str]) -> None:
        """Connect, and start at the beginning of all partitions of the topics."""
        self._bootstrap_servers = bootstrap_servers
        with _kafka_errors(bootstrap_servers):
            self._consumer = connected(
                KafkaConsumer,
                bootstrap_servers=bootstrap_servers,
                isolation_level="read_committed",
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                allow_auto_create_topics=False,
                bootstrap_timeout_ms=_BOOTSTRAP_TIMEOUT_MS,
            )
        try:
            self._assign_all(topics)
        except BaseException:
            self._consumer.close()
            raise

    def _assign_all(self, topics: Sequence[str]) -> None:
        with _kafka_errors(self._bootstrap_servers):
            partitions = [
                TopicPartition(topic, number)
                for topic in topics
                for number in self._consumer.partitions_for_topic(topic) or ()
            ]
            if {partition.topic for partition in partitions} != set(topics):
                raise ClusterError(
                    f"not all of the topics {', '.join(topics)} exist at {self._bootstrap_servers}: create them first"
                )
            self._consumer.assign(partitions)
            self._consumer.seek_to_beginning(*partitions)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def poll(self, timeout_ms: int, max_records: int = 5000) -> tuple[StoredRecord, ...]:
        """What has come since the last call, in order within each partition; waits up to the timeout for a first."""
        with _kafka_errors(self._bootstrap_servers):
            found = self._consumer.poll(timeout_ms=timeout_ms, max_records=max_records)
        return tuple(_stored(record) for records in found.values() for record in records)

    def read_to_end(self, timeout_s: float = 60) -> Iterator[StoredRecord]:
        """Everything up to the last stable offsets of this moment."""
        deadline = time.monotonic() + timeout_s
        with _kafka_errors(self._bootstrap_servers):
            ends = self._consumer.end_offsets(self._consumer.assignment())
        while not self._passed(ends):
            if time.monotonic() > deadline:
                raise ClusterError(f"reading to the end took more than {timeout_s} s at {self._bootstrap_servers}")
            yield from self.poll(timeout_ms=100)

    def _passed(self, ends: Mapping[Any, int]) -> bool:
        with _kafka_errors(self._bootstrap_servers):
            return all(self._consumer.position(partition) >= end for partition, end in ends.items())


def read_committed(bootstrap_servers: str, *topics: str) -> tuple[StoredRecord, ...]:
    """All records that a read_committed reader receives from the topics now. Raises ClusterError."""
    with Reader(bootstrap_servers, topics) as reader:
        return tuple(reader.read_to_end())


class Sender:
    """Sends records, each confirmed by all replicas and stored once; a context manager; raises ClusterError."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        """Connect to the cluster; a topic that does not exist is an error at once."""
        with Cluster(bootstrap_servers) as cluster:
            if topic not in cluster.topics():
                raise ClusterError(f"no topic {topic} at {bootstrap_servers}: create it first")
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._unconfirmed: list[Any] = []
        with _kafka_errors(bootstrap_servers):
            self._producer = connected(
                KafkaProducer,
                bootstrap_servers=bootstrap_servers,
                acks="all",
                enable_idempotence=True,
                linger_ms=5,
                batch_size=64 * 1024,
                # Some of the bad events are too large on purpose: the worker has to reject them.
                max_request_size=4 * 1024 * 1024,
                allow_auto_create_topics=False,
                max_block_ms=_REQUEST_TIMEOUT_MS,
                request_timeout_ms=_REQUEST_TIMEOUT_MS,
                delivery_timeout_ms=30_000,
                bootstrap_timeout_ms=_BOOTSTRAP_TIMEOUT_MS,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A successful block has flushed; after an error the rest is dropped.
        self._producer.close(timeout=1)

    def send(self, records: Iterable[NewRecord]) -> None:
        """Hand over records, without waiting for them to arrive."""
        with _kafka_errors(self._bootstrap_servers):
            for record in records:
                self._unconfirmed.append(
                    self._producer.send(
                        self._topic,
                        key=record.key,
                        value=record.value,
                        headers=list((record.headers or {}).items()),
                        partition=record.partition,
                        timestamp_ms=record.timestamp_ms,
                    )
                )

    def flush(self, timeout_s: float = 30) -> None:
        """Return when everything handed over has arrived."""
        with _kafka_errors(self._bootstrap_servers):
            self._producer.flush(timeout=timeout_s)
            for one in self._unconfirmed:
                one.get(timeout=0)
            self._unconfirmed.clear()


def _stored(record: Any) -> StoredRecord:
    return StoredRecord(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        key=record.key,
        value=record.value,
        headers=dict(record.headers),
    )


@contextlib.contextmanager
def _kafka_errors(bootstrap_servers: str) -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        raise ClusterError(f"Kafka at {bootstrap_servers}: {error}") from error
