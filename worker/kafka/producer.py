"""One transaction after another; one that failed is aborted before the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError, for_code
from kafka.structs import TopicPartition

from worker.errors import ExitStatus, ProducerFenced, RetryBatchError, StopProcessError
from worker.kafka.client import CONNECT_MS, connected
from worker.kafka.errors import fault, is_fencing
from worker.kafka.ports import NotedOffset, ProducerClient
from worker.lifecycle import Deadline
from worker.settings import Settings
from worker.stream.records import Membership, Message

# The coordinator aborts a transaction at its timeout; a call that waits for longer waits in vain.
GRACE_S = 5.0
# The coordinator looks for transactions past their timeout every 10 s.
ABORT_GRACE_S = 15.0
# One or two fencings can come from a restart that overlaps with the old process.
FENCINGS_MOST = 3


class Transactions:
    """Messages and offsets, visible together or not at all.

    After a failure the transaction is aborted, by its own producer where that can go on, otherwise by a new one.
    """

    def __init__(
        self,
        settings: Settings,
        connection: Mapping[str, Any],
        transactional_id: str,
        connect: Callable[[str], ProducerClient],
        deadline: Deadline,
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._transactional_id = transactional_id
        self._connect = connect
        self._deadline = deadline
        self._producer: ProducerClient | None = None
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
        self._begun_at_s = time.monotonic()
        try:
            with self._deadline.within(self.longest_s, "opening the producer"):
                self._producer = self._connect(self._transactional_id)
                self._producer.take_over()
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
        if self._producer is not None and self._producer.needs_replacement():
            self.discard()
        self.open()
        producer = self._producer
        assert producer is not None  # noqa: S101  # open() raises otherwise
        noted = {
            TopicPartition(*at): NotedOffset(offset, (notes or {}).get(at, "")) for at, offset in next_offsets.items()
        }
        self._begun_at_s = time.monotonic()
        try:
            with self._deadline.within(self.longest_s, "committing a batch"):
                producer.begin()
                self._left_open = True
                producer.send(messages)
                # Before the commit, which can succeed although a record was lost on the way. Nothing is sent after it.
                producer.flush(self._settings.worker_transaction_timeout_ms / 1000)
                producer.send_offsets(noted, membership)
                producer.commit()
                self._left_open, self._fencings_in_a_row = False, 0
        except KafkaError as error:
            raise self._failed(error, "committing a batch", messages) from error
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Drop the producer without waiting for its transaction; the next one aborts what it left open."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.discard()

    def close(self) -> None:
        """Release the producer; the last transaction is over or counts as aborted."""
        self.discard()

    def _abort(self) -> None:
        with self._deadline.within(self.longest_s, "aborting a batch"):
            if self._left_open and self._producer is not None and self._producer.abort():
                self._left_open = False
            else:
                self.discard()

    def _not_opened(self, error: KafkaError) -> Exception:
        brokers_answer = self._producer is not None
        failure = self._failed(error, "opening the producer")
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

    def _failed(self, error: KafkaError, doing: str, topics: Iterable[str] = ()) -> Exception:
        causes = self._producer.causes(error) if self._producer is not None else (error,)
        # Past its timeout the coordinator itself fences a transaction: then no other producer is involved.
        in_time = time.monotonic() - self._begun_at_s < self._settings.worker_transaction_timeout_ms / 1000
        self._abort()
        if topics and isinstance(error, KafkaTimeoutError) and (missing := self._missing(topics)):
            return RetryBatchError(
                f"{doing}: topic {', '.join(missing)} was deleted; create it again with the same number "
                "of partitions, and the worker continues without loss; or set another topic and restart"
            )
        failure = fault(causes, doing, self._settings)
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
