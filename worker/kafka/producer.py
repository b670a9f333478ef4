"""One transaction after another, and a new producer after any that failed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, UnknownError, UnknownTopicOrPartitionError, for_code
from kafka.serializer import Serializer
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition

from worker.errors import ExitStatus, ProducerFenced, RetryBatchError, StopProcessError
from worker.kafka.client import CONNECT_MS, connected
from worker.kafka.errors import fault, is_fencing
from worker.lifecycle import Deadline
from worker.settings import Settings
from worker.stream.records import Membership, Message

# The coordinator aborts a transaction at its timeout; a call that waits for longer waits in vain.
GRACE_S = 5.0
# The coordinator looks for transactions past their timeout every 10 s.
ABORT_GRACE_S = 15.0
CLOSE_S = 1.0
# One or two fencings can come from a restart that overlaps with the old process.
FENCINGS_MOST = 3
# Sending begins at the flush, so that a transaction is one batch per partition.
LINGER_MS = 200
# Under the brokers' default limit for a batch (1 MiB), or each batch would be refused and sent again in halves.
BATCH_BYTES = 256 * 1024
RECORD_OVERHEAD_BYTES = 1024
REQUEST_BYTES = 1024 * 1024


class Transactions:
    """Messages and offsets, visible together or not at all.

    After any failure the producer is discarded: kafka-python keeps the offsets of an aborted transaction and commits
    them with the next one, and after a refused record its next commit can succeed without its records.
    """

    def __init__(
        self,
        settings: Settings,
        connection: Mapping[str, Any],
        transactional_id: str,
        deadline: Deadline,
        key_serializer: Serializer | None = None,
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._transactional_id = transactional_id
        self._deadline = deadline
        self._key_serializer = key_serializer
        self._producer: Any = None
        self._left_open = False
        self._not_ended_since_s: float | None = None
        self._begun_at_s = 0.0
        self._fencings_in_a_row = 0

    @property
    def longest_s(self) -> float:
        """How long one transaction may take, including all waits, before the process ends."""
        return self._settings.worker_transaction_timeout_ms / 1000 + GRACE_S

    @property
    def _abort_longest_s(self) -> float:
        return self._settings.worker_transaction_timeout_ms / 1000 + ABORT_GRACE_S

    def open(self) -> None:
        """Take over the transactional id, unless this producer has it; that aborts a transaction left open.

        Raises RetryBatchError, and StopProcessError when brokers answer and a failed transaction is still not aborted
        long after its timeout.
        """
        if self._producer is not None:
            return
        timeout_ms = self._settings.worker_transaction_timeout_ms
        self._begun_at_s = time.monotonic()
        try:
            with self._deadline.within(self.longest_s, "opening the producer"):
                self._producer = connected(
                    KafkaProducer,
                    **self._connection,
                    key_serializer=self._key_serializer,
                    transactional_id=self._transactional_id,
                    transaction_timeout_ms=timeout_ms,
                    bootstrap_timeout_ms=CONNECT_MS,
                    # A record that cannot be delivered fails with its own reason before the flush gives up on it.
                    request_timeout_ms=timeout_ms // 2,
                    delivery_timeout_ms=timeout_ms // 2 + LINGER_MS,
                    linger_ms=LINGER_MS,
                    batch_size=BATCH_BYTES,
                    max_block_ms=timeout_ms,
                    max_request_size=max(
                        REQUEST_BYTES,
                        self._settings.rejected_max_bytes + RECORD_OVERHEAD_BYTES,
                    ),
                    reconnect_backoff_max_ms=1_000,
                    metrics_enabled=False,
                )
                self._producer.init_transactions()
        except KafkaError as error:
            raise self._not_opened(error) from error
        self._left_open, self._not_ended_since_s = False, None

    def commit(
        self,
        messages: Mapping[str, Sequence[Message]],
        next_offsets: Mapping[tuple[str, int], int],
        membership: Membership,
        notes: Mapping[tuple[str, int], str] | None = None,
    ) -> None:
        """Send the messages of each topic and commit the offsets, in one transaction.

        The broker refuses the offsets when the group has moved on from this membership; it stores the notes with them.
        Raises RetryBatchError when nothing became visible or that is not known yet (the next committed offset decides),
        ProducerFenced when another producer took the transactional id, StopProcessError otherwise, as after the third
        fencing without a commit in between.
        """
        self.open()
        producer = self._producer
        futures: list[Any] = []
        self._begun_at_s = time.monotonic()
        try:
            with self._deadline.within(self.longest_s, "committing a batch"):
                producer.begin_transaction()
                self._left_open = True
                send = producer.send
                for topic, several in messages.items():
                    futures += [send(topic, m.value, m.key, list(m.headers) if m.headers else None) for m in several]
                _flush(producer, self._settings.worker_transaction_timeout_ms / 1000)
                # Before the commit, which can succeed although a record was lost on the way. Nothing is sent after it.
                _require_arrived(futures)
                producer.send_offsets_to_transaction(
                    {
                        TopicPartition(*at): OffsetAndMetadata(offset, (notes or {}).get(at, ""), -1)
                        for at, offset in next_offsets.items()
                    },
                    ConsumerGroupMetadata(
                        membership.group_id, membership.generation, membership.member_id, membership.instance_id
                    ),
                )
                producer.commit_transaction()
                self._left_open, self._fencings_in_a_row = False, 0
        except KafkaError as error:
            raise self._failed(error, futures, "committing a batch", messages) from error
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Drop the producer without waiting for its transaction; the next one aborts what it left open."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        # close() alone would first try to send what is left, and give up without closing when that fails.
        producer._sender.force_close()  # noqa: SLF001  # kafka-python has no public way to close at once
        # Its thread ends all the same; what close() could not send belonged to the discarded transaction.
        with suppress(KafkaError):
            producer.close(timeout=CLOSE_S)
        producer._closed = True  # noqa: SLF001  # or the garbage collector would close it again

    def close(self) -> None:
        """Release the producer; the last transaction is over or counts as aborted."""
        self.discard()

    def _not_opened(self, error: KafkaError) -> Exception:
        brokers_answer = self._producer is not None
        failure = self._failed(error, (), "opening the producer")
        if not (brokers_answer and self._left_open):
            self._not_ended_since_s = None
            return failure
        now_s = time.monotonic()
        since_s = self._not_ended_since_s = self._not_ended_since_s or now_s
        if isinstance(failure, StopProcessError) or now_s - since_s < self._abort_longest_s:
            return failure
        return StopProcessError(
            f"the last transaction of {self._transactional_id} failed and could not be aborted for "
            f"{now_s - since_s:.0f} s ({error}); restart; if that does not help, ask its coordinator: "
            f"kafka-transactions describe --transactional-id {self._transactional_id}",
            ExitStatus.RESTART,
        )

    def _failed(self, error: KafkaError, futures: Sequence[Any], doing: str, topics: Iterable[str] = ()) -> Exception:
        causes = tuple(_causes(error, self._producer, futures))
        self.discard()
        if topics and isinstance(error, KafkaTimeoutError) and (missing := self._missing(topics)):
            return RetryBatchError(
                f"{doing}: topic {', '.join(missing)} was deleted; create it again with the same number "
                "of partitions, and the worker continues without loss; or set another topic and restart"
            )
        failure = fault(causes, doing, self._settings)
        # Past its timeout the coordinator itself fences a transaction: then no other producer is involved.
        in_time = time.monotonic() - self._begun_at_s < self._settings.worker_transaction_timeout_ms / 1000
        if isinstance(failure, StopProcessError) or not (in_time and is_fencing(causes)):
            return failure
        self._fencings_in_a_row += 1
        fenced = f"another producer uses transactional id {self._transactional_id} and fenced this one"
        if self._fencings_in_a_row < FENCINGS_MOST:
            return ProducerFenced(f"{doing}: {fenced}")
        return StopProcessError(
            f"{fenced} {FENCINGS_MOST} times in a row; find it with kafka-transactions describe --transactional-id "
            f"{self._transactional_id}, and stop it or give this worker another WORKER_INSTANCE_ID or WORKER_GROUP_ID",
            ExitStatus.ACT_FIRST,
        )

    def _missing(self, topics: Iterable[str]) -> list[str]:
        # A topic that was deleted shows as a timeout: the producer waits for it to come back. Asked over a connection
        # of its own, because the producer keeps what it knew about the topic.
        try:
            with self._deadline.within(self.longest_s, "asking for the topics"):
                admin = connected(
                    KafkaAdminClient,
                    **self._connection,
                    bootstrap_timeout_ms=CONNECT_MS,
                    request_timeout_ms=CONNECT_MS,
                )
                try:
                    described = admin.describe_topics(list(topics))
                finally:
                    admin.close()
        except KafkaError:
            return []  # the brokers do not answer, which is then the reason
        return [each["name"] for each in described if for_code(each["error_code"]) is UnknownTopicOrPartitionError]


def _flush(producer: Any, timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    while True:
        try:
            producer.flush(timeout=max(0.0, until - time.monotonic()))
            return
        except UnknownError:
            # A batch too large for its topic was sent again in halves, and flush gave up on the first one.
            if time.monotonic() > until:
                raise


def _require_arrived(futures: Sequence[Any]) -> None:
    for future in futures:
        if future.exception is not None:
            raise future.exception
        if not future.is_done:
            raise KafkaTimeoutError("a record was not acknowledged in time")


def _causes(error: KafkaError, producer: Any, futures: Sequence[Any]) -> Iterator[Exception]:
    # The error raised is often a plain KafkaError that only quotes the one that matters.
    manager = getattr(producer, "_transaction_manager", None)
    if manager is not None and manager.last_error is not None:
        yield manager.last_error
    yield from (future.exception for future in futures if future.exception is not None)
    yield from (cause for cause in error.args if isinstance(cause, Exception))
    yield error
