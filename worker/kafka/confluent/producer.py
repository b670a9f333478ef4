"""librdkafka's producer as the transport needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final

import confluent_kafka
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.structs import TopicPartition

from worker.kafka import tuning
from worker.kafka.client import CONNECT_MS
from worker.kafka.confluent.config import connection_settings
from worker.kafka.confluent.errors import kafka_error, translated
from worker.kafka.confluent.membership import metadata_of
from worker.kafka.ports import NotedOffset
from worker.settings import Settings
from worker.stream.records import Membership, Message

# A broker that answers does so sooner. A new producer of the same id aborts the transaction, too, and waits for longer.
ABORT_S: Final = 5.0
_PARTITION_BY_KEY: Final = -1
# How long after its timeout a call of librdkafka may return.
_LATE_S: Final = 0.5


class ConfluentProducer:
    """A ProducerClient."""

    def __init__(self, settings: Settings, connection: Mapping[str, Any], transactional_id: str) -> None:
        timeout_ms = settings.worker_transaction_timeout_ms
        request_ms = timeout_ms // 2
        self._timeout_s, self._request_s = timeout_ms / 1000, request_ms / 1000
        # Of this transaction.
        self._topics: tuple[str, ...] = ()
        self._refused: list[Exception] = []
        self._failed = False
        config = {
            **connection_settings(settings, connection, "kafka.producer.librdkafka", self._note_failure),
            "transactional.id": transactional_id,
            "transaction.timeout.ms": timeout_ms,
            # A record that cannot be delivered fails with its own reason before the flush gives up on it.
            "request.timeout.ms": request_ms,
            "delivery.timeout.ms": request_ms + tuning.LINGER_MS,
            "linger.ms": tuning.LINGER_MS,
            "batch.size": tuning.BATCH_BYTES,
            "message.max.bytes": max(tuning.REQUEST_BYTES, settings.rejected_max_bytes + tuning.RECORD_OVERHEAD_BYTES),
            # A batch of the worker has its own bounds.
            "queue.buffering.max.messages": 0,
            # As kafka-python and Java do it, so that a key keeps its partition.
            "partitioner": "murmur2_random",
            "compression.type": settings.worker_compression,
            "delivery.report.only.error": True,
            "on_delivery": self._note_refused,
        }
        with translated():
            self._producer: Any = confluent_kafka.Producer(config)
            try:
                # Constructing it connects to nothing.
                self._producer.list_topics(settings.worker_output_topic, timeout=CONNECT_MS / 1000)
            except BaseException:
                self.discard()
                raise

    def take_over(self) -> None:
        """Take over the transactional id, which aborts a transaction left open."""
        with translated():
            self._producer.init_transactions(self._timeout_s)

    def needs_replacement(self) -> bool:
        """Whether the client reported a failure; it may then wait for a broker that is gone (see `send_offsets`)."""
        try:
            with translated():
                self._producer.poll(0)  # its log, its errors, and reports about the transaction before
        except KafkaError:
            return True
        return self._failed

    def begin(self) -> None:
        """Begin a transaction."""
        self._refused = []
        with translated():
            self._producer.begin_transaction()

    def send(self, messages: Mapping[str, Sequence[Message]]) -> None:
        """Send the messages of each topic, in order."""
        self._topics = tuple(topic for topic, several in messages.items() if several)
        produce = self._producer.produce
        with translated():
            for topic, several in messages.items():
                for key, value, headers, timestamp_ms in several:
                    # Arguments by name would cost half as much again. It takes 0 for the time of sending.
                    produce(topic, value, key, _PARTITION_BY_KEY, None, None, timestamp_ms or 0, [*headers])

    def flush(self, timeout_s: float) -> None:
        """Return once every message of this transaction has arrived; raise when one has not, or has been refused."""
        with translated():
            # Reports come for those that failed only; what is in flight has none yet.
            in_flight = self._producer.flush(timeout_s)
        if self._refused:
            raise self._refused[0]
        if in_flight:
            raise KafkaTimeoutError("a record was not acknowledged in time")

    def send_offsets(self, offsets: Mapping[TopicPartition, NotedOffset], membership: Membership) -> None:
        """Add offsets and their notes; the broker refuses them when the group has moved on from this membership."""
        noted = [
            confluent_kafka.TopicPartition(at.topic, at.partition, each.offset, each.note)
            for at, each in offsets.items()
        ]
        send, group = self._producer.send_offsets_to_transaction, metadata_of(membership)
        with translated():
            # After a restart of the coordinator's broker, librdkafka can wait for the old connection to it, past any
            # timeout (its issues 5456 and 5511). A new producer looks the coordinator up again.
            within(self._request_s, lambda: send(noted, group, self._request_s), "the group's coordinator")

    def commit(self) -> None:
        """Commit; nothing is known about the transaction when this raises."""
        with translated():
            self._producer.commit_transaction(self._timeout_s)

    def abort(self) -> bool:
        """Abort the transaction that failed, so that the next one can begin; False where only a new producer can."""
        try:
            with translated():
                self._producer.abort_transaction(ABORT_S)
        except KafkaError:  # a fatal one, or no coordinator answers
            return False
        return True

    def causes(self, error: Exception) -> Sequence[Exception]:
        """What is behind an error that this producer raised, the most telling first; at least the error itself."""
        return (*self._transaction_error(), *self._refused, error)

    def discard(self) -> None:
        """Release everything at once; a transaction that is not over is left to the next producer of its id."""
        producer, self._producer = self._producer, None
        # Without this it would wait for what is in flight.
        producer.purge(blocking=False)

    def _transaction_error(self) -> Iterator[Exception]:
        # A record that was dropped because its transaction had failed does not say why. Every call does that is not
        # allowed then; to begin is not allowed within any transaction.
        try:
            with translated(self._topics[0] if len(self._topics) == 1 else None):
                self._producer.begin_transaction()
        except KafkaError as error:
            if type(error) is not KafkaError:  # as of a transaction that has not failed
                yield error

    def _note_failure(self, _: confluent_kafka.KafkaError) -> None:
        self._failed = True

    def _note_refused(self, error: confluent_kafka.KafkaError | None, message: Any) -> None:
        if error is not None:
            self._refused.append(kafka_error(error, message.topic()))


def within(seconds: float, call: Callable[[], None], waited_for: str) -> None:
    """Do as the call does, or raise KafkaTimeoutError when it is not over in time.

    The call then keeps its thread until it ends; one of librdkafka does when any connection of its client changes.
    """
    done: Future[None] = Future()

    def run() -> None:
        try:
            call()
            done.set_result(None)
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, name=f"waits for {waited_for}", daemon=True).start()
    try:
        done.result(seconds + _LATE_S)
    except TimeoutError as error:
        raise KafkaTimeoutError(f"{waited_for} was not reached within {seconds:g} s") from error
