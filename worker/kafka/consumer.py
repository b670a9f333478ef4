"""Reads the input topic as a member of the group, in micro-batches, and notices when membership is lost."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from kafka.errors import CorruptRecordError, UnsupportedCodecError

from schemas.formats.records import Headers
from worker.errors import RetryBatchError
from worker.kafka.offsets import ANSWER_MS, STEP_LONGEST_S, InputOffsets
from worker.kafka.patches.decompression import OversizedBatch
from worker.kafka.ports import ConsumerClient
from worker.lifecycle import Deadline
from worker.settings import Settings
from worker.stream.records import Batch, Membership, Records

IDLE_WAIT_MS = 250
# Between two polls while a batch grows: with a poll for each record that arrives, a commit takes longer.
GATHER_STEP_S = 0.005
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
        self, settings: Settings, client: ConsumerClient, deadline: Deadline, on_batch_dropped: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._client = client
        self._deadline = deadline
        self._on_batch_dropped = on_batch_dropped
        self._markers_not_before_s = 0.0
        self._coordinator_known_at_s = time.monotonic()
        # Of the last step; before the first one, the worst.
        self._largest_bytes = settings.worker_event_max_bytes
        # Under which membership the positions were set.
        self._positioned_under: Membership | None = None
        self.offsets = InputOffsets(settings, client, deadline)

    def subscribe(self) -> None:
        """Ask to become a member of the group; the next polls join it."""
        with self.offsets.step("asking for the input topic"):
            self._client.subscribe(ANSWER_MS)

    def membership(self) -> Membership | None:
        """Who this process is in the group now, or None when it is not a member."""
        return self._client.membership()

    def settled_membership(self) -> Membership | None:
        """Who this process is in the group now, or None when it is not a member or the group rebalances."""
        return self._client.settled_membership()

    @property
    def joined(self) -> bool:
        """Whether this process is a member of the group; from any thread."""
        return self.membership() is not None

    def forget_positions(self) -> None:
        """Make the next poll go back to the committed offsets, even if the membership is the same by then."""
        self._positioned_under = None

    def poll(
        self,
        max_events: int,
        during_commit: bool,  # noqa: FBT001  # a fact, not a mode
        next_begins_in_s: Callable[[], float | None],
    ) -> Batch | None:
        """The next batch under one unbroken membership, or None.

        A batch that is not full grows until the next transaction may begin: in so many seconds, or None while a commit
        that is under way decides it. A batch without records has offsets to commit all the same: of transaction markers
        and aborted records. During a commit only records are read: requests for offsets and rebalances wait until it
        is over. Raises NoStartOffset when a partition has no offset to resume from, and WorkerError.
        """
        if during_commit and self._must_settle():
            return None
        self.offsets.follow_assignment()
        self._client.between_polls()
        # Before the first record is read, never after: a rebalance inside poll hands out the new generation while
        # records of partitions that are gone still come back, and the broker checks the generation only.
        before = self.settled_membership()
        if before is not None:
            # Only as a member: to become one, this poll must continue.
            self.offsets.require_topic()
        if before is not None and (before != self._positioned_under or self.offsets.found_by_client()):
            # A partition kept through a membership that was lost keeps a position that others may have passed.
            self.offsets.rewind()
            self._positioned_under = before
        with self.offsets.step("polling"):
            records = self._gather(max_events, during_commit, next_begins_in_s)
        self._require_coordinator()
        ahead = self.offsets.ahead()
        if before is None or self.membership() != before:
            if records:
                self.report_dropped(len(records))
                self.forget_positions()
            return None
        if not records and during_commit:
            return None
        if not records:
            self.offsets.note_no_records(ahead)
            if not ahead or time.monotonic() < self._markers_not_before_s:
                return None
            self._markers_not_before_s = time.monotonic() + MARKERS_EVERY_S
        # In order of offset within a partition, so the last one stays.
        last = dict(zip(records.partitions, records.offsets, strict=True))
        next_offsets = {(records.topic, partition): offset + 1 for partition, offset in last.items()}
        return Batch(records, {**next_offsets, **ahead}, before)

    def markers(self) -> Batch | None:
        """Offsets beyond all records that were polled, as a batch without records; None if there are none.

        Also None unless this process is still the member that read them, and a coordinator would answer.
        """
        membership, ahead = self.settled_membership(), self.offsets.ahead()
        if not (ahead and membership and membership == self._positioned_under and self._client.coordinator_known):
            return None
        return Batch(Records(self._settings.worker_input_topic), ahead, membership)

    def report_dropped(self, records: int) -> None:
        """Log and count a batch that was read, and is read again because the group rebalanced meanwhile."""
        _log.info("batch_dropped", because="the group rebalanced", records=records)
        self._on_batch_dropped()

    def close(self) -> None:
        """Leave the group (a static member only goes silent) and release the connections."""
        with self._deadline.within(STEP_LONGEST_S, "leaving the group"):
            self._client.close()

    def _must_settle(self) -> bool:
        return self._client.rebalance_due() or self.settled_membership() != self._positioned_under

    def _gather(
        self,
        max_events: int,
        during_commit: bool,  # noqa: FBT001
        next_begins_in_s: Callable[[], float | None],
    ) -> Records:
        settings = self._settings
        partitions: list[int] = []
        offsets: list[int] = []
        timestamps_ms: list[int] = []
        keys: list[bytes | None] = []
        values: list[bytes | None] = []
        headers: list[Headers] = []
        records = Records(settings.worker_input_topic, partitions, offsets, timestamps_ms, keys, values, headers)
        bytes_left = settings.worker_batch_max_bytes
        wait_ms = GATHER_STEP_S * 1000 if during_commit else IDLE_WAIT_MS
        while True:
            # One call hands out this many records and holds them all in memory: fewer when they are large.
            most = min(max_events - len(records), max(1, bytes_left // self._largest_bytes))
            try:
                polled = self._client.poll(wait_ms, most)
            except (CorruptRecordError, UnsupportedCodecError, OversizedBatch):
                if not records:
                    raise
                # The next poll meets it again. The records before it are committed first, or they would be skipped when
                # somebody moves the group's offset past the damaged one.
                return records
            partitions += polled.partitions
            offsets += polled.offsets
            timestamps_ms += polled.timestamps_ms
            keys += polled.keys
            values += polled.values
            headers += polled.headers
            if polled.sizes:
                self._largest_bytes = max(1, *polled.sizes)
                bytes_left -= sum(polled.sizes)
            if len(records) >= max_events or bytes_left < self._largest_bytes:
                return records
            # A batch closed early only waits for the commit under way, and what comes meanwhile waits for two commits.
            left_s = next_begins_in_s()
            all_read = len(polled.sizes) < most
            if left_s is not None and (not records or (left_s == 0 and all_read)):
                return records
            if records:
                wait_ms = 0.0
                if all_read:
                    time.sleep(GATHER_STEP_S if left_s is None else min(left_s, GATHER_STEP_S))
            if during_commit and self._must_settle():
                return records

    def _require_coordinator(self) -> None:
        # Without one, polls return nothing and say nothing: the worker would count as ready and working, until lag made
        # a stall of it.
        now_s = time.monotonic()
        if self._client.coordinator_known:
            self._coordinator_known_at_s = now_s
        elif (away_s := now_s - self._coordinator_known_at_s) >= COORDINATOR_AWAY_S:
            raise RetryBatchError(
                f"polling: group {self._settings.worker_group_id} has had no coordinator for {away_s:.0f} s"
            )
