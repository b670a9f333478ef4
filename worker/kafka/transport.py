"""The Kafka transport: reading, the transaction and going back, put together."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

import structlog
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from worker.errors import ExitStatus, RetryBatchError, StopProcessError
from worker.kafka.batch_limit import BatchLimit
from worker.kafka.consumer import GroupReader
from worker.kafka.errors import fault
from worker.kafka.offsets import NowhereToBegin, Starts
from worker.kafka.producer import Transactions
from worker.kafka.waiting import wait_for_brokers
from worker.lifecycle import Deadline
from worker.settings import Settings
from worker.stream.ports import PartitionProgress, StopSignal
from worker.stream.records import Batch, Membership, Outcome

_log = structlog.get_logger()


class KafkaTransport:
    """The loop's transport on Kafka: read_committed in; results, rejected events and offsets out in one transaction."""

    def __init__(self, settings: Settings, reader: GroupReader, transactions: Transactions) -> None:
        self._settings = settings
        self._reader = reader
        self._transactions = transactions
        self._batch_limit = BatchLimit(settings)
        self._polled_at_s = 0.0
        self._closed = False

    def poll(self) -> Batch | None:
        """The next batch, or None when nothing came within a short wait."""
        try:
            return self._reader.poll(self._batch_limit.events)
        except NowhereToBegin as error:
            self._begin(error.out_of_range)
            return None
        finally:
            self._polled_at_s = time.monotonic()

    def commit(self, batch: Batch, outcome: Outcome) -> None:
        """Make all of the outcome visible and the batch's offsets committed, or nothing of either."""
        if len(outcome.results) + len(outcome.rejected) != len(batch.records):
            raise ValueError("an outcome must hold exactly one message for each record")
        messages = {
            self._settings.worker_output_topic: outcome.results,
            self._settings.worker_rejected_topic: outcome.rejected,
        }
        notes = dict.fromkeys(batch.next_offsets, self._reader.positions.topic_id)
        begun_at_s = time.monotonic()
        try:
            if self._reader.membership() != batch.membership:
                raise RetryBatchError("the group rebalanced while the batch was in hand")
            self._transactions.commit(messages, batch.next_offsets, batch.membership, notes)
        finally:
            # Also when it failed, which is what a batch that takes too long does.
            now_s = time.monotonic()
            self._batch_limit.took(len(batch.records), now_s - self._polled_at_s, now_s - begun_at_s)

    def rewind(self) -> None:
        """Go back to the committed offsets: what was polled since and not committed is polled again."""
        # First, because it ends the transaction that a failed commit left open: until then the committed offsets are
        # not known, here or to whoever has the partitions now, and readers wait.
        self._transactions.open()
        try:
            self._reader.positions.rewind()
        except NowhereToBegin as error:
            if self._reader.settled_membership() is not None:
                self._begin(error.out_of_range)
            else:
                # The next poll makes this process a member again, and goes back then; even as the same one as before,
                # which a stable group calls whoever joins it again.
                self._reader.forget_positions()

    def close(self) -> None:
        """Leave the group and release everything; bounded in time, and fine to call twice."""
        if self._closed:
            return
        self._closed = True
        self._transactions.close()
        self._reader.close()

    def progress(self) -> tuple[PartitionProgress, ...]:
        """Each assigned partition's progress, asked of the brokers now; from any thread, within 2 s, never raises."""
        return self._reader.positions.progress()

    @property
    def joined(self) -> bool:
        """Whether this process is a member of its group, even one without a partition; from any thread."""
        return self._reader.joined

    @property
    def membership(self) -> Membership | None:
        """Who this process is in its group now, or None when it is not a member; from any thread."""
        return self._reader.membership()

    def _begin(self, out_of_range: Mapping[TopicPartition, int]) -> None:
        # Seen first: were it seen after, the broker would take offsets for partitions that are gone.
        membership = self._reader.membership()
        starts = self._reader.positions.starts(out_of_range)
        if membership is None:
            raise RetryBatchError("the group was lost before its first offsets were committed")
        if out_of_range and not starts.offsets:
            raise RetryBatchError(f"could not read at {dict(out_of_range)}, which is not the committed offset")
        if starts.offsets:
            # Committed before anything is read: otherwise a restart before the first commit would begin somewhere else.
            notes = dict.fromkeys(starts.offsets, starts.topic_id)
            self._transactions.commit({}, starts.offsets, membership, notes)
            _tell(starts, self._settings.worker_start_at)
        try:
            self._reader.positions.begin(starts)
        except NowhereToBegin as error:
            raise RetryBatchError("the offsets to start at are gone again") from error


def _tell(starts: Starts, start_at: str) -> None:
    new = {f"{topic}/{n}": offset for (topic, n), offset in starts.offsets.items() if (topic, n) not in starts.losses}
    if new:
        _log.info("started_without_committed_offsets", at=start_at, offsets=new)
    for (topic, number), loss in starts.losses.items():
        _log.error(
            "expired_offset_passed_over",
            partition=f"{topic}/{number}",
            because=loss.because,
            committed=loss.before,
            goes_on_at=starts.offsets[topic, number],
            by="WORKER_ON_EXPIRED_OFFSETS=earliest",
        )


def open_transport(
    settings: Settings, connection: Mapping[str, Any], deadline: Deadline, stop: StopSignal
) -> KafkaTransport | None:
    """The transport, its topics there and its transactional id taken over; None when told to stop before that.

    `connection` is what worker.kafka.config makes of the settings. Waits WORKER_BROKER_WAIT_S for brokers that are not
    there yet. Raises StopProcessError.
    """
    servers, at_most_s = settings.kafka_bootstrap_servers, settings.worker_broker_wait_s
    try:
        return wait_for_brokers(lambda: _attempt(settings, connection, deadline), servers, at_most_s, stop)
    except RetryBatchError as error:
        raise StopProcessError(
            f"no start at {servers} within {at_most_s:g} s ({error}); check that the brokers run and that "
            "the group and transaction coordinators have their replicas, or raise WORKER_BROKER_WAIT_S",
            ExitStatus.RESTART,
        ) from error


def _attempt(settings: Settings, connection: Mapping[str, Any], deadline: Deadline) -> KafkaTransport:
    try:
        reader = GroupReader(settings, connection, deadline)
    except KafkaError as error:
        raise fault([error], "connecting", settings) from error
    transactions = Transactions(settings, connection, settings.transactional_id(uuid.uuid4().hex), deadline)
    try:
        reader.require_topics()
        transactions.open()
        reader.subscribe()
    except BaseException:
        reader.close()
        raise
    return KafkaTransport(settings, reader, transactions)
