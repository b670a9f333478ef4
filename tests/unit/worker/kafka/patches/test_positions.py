"""The position that the worker commits, of the patched client: never beyond a record that is still to come."""

import random
import struct
from collections import deque
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from kafka.consumer.fetcher import CompletedFetch, Fetcher
from kafka.consumer.subscription_state import SubscriptionState
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import IsolationLevel
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c
from kafka.structs import TopicPartition

GZIP = 1
CONTROL_BATCH = 0x20
NO_TRANSACTION = -1
NEVER = 1 << 60


class Log:
    """A partition as a broker holds it, with transactions that were committed, aborted, or are still open."""

    def __init__(self, choices: random.Random) -> None:
        self.batches: list[tuple[range, bytes]] = []
        self.end = 0
        self.aborted: list[Any] = []
        self.corrupt_from = NEVER
        expected: set[int] = set()
        open_: dict[int, list[int]] = {}
        for _ in range(choices.randint(3, 25)):
            size, codec = choices.randint(1, 6), choices.choice([0, GZIP])
            kind = choices.choice(["plain", "transactional", "transactional", "end"])
            if kind == "plain":
                # Compaction removed some of the records, and maybe the last ones.
                present = [*(choices.random() < 0.7 for _ in range(size)), True, *choices.choice([[], [False] * 2])]
                offsets = self._append(NO_TRANSACTION, present, codec)
                expected |= {offset for offset, there in zip(offsets, present, strict=True) if there}
            elif kind == "transactional":
                producer = choices.randint(1, 3)
                open_.setdefault(producer, []).extend(self._append(producer, [True] * size, codec))
            elif open_:
                producer, commits = choices.choice(list(open_)), choices.random() < 0.5
                records = open_.pop(producer)
                self._append(producer, [True], marker=int(commits))
                if commits:
                    expected |= set(records)
                else:
                    self.aborted.append(
                        SimpleNamespace(producer_id=producer, first_offset=records[0], marker=self.end - 1)
                    )
        self.last_stable_offset = min((offsets[0] for offsets in open_.values()), default=self.end)
        self.expected = sorted(offset for offset in expected if offset < self.last_stable_offset)
        if choices.random() < 0.3:
            at = choices.randrange(len(self.batches))
            offsets, raw = self.batches[at]
            self.batches[at], self.corrupt_from = (offsets, raw[:-1] + bytes([raw[-1] ^ 1])), offsets.start

    def _append(self, producer: int, present: list[bool], codec: int = 0, marker: int | None = None) -> range:
        builder = DefaultRecordBatchBuilder(2, codec, producer != NO_TRANSACTION, producer, 0, 0, 1 << 20)
        for at, there in enumerate(present):
            if there:
                builder.append(at, 1_000, struct.pack(">hh", 0, marker or 0), b"\0" * 6, [])
        raw = builder.build()
        struct.pack_into(">q", raw, 0, self.end)
        raw[22] |= 0 if marker is None else CONTROL_BATCH
        struct.pack_into(">i", raw, 23, len(present) - 1)
        struct.pack_into(">I", raw, 17, calc_crc32c(memoryview(raw)[21:]))
        offsets = range(self.end, self.end + len(present))
        self.batches.append((offsets, bytes(raw)))
        self.end = offsets.stop
        return offsets

    def fetched(self, at: int, batches: int) -> Any:
        """What a read_committed fetch from this offset returns of so many batches."""
        wanted = [raw for offsets, raw in self.batches if offsets.stop > at and offsets.start < self.last_stable_offset]
        return SimpleNamespace(
            error_code=0,
            high_watermark=self.end,
            records=b"".join(wanted[:batches]),
            aborted_transactions=[each for each in self.aborted if each.marker >= at],
            diverging_epoch=None,
            preferred_read_replica=-1,
            current_leader=None,
        )


def fetcher(subscription: SubscriptionState) -> Any:
    """kafka-python's, without its network."""
    made: Any = Fetcher.__new__(Fetcher)
    vars(made).update(
        config=dict(Fetcher.DEFAULT_CONFIG),
        _isolation_level=IsolationLevel.READ_COMMITTED,
        _subscriptions=subscription,
        _completed_fetches=deque(),
        _next_partition_records=None,
        _paused_completed_fetches={},
        _paused_partition_records={},
        _next_in_line_exception_metadata=None,
        _sensors=None,
    )
    return made


def test_at_every_position_all_committed_records_before_it_were_returned_and_nothing_else() -> None:
    assert sum(read_and_checked(random.Random(seed)) for seed in range(40)) > 500


def read_and_checked(choices: random.Random) -> int:
    """How many records a consumer got, with its positions checked after each step."""
    logs = {TopicPartition("in", number): Log(choices) for number in range(choices.randint(1, 3))}
    subscription = SubscriptionState("none")
    subscription.subscribe(["in"])
    subscription.assign_from_subscribed(list(logs))
    client = fetcher(subscription)
    returned: dict[TopicPartition, list[int]] = {at: [] for at in logs}
    for at in logs:
        subscription.seek(at, 0)
    for _ in range(150):
        waiting = {each.topic_partition for each in client._completed_fetches}
        if client._next_partition_records:
            waiting.add(client._next_partition_records.topic_partition)
        for at, log in logs.items():
            if at not in waiting and choices.random() < 0.6:
                position = subscription.assignment[at].position.offset
                answer = log.fetched(position, choices.randint(1, 4))
                client._completed_fetches.append(CompletedFetch(at, position, 12, answer, None))
        with suppress(CorruptRecordError):
            for at, records in client.fetched_records(choices.randint(1, 7))[0].items():
                returned[at] += [record.offset for record in records]
        for at, log in logs.items():
            position = subscription.assignment[at].position.offset
            assert returned[at] == [offset for offset in log.expected if offset < position]
            assert position <= min(log.last_stable_offset, log.corrupt_from)
        if choices.random() < 0.05:  # as a rewind does
            at = choices.choice(list(logs))
            to = choices.choice(returned[at] or [0])
            subscription.seek(at, to)
            returned[at] = [offset for offset in returned[at] if offset < to]
    return sum(map(len, returned.values()))
