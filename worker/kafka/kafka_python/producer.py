"""kafka-python's producer as the transport needs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, UnknownError
from kafka.partitioner.default import murmur2
from kafka.serializer import Serializer
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition

from worker.kafka import tuning
from worker.kafka.client import CONNECT_MS, connected
from worker.kafka.ports import NotedOffset
from worker.settings import Settings
from worker.stream.records import Membership, Message

CLOSE_S = 1.0


_Append = Callable[[bytes, bytes, list[tuple[str, bytes]], int | None], Any]


@lru_cache(8_192)
def _hash(key: bytes) -> int:
    """As kafka-python's own partitioner hashes a key, in pure Python: not again for a second topic."""
    return int(murmur2(key)) & 0x7FFF_FFFF


class KafkaPythonProducer:
    """A ProducerClient, for one transaction that fails at most.

    kafka-python keeps the offsets of an aborted transaction and commits them with the next one, and after a refused
    record its next commit can succeed without its records.
    """

    def __init__(
        self,
        settings: Settings,
        connection: Mapping[str, Any],
        transactional_id: str,
        key_serializer: Serializer | None = None,
    ) -> None:
        timeout_ms = settings.worker_transaction_timeout_ms
        self._answer_ms = timeout_ms // 2
        self._futures: list[Any] = []
        self._producer = connected(
            KafkaProducer,
            **connection,
            key_serializer=key_serializer,
            transactional_id=transactional_id,
            transaction_timeout_ms=timeout_ms,
            bootstrap_timeout_ms=CONNECT_MS,
            # A record that cannot be delivered fails with its own reason before the flush gives up on it.
            request_timeout_ms=timeout_ms // 2,
            delivery_timeout_ms=timeout_ms // 2 + tuning.LINGER_MS,
            linger_ms=tuning.LINGER_MS,
            # As long as librdkafka and Java wait when a broker has not finished the transaction before: kafka-python
            # means to, and waits this long instead, as after everything else that it tries again.
            retry_backoff_ms=20,
            batch_size=tuning.BATCH_BYTES,
            compression_type=None if settings.worker_compression == "none" else settings.worker_compression,
            max_block_ms=timeout_ms,
            max_request_size=max(tuning.REQUEST_BYTES, settings.rejected_max_bytes + tuning.RECORD_OVERHEAD_BYTES),
            metrics_enabled=False,
        )

    def take_over(self) -> None:
        """Take over the transactional id, which aborts a transaction left open."""
        self._producer.init_transactions()

    def needs_replacement(self) -> bool:
        """Never: each of its connections looks up anew where the coordinators are."""
        return False

    def begin(self) -> None:
        """Begin a transaction."""
        self._futures = []
        self._producer.begin_transaction()

    def send(self, messages: Mapping[str, Sequence[Message]]) -> None:
        """Send the messages of each topic, in order."""
        for topic, several in messages.items():
            append: _Append | None = None
            for m in several:
                headers = list(m.headers)
                if append is None or m.key is None or m.value is None or len(m.value) > tuning.BATCH_BYTES:
                    future = self._producer.send(topic, m.value, m.key, headers, timestamp_ms=m.timestamp_ms)
                    append = append or self._append_to(topic)
                else:
                    future = append(m.key, m.value, headers, m.timestamp_ms)
                self._futures.append(future)

    def _append_to(self, topic: str) -> _Append:
        """What sends one more record with a key to a topic: as KafkaProducer.send does, at half its cost.

        That looks at the metadata, the transaction and the types for each record anew, and estimates its size.
        """
        producer: Any = self._producer
        manager, append, wake = producer._transaction_manager, producer._accumulator.append, producer._sender.wakeup  # noqa: SLF001  # see above
        count = len(producer.partitions_for(topic))
        partitions: dict[int, TopicPartition] = {}

        def send(key: bytes, value: bytes, headers: list[tuple[str, bytes]], timestamp_ms: int | None) -> Any:
            number = _hash(key) % count
            if (at := partitions.get(number)) is None:
                at = partitions[number] = TopicPartition(topic, number)
                manager.maybe_add_partition_to_transaction(at)
            future, is_full, is_new, _ = append(at, timestamp_ms, key, value, headers)
            if is_full or is_new:
                wake()
            return future

        return send

    def flush(self, timeout_s: float) -> None:
        """Return once every message of this transaction has arrived; raise when one has not, or has been refused."""
        until_s = time.monotonic() + timeout_s
        while True:
            try:
                self._producer.flush(timeout=max(0.0, until_s - time.monotonic()))
                break
            except UnknownError:
                # A batch too large for its topic was sent again in halves, and flush gave up on the first one.
                if time.monotonic() > until_s:
                    raise
        for future in self._futures:
            if future.exception is not None:
                raise future.exception
            if not future.is_done:
                raise KafkaTimeoutError("a record was not acknowledged in time")

    def send_offsets(self, offsets: Mapping[TopicPartition, NotedOffset], membership: Membership) -> None:
        """Add offsets and their notes; the broker refuses them when the group has moved on from this membership."""
        # As send_offsets_to_transaction does, which waits without end while the group's coordinator is away.
        added = self._producer._transaction_manager.send_offsets_to_transaction(  # noqa: SLF001
            {at: OffsetAndMetadata(each.offset, each.metadata, -1) for at, each in offsets.items()},
            ConsumerGroupMetadata(
                membership.group_id, membership.generation, membership.member_id, membership.instance_id
            ),
        )
        self._producer._sender.wakeup()  # noqa: SLF001
        if not added.wait(self._answer_ms):
            raise KafkaTimeoutError("the offsets were not added in time: the group's coordinator may be away")

    def commit(self) -> None:
        """Commit; nothing is known about the transaction when this raises."""
        self._producer.commit_transaction()

    def abort(self) -> bool:
        """Only a new producer can go on: see above."""
        return False

    def causes(self, error: Exception) -> Sequence[Exception]:
        """What is behind an error that this producer raised, the most telling first; at least the error itself."""
        return tuple(_causes(error, self._producer, self._futures))

    def discard(self) -> None:
        """Release everything at once; a transaction that is not over is left to the next producer of its id."""
        producer = self._producer
        # close() alone would first try to send what is left, and give up without closing when that fails.
        producer._sender.force_close()  # noqa: SLF001  # kafka-python has no public way to close at once
        # Its thread ends all the same; what close() could not send belonged to the discarded transaction.
        with suppress(KafkaError):
            producer.close(timeout=CLOSE_S)
        producer._closed = True  # noqa: SLF001  # or the garbage collector would close it again


def _causes(error: Exception, producer: Any, futures: Sequence[Any]) -> Iterator[Exception]:
    # The error raised is often a plain KafkaError that only quotes the one that matters.
    manager = getattr(producer, "_transaction_manager", None)
    if manager is not None and manager.last_error is not None:
        yield manager.last_error
    yield from (future.exception for future in futures if future.exception is not None)
    yield from (cause for cause in error.args if isinstance(cause, Exception))
    yield error
