"""The Kafka transport: reads, commits in transactions, and goes back after a failure."""

from __future__ import annotations

import gc
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import structlog
from kafka.errors import FencedInstanceIdError, KafkaError
from kafka.structs import TopicPartition

from worker.errors import ExitStatus, RetryBatchError, StopProcessError, WorkerError
from worker.kafka.batch_limit import BatchLimit
from worker.kafka.clients import consumer_client, producer_client
from worker.kafka.consumer import GroupReader
from worker.kafka.errors import fault
from worker.kafka.offsets import NoStartOffset, Starts
from worker.kafka.producer import Transactions
from worker.kafka.waiting import wait_for_brokers
from worker.lifecycle import Deadline
from worker.settings import Settings
from worker.stream.ports import PartitionProgress, StopSignal
from worker.stream.records import Batch, Membership, Message, Outcome

# During a commit that takes longer, what was read is processed, and the commit is waited for: a poll has a deadline.
_GATHER_MOST_S = 1.0
# A signal that comes just before this thread blocks is handled when it wakes up, and not before.
_WAKE_UP_EVERY_S = 0.5

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _InFlight:
    """A commit that was begun, and when its batch was read."""

    batch: Batch
    committing: Future[None]
    polled_at_s: float
    begun_at_s: float


class KafkaTransport:
    """The loop's transport on Kafka: read_committed in; results, rejected events and offsets out in one transaction."""

    def __init__(self, settings: Settings, reader: GroupReader, transactions: Transactions, stop: StopSignal) -> None:
        self._settings = settings
        self._stop = stop
        self._reader = reader
        self._transactions = transactions
        self._batch_limit = BatchLimit(settings)
        # The only one that uses the transactions while a commit is in flight. It waits for brokers most of the time.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._in_flight: _InFlight | None = None
        self._polled_at_s = 0.0
        self._ended_at_s = 0.0
        self._closed = False

    def poll(self) -> Batch | None:
        """The next batch, or None when nothing came within a short wait, or by the end of the commit."""
        during_commit = self._in_flight is not None
        try:
            batch = self._reader.poll(self._batch_limit.events, during_commit, self._next_begins_in_s)
        except NoStartOffset as error:
            if during_commit:
                # The commit under way uses the producer. The next poll meets the same.
                self._reader.forget_positions()
            else:
                self._commit_starts(error.out_of_range)
            return None
        finally:
            self._polled_at_s = time.monotonic()
        if batch is not None and not batch.records:
            self._commit_without_records(batch)
            return None
        return batch

    def commit_markers(self) -> None:
        """Commit offsets that were read and that no record belongs to, if that works at the first try."""
        if (batch := self._reader.markers()) is None:
            return
        try:
            self._commit_without_records(batch)
        except WorkerError as error:
            # All records are committed: nothing is lost, and the next worker reads the markers again.
            _log.info("markers_not_committed", because=str(error))

    def _commit_without_records(self, batch: Batch) -> None:
        self._commit(batch, {})
        self._reader.offsets.note_committed(batch.next_offsets)

    def begin(self, batch: Batch, outcome: Outcome) -> None:
        """Begin to make all of the outcome visible and the batch's offsets committed, or nothing of either."""
        if len(outcome.results) + len(outcome.rejected) + outcome.ignored != len(batch.records):
            raise ValueError("an outcome must hold exactly one message for each record that is not ignored")
        if self._in_flight is not None:
            raise ValueError("the commit before this one is not finished")
        if self._reader.membership() != batch.membership:
            self._reader.report_dropped(len(batch.records))
            self._batch_limit.took(len(batch.records), time.monotonic() - self._polled_at_s, 0.0)
            raise RetryBatchError("the group rebalanced while the batch was in hand")
        messages = {
            self._settings.worker_output_topic: outcome.results,
            self._settings.worker_rejected_topic: outcome.rejected,
        }
        if self._settings.worker_current_topic is not None:
            messages[self._settings.worker_current_topic] = outcome.current
        committing = self._thread.submit(self._commit, batch, messages)
        self._in_flight = _InFlight(batch, committing, self._polled_at_s, time.monotonic())

    def finish(self) -> float:
        """Wait until the commit that was begun is over; returns how long it took, in seconds."""
        in_flight, self._in_flight = self._in_flight, None
        if in_flight is None:
            raise ValueError("no commit was begun")
        _wait_for(in_flight.committing)
        try:
            in_flight.committing.result()
        finally:
            # Also when it failed, which is what a batch that takes too long does.
            commit_s = self._ended_at_s - in_flight.begun_at_s
            worked_s = in_flight.begun_at_s - in_flight.polled_at_s + commit_s
            self._batch_limit.took(len(in_flight.batch.records), worked_s, commit_s)
        self._reader.offsets.note_committed(in_flight.batch.next_offsets)
        return commit_s

    def _commit(self, batch: Batch, messages: Mapping[str, Sequence[Message]]) -> None:
        try:
            notes = dict.fromkeys(batch.next_offsets, self._reader.offsets.topic_id)
            self._transactions.commit(messages, batch.next_offsets, batch.membership, notes)
        except StopProcessError as error:
            if isinstance(error.__cause__, FencedInstanceIdError) and self._reader.membership() != batch.membership:
                # Not by another process: this one joined again, after its session had ended with the batch in hand.
                raise RetryBatchError("this worker joined its group again while the batch was in hand") from error
            raise
        finally:
            self._ended_at_s = time.monotonic()

    def _next_begins_in_s(self) -> float | None:
        now_s = time.monotonic()
        if self._stop.is_set():
            return 0.0
        if (in_flight := self._in_flight) is not None:
            if not in_flight.committing.done():
                return None if now_s - in_flight.begun_at_s < _GATHER_MOST_S else 0.0
            if in_flight.committing.exception() is not None:
                return 0.0
        # Brokers finish a transaction after they have answered. They refuse the next one until then, and the clients
        # ask again after 20 ms.
        return max(0.0, self._ended_at_s + self._settings.worker_commit_interval_ms / 1000 - now_s)

    def rewind(self) -> None:
        """Go back to the committed offsets: what was polled since and not committed is polled again."""
        # First, because it ends the transaction that a failed commit left open: until then neither this worker nor the
        # next owner of the partitions knows the committed offsets, and readers wait.
        self._transactions.open()
        # The error that led here held its whole batch in a cycle, through the frames of its traceback.
        gc.collect()
        try:
            self._reader.offsets.rewind()
        except NoStartOffset as error:
            if self._reader.settled_membership() is not None:
                self._commit_starts(error.out_of_range)
            else:
                # The next poll makes this process a member again, and goes back then; even with the same membership,
                # which a stable group gives to a member that joins it again.
                self._reader.forget_positions()

    def close(self) -> None:
        """Leave the group and release everything, after a commit under way; bounded in time, and fine to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._in_flight is not None:
            _wait_for(self._in_flight.committing)
        self._thread.shutdown()
        self._transactions.close()
        self._reader.close()

    def progress(self) -> tuple[PartitionProgress, ...]:
        """Each assigned partition's progress, asked of the brokers now; from any thread, within 2 s, never raises."""
        return self._reader.offsets.progress()

    @property
    def joined(self) -> bool:
        """Whether this process is a member of its group, even one without a partition; from any thread."""
        return self._reader.joined

    @property
    def membership(self) -> Membership | None:
        """Who this process is in its group now, or None when it is not a member; from any thread."""
        return self._reader.membership()

    def _commit_starts(self, out_of_range: Mapping[TopicPartition, int]) -> None:
        # Before the offsets are asked for, or the broker would take them for partitions that are gone; and settled, or
        # the assignment would still be that of the generation before.
        membership = self._reader.settled_membership()
        if membership is None:
            raise RetryBatchError("the group is rebalancing; the offsets to start at are not committed yet")
        starts = self._reader.offsets.starts(out_of_range)
        if out_of_range and not starts.offsets:
            raise RetryBatchError(f"could not read at {dict(out_of_range)}, which is not the committed offset")
        if starts.offsets:
            # Committed before anything is read: otherwise a restart before the first commit would start elsewhere.
            notes = dict.fromkeys(starts.offsets, starts.topic_id)
            self._transactions.commit({}, starts.offsets, membership, notes)
            _report(starts)
        try:
            self._reader.offsets.begin(starts)
        except NoStartOffset as error:
            raise RetryBatchError("the offsets to start at are gone again") from error


def _wait_for(committing: Future[None]) -> None:
    while not committing.done():
        wait([committing], _WAKE_UP_EVERY_S)


def _report(starts: Starts) -> None:
    if starts.new:
        offsets = {f"{topic}/{number}": offset for (topic, number), offset in starts.new.items()}
        _log.info("started_without_committed_offsets", at=starts.new_at, offsets=offsets)
    for (topic, number), lost in starts.lost.items():
        _log.error(
            "lost_offset_skipped",
            partition=f"{topic}/{number}",
            because=lost.reason,
            committed=lost.offset,
            continues_at=lost.log_start,
            by="WORKER_ON_OFFSET_OUT_OF_RANGE=earliest",
        )


def open_transport(
    settings: Settings,
    connection: Mapping[str, Any],
    deadline: Deadline,
    stop: StopSignal,
    on_batch_dropped: Callable[[], None],
) -> KafkaTransport | None:
    """The transport, with its transactional id taken over; None when stopped before that.

    `connection` is what worker.kafka.config makes of the settings; `on_batch_dropped` is called for each batch that is
    dropped because the group rebalanced. Waits WORKER_BROKER_WAIT_S for brokers that are not there yet. Raises
    StopProcessError.
    """
    servers, at_most_s = settings.kafka_bootstrap_servers, settings.worker_broker_wait_s
    try:
        return wait_for_brokers(
            lambda: _attempt(settings, connection, deadline, stop, on_batch_dropped), servers, at_most_s, stop
        )
    except RetryBatchError as error:
        raise StopProcessError(
            f"could not start at {servers} within {at_most_s:g} s ({error}); check that the brokers run and "
            "that the internal topics of the group and transaction coordinators have enough replicas, or raise "
            "WORKER_BROKER_WAIT_S",
            ExitStatus.RESTART,
        ) from error


def _attempt(
    settings: Settings,
    connection: Mapping[str, Any],
    deadline: Deadline,
    stop: StopSignal,
    on_batch_dropped: Callable[[], None],
) -> KafkaTransport:
    try:
        consumer = consumer_client(settings, connection)
    except KafkaError as error:
        raise fault([error], "connecting", settings) from error
    reader = GroupReader(settings, consumer, deadline, on_batch_dropped)
    transactions = Transactions(
        settings,
        connection,
        settings.transactional_id(uuid.uuid4().hex),
        lambda transactional_id: producer_client(settings, connection, transactional_id),
        deadline,
    )
    try:
        transactions.open()
        reader.subscribe()
    except BaseException:
        reader.close()
        raise
    return KafkaTransport(settings, reader, transactions, stop)
