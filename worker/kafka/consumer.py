"""Reads the input topic as a member of the group, in micro-batches, and notices when membership is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from kafka import KafkaConsumer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import CorruptRecordError, FencedInstanceIdError, UnsupportedCodecError
from kafka.future import Future

from worker.errors import RetryBatchError
from worker.kafka.client import CONNECT_MS, connected
from worker.kafka.errors import fault
from worker.kafka.offsets import ANSWER_MS, STEP_LONGEST_S, InputOffsets
from worker.kafka.patches.decompression import OversizedBatch
from worker.lifecycle import Deadline
from worker.settings import Settings
from worker.stream.records import Batch, Headers, Membership, Records

IDLE_WAIT_MS = 250
CLOSE_MS = 2_000
METADATA_MAX_AGE_MS = 60_000
# What the client holds ahead is bounded by these, whatever the backlog; a larger record still comes through, alone.
FETCH_BYTES = 8 * 1024 * 1024
PARTITION_FETCH_BYTES = 1024 * 1024
NO_GENERATION = -1
# How often, at most, an idle worker commits offsets that no record belongs to. Each time costs a transaction, so not
# after each marker of a quick upstream. Brokers apply retention every 5 minutes, and KEDA asks for the lag every 30 s.
MARKERS_EVERY_S = 10.0
# A coordinator that moves, as when its broker restarts, is back in less.
COORDINATOR_AWAY_S = 10.0

_log = structlog.get_logger()


class GroupReader:
    """The input topic, read as one member of the group.

    All but `joined` and `offsets.progress` belong to one thread.
    """

    def __init__(
        self,
        settings: Settings,
        connection: Mapping[str, Any],
        deadline: Deadline,
        on_batch_dropped: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._deadline = deadline
        self._on_batch_dropped = on_batch_dropped
        self._markers_not_before_s = 0.0
        self._batch_not_before_s = 0.0
        self._coordinator_known_at_s = time.monotonic()
        # Of the last step; before the first one, the worst.
        self._largest_bytes = settings.worker_event_max_bytes
        # Under which membership the positions were set, and which partitions the input topic had then.
        self._positioned_under: Membership | None = None
        self._partitions_then: frozenset[int] = frozenset()
        self._consumer = connected(
            KafkaConsumer,
            **connection,
            group_id=settings.worker_group_id,
            group_instance_id=settings.worker_instance_id,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            partition_assignment_strategy=[CooperativeStickyAssignor],
            session_timeout_ms=settings.worker_session_timeout_ms,
            # A member learns from its heartbeat that the group rebalances, and all others wait for it.
            heartbeat_interval_ms=min(1_000, settings.worker_session_timeout_ms // 3),
            max_poll_interval_ms=settings.worker_max_poll_interval_ms,
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            bootstrap_timeout_ms=CONNECT_MS,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
            reconnect_backoff_max_ms=1_000,
            metrics_enabled=False,
        )
        self.offsets = InputOffsets(settings, self._consumer, deadline)

    def subscribe(self) -> None:
        """Ask to become a member of the group; the next polls join it."""
        consumer = self._consumer
        consumer.subscribe([self._settings.worker_input_topic])
        # A leader that joins without the topic's metadata assigns nothing, and the group rebalances again once it has
        # them. Asked twice, because the first answer may be to a question from before the subscription.
        with self.offsets.step("asking for the input topic"):
            for _ in range(2):
                answer = consumer._cluster.request_update()  # noqa: SLF001  # topics() would ask for all of the cluster
                consumer._net.run(consumer._manager.wait_for, answer, ANSWER_MS)  # noqa: SLF001  # see above

    def membership(self) -> Membership | None:
        """Who this process is in the group now, or None when it is not a member."""
        seen = self._consumer.group_metadata()
        # After a lost membership the client shows generation -1 and an empty member id, which no broker checks.
        if seen.generation_id == NO_GENERATION or not seen.member_id:
            return None
        return Membership(seen.group_id, seen.member_id, seen.generation_id, seen.group_instance_id)

    def settled_membership(self) -> Membership | None:
        """Who this process is in the group now, or None when it is not a member or the group rebalances."""
        # During a rebalance the new generation is visible before the positions that belong to it are set.
        coordinator = self._consumer._coordinator  # noqa: SLF001  # group_metadata() shows the state, not what it means
        return self.membership() if coordinator.stable() else None

    def _partitions(self) -> frozenset[int]:
        known = self._consumer._cluster.partitions_for_topic(self._settings.worker_input_topic)  # noqa: SLF001  # cached
        return frozenset(known or ())

    @property
    def joined(self) -> bool:
        """Whether this process is a member of the group; from any thread."""
        return self.membership() is not None

    def forget_positions(self) -> None:
        """Make the next poll go back to the committed offsets, even if the membership is the same by then."""
        self._positioned_under = None

    def poll(self, max_events: int) -> Batch | None:
        """The next batch under one unbroken membership, or None.

        A batch without records has offsets to commit all the same: of transaction markers and aborted records. Raises
        NoStartOffset when a partition has no offset to resume from, and WorkerError.
        """
        self.offsets.follow_assignment()
        self._finish_join()
        # Before the first record is read, never after: a rebalance inside poll hands out the new generation while
        # records of partitions that are gone still come back, and the broker checks the generation only.
        before = self.settled_membership()
        if before is not None:
            # Only as a member: to become one, this poll must continue.
            self.offsets.require_topic()
        if before is not None and (before != self._positioned_under or self.offsets.found_by_client()):
            # A partition kept through a membership that was lost keeps a position that others may have passed.
            self.offsets.rewind()
            self._positioned_under, self._partitions_then = before, self._partitions()
        elif self._settings.worker_instance_id is not None and self._partitions() != self._partitions_then:
            # A static leader that restarted does not learn that it leads, and nobody would share out added partitions.
            self._partitions_then = self._partitions()
            self._consumer._coordinator.request_rejoin()  # noqa: SLF001  # the client has no public way
        with self.offsets.step("polling"):
            records = self._gather(max_events)
        self._require_instance_id()
        self._require_coordinator()
        ahead = self.offsets.ahead()
        if before is None or self.membership() != before:
            if records:
                self.report_dropped(len(records))
                self.offsets.rewind()
            return None
        if not records:
            self.offsets.note_no_records(ahead)
            if not ahead or time.monotonic() < self._markers_not_before_s:
                return None
            self._markers_not_before_s = time.monotonic() + MARKERS_EVERY_S
        self._batch_not_before_s = time.monotonic() + self._settings.worker_commit_interval_ms / 1000
        # In order of offset within a partition, so the last one stays.
        last = dict(zip(records.partitions, records.offsets, strict=True))
        next_offsets = {(records.topic, partition): offset + 1 for partition, offset in last.items()}
        return Batch(records, {**next_offsets, **ahead}, before)

    def report_dropped(self, records: int) -> None:
        """Log and count a batch that was read, and is read again because the group rebalanced meanwhile."""
        _log.info("batch_dropped", because="the group rebalanced", records=records)
        self._on_batch_dropped()

    def close(self) -> None:
        """Leave the group (a static member only goes silent) and release the connections."""
        with self._deadline.within(STEP_LONGEST_S, "leaving the group"):
            self._consumer.close(autocommit=False, timeout_ms=CLOSE_MS)

    def _gather(self, max_events: int) -> Records:
        settings = self._settings
        partitions: list[int] = []
        offsets: list[int] = []
        timestamps_ms: list[int] = []
        keys: list[bytes | None] = []
        values: list[bytes | None] = []
        headers: list[Headers] = []
        records = Records(settings.worker_input_topic, partitions, offsets, timestamps_ms, keys, values, headers)
        bytes_left = settings.worker_batch_max_bytes
        wait_ms: float = IDLE_WAIT_MS
        while True:
            # One call hands out this many records and holds them all in memory: fewer when they are large.
            most = min(max_events - len(records), max(1, bytes_left // self._largest_bytes))
            sizes: list[int] = []
            try:
                polled = self._consumer.poll(timeout_ms=wait_ms, max_records=most)
            except (CorruptRecordError, UnsupportedCodecError, OversizedBatch):
                if not records:
                    raise
                # The next poll meets it again. The records before it are committed first, or they would be skipped when
                # somebody moves the group's offset past the damaged one.
                return records
            for (_, number), rows in polled.items():
                partitions += [number] * len(rows)
                offsets += [r.offset for r in rows]
                timestamps_ms += [r.timestamp for r in rows]
                keys += [r.key for r in rows]
                values += [r.value for r in rows]
                headers += [tuple(r.headers) for r in rows]
                sizes += [r.serialized_key_size + r.serialized_value_size + r.serialized_header_size for r in rows]
            if not records:
                return records
            if sizes:
                self._largest_bytes = max(1, *sizes)
                bytes_left -= sum(sizes)
            if len(records) >= max_events or bytes_left < self._largest_bytes:
                return records
            # What came while the last batch was processed and committed is here by now: no more is waited for.
            wait_ms = max(0.0, (self._batch_not_before_s - time.monotonic()) * 1000)
            if wait_ms == 0 and len(sizes) < most:
                return records

    def _finish_join(self) -> None:
        # A join that outlasts one poll is to be finished by the next. kafka-python 3.0.12 forgets it when changed
        # metadata was its reason: the group then counts this member in, while it has no heartbeat, keeps its old
        # partitions, and drops all that it reads because its membership never settles. It also throws away one that
        # came to its end between two polls, and joins once more: when a leader does so, the whole group rebalances
        # again, and may do so for as long as its members are busy between their polls.
        coordinator = self._consumer._coordinator  # noqa: SLF001  # a join under way is visible nowhere else
        join = coordinator._join_task  # noqa: SLF001  # see above
        if join is None:
            return
        coordinator.request_rejoin()
        if join.succeeded() and coordinator.rebalance_in_progress():  # not where the membership was lost since
            coordinator._join_task = _ToBeTaken(join)  # noqa: SLF001  # see above

    def _require_instance_id(self) -> None:
        # kafka-python polls on with its old assignment after another process took the instance id: its heartbeat
        # switches itself off while the group still counts as stable, and nothing else shows.
        coordinator = self._consumer._coordinator  # noqa: SLF001  # see above
        if (
            self._settings.worker_instance_id is not None
            and coordinator.stable()
            and not coordinator.rejoining
            and not coordinator._heartbeat_enabled  # noqa: SLF001  # see above
        ):
            raise fault([FencedInstanceIdError()], "polling", self._settings)

    def _require_coordinator(self) -> None:
        # Without one, kafka-python's polls return nothing and say nothing: the worker would count as ready and working,
        # until lag made a stall of it.
        now_s = time.monotonic()
        if self._consumer._coordinator.coordinator_id is not None:  # noqa: SLF001  # visible nowhere else
            self._coordinator_known_at_s = now_s
        elif (away_s := now_s - self._coordinator_known_at_s) >= COORDINATOR_AWAY_S:
            raise RetryBatchError(
                f"polling: group {self._settings.worker_group_id} has had no coordinator for {away_s:.0f} s"
            )


class _ToBeTaken(Future):  # type: ignore[misc]  # kafka-python ships no types
    """A finished join that counts as one under way: kafka-python takes only the result of one that it waits for."""

    def __init__(self, finished: Any) -> None:
        super().__init__()
        self.add_callback = finished.add_callback
        self.add_errback = finished.add_errback
