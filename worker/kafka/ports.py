"""What the transport needs of a Kafka client: a consumer and a producer, each in an adapter for one client.

Partitions are those of the input topic. Every method may raise KafkaError: the classes of kafka.errors are the
vocabulary of both adapters, and worker.kafka.errors says what each of them means.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple, Protocol

from kafka.structs import TopicPartition

from schemas.formats.records import Headers
from worker.stream.records import Membership, Message

NO_GENERATION = -1


class Polled(NamedTuple):
    """Records as columns of equal length, in input order for each partition."""

    partitions: list[int]
    offsets: list[int]
    timestamps_ms: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: list[Headers]
    sizes: list[int]
    """Bytes of each record: key, value and headers."""


class NotedOffset(NamedTuple):
    """A committed offset, and what is noted beside it."""

    offset: int
    note: str = ""

    @classmethod
    def stored(cls, offset: int, metadata: str | None) -> NotedOffset:
        """What a broker has as an offset and its metadata."""
        return cls(offset, (metadata or "").rstrip("\0"))

    @property
    def metadata(self) -> str:
        """The note as it is to be stored: with a null byte at its end, as confluent-kafka stores it.

        librdkafka copies a note without its end, and confluent-kafka then reads on until a null byte comes (librdkafka
        2.16, issue 4649).
        """
        return f"{self.note}\0" if self.note else ""


class ConsumerClient(Protocol):
    """A member of the group that reads the input topic, read_committed; it commits nothing and creates no topic.

    It starts to read a partition where `seek` says. All but `log_ends` and `membership` belong to one thread.
    """

    def subscribe(self, timeout_ms: int) -> None:
        """Ask to become a member of the group; the next polls join it."""
        ...

    def require_login(self) -> None:
        """Raise the reason why this client can no longer connect or log in, although it keeps trying."""
        ...

    def between_polls(self) -> None:
        """Do what the client needs before it polls again."""
        ...

    def poll(self, wait_ms: float, max_records: int) -> Polled:
        """Records that were read, after this time at the latest.

        Raises NoOffsetForPartitionError when an assigned partition has no offset to read from, OffsetOutOfRangeError
        with the offsets that its log does not hold, and FencedInstanceIdError.
        """
        ...

    def membership(self) -> Membership | None:
        """Who this process is in the group now, or None when it is not a member; from any thread."""
        ...

    def settled_membership(self) -> Membership | None:
        """Who this process is in the group now, or None when it is not a member or the group rebalances."""
        ...

    def rebalance_due(self) -> bool:
        """Whether the next poll lets the group rebalance, as far as this client knows."""
        ...

    @property
    def coordinator_known(self) -> bool:
        """Whether the group has a coordinator that this client knows."""
        ...

    def assignment(self) -> AbstractSet[TopicPartition]:
        """The partitions that this member reads."""
        ...

    def positions(self) -> Mapping[TopicPartition, int]:
        """The next offset to be read, of each assigned partition that has one.

        Not the last record's plus one: transaction markers and aborted records take offsets too.
        """
        ...

    def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read these assigned partitions on from these offsets."""
        ...

    def committed(
        self, partitions: Collection[TopicPartition], timeout_ms: int
    ) -> Mapping[TopicPartition, NotedOffset]:
        """The group's committed offsets, asked now, once no open transaction can change them."""
        ...

    def log_ends(
        self, partitions: Collection[TopicPartition], timeout_ms: int
    ) -> tuple[Mapping[TopicPartition, int], Mapping[TopicPartition, int]]:
        """The first offset of each log, and its last stable offset, so that no open transaction is skipped.

        Raises LeaderNotAvailableError when one has no leader.
        """
        ...

    def last_stable_offsets(
        self, partitions: Collection[TopicPartition], timeout_ms: int
    ) -> Mapping[TopicPartition, int]:
        """The last stable offset of each partition that has a leader; from any thread."""
        ...

    def partitions(self) -> Sequence[TopicPartition]:
        """All partitions of the input topic that this client knows."""
        ...

    def topic_id(self) -> str:
        """The id of the input topic that has this name now; empty where it is not known, or brokers have none."""
        ...

    def close(self) -> None:
        """Leave the group (a static member only goes silent) and release the connections."""
        ...


class ProducerClient(Protocol):
    """A producer with a transactional id."""

    def take_over(self) -> None:
        """Take over the transactional id, which aborts a transaction left open."""
        ...

    def needs_replacement(self) -> bool:
        """Whether a new producer should carry out the next transaction; asked before each."""
        ...

    def begin(self) -> None:
        """Begin a transaction."""
        ...

    def send(self, messages: Mapping[str, Sequence[Message]]) -> None:
        """Send the messages of each topic, in order."""
        ...

    def flush(self, timeout_s: float) -> None:
        """Return once every message of this transaction has arrived; raise when one has not, or has been refused."""
        ...

    def send_offsets(self, offsets: Mapping[TopicPartition, NotedOffset], membership: Membership) -> None:
        """Add offsets and their notes; the broker refuses them when the group has moved on from this membership."""
        ...

    def commit(self) -> None:
        """Commit; nothing is known about the transaction when this raises."""
        ...

    def abort(self) -> bool:
        """Abort the transaction that failed, so that the next one can begin; False where only a new producer can."""
        ...

    def causes(self, error: Exception) -> Sequence[Exception]:
        """What is behind an error that this producer raised, the most telling first; at least the error itself."""
        ...

    def discard(self) -> None:
        """Release everything at once; a transaction that is not over is left to the next producer of its id."""
        ...
