"""Events for the input topic while faults happen, through whatever happens to the broker."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from types import TracebackType
from typing import Self

import orjson
from kafka.errors import KafkaError
from kafka.partitioner.default import murmur2

from demo.errors import ClusterError
from demo.events import Emitted, emitted
from demo.kafka.client import NewRecord, Sender
from demo.population import Population
from schemas.events import USER_ERASED_TYPE
from tests.chaos.avro_events import writer
from tests.chaos.evidence import EXPECTED_HEADER
from tests.chaos.judgement import ERASED, IGNORED

_BAD_SHARE = 0.01
_ERASED_EVERY = 50
_TURN_S = 0.1
_PART_S = 2.0
_HANDFUL = 500
_CONFIRM_S = 30


class Feed:
    """Sends on a thread of its own; a context manager. What could not be confirmed is sent again, as upstreams do."""

    def __init__(
        self, bootstrap_servers: str, topic: str, *, count: int, parts: int, population: Population, written_as: str
    ) -> None:
        """`count` events in equal parts, each sent evenly over a few seconds after `next_part`; bursts come on top."""
        self._at = (bootstrap_servers, topic)
        self._rate = count / parts / _PART_S
        self._parts = parts
        self._part = 0
        self._count = count
        events = emitted(population, None, _BAD_SHARE, new_id=lambda: str(uuid.uuid4()), now=lambda: datetime.now(UTC))
        self._records = _records(events, written_as)
        self._lock = threading.Lock()  # the generator and the sender serve the thread and bursts
        self._sender: Sender | None = None
        self._flowing = threading.Event()
        self._flowing.set()
        self._enough = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._send_all, name="feed")
        self.sent = 0
        self.ended_at: float | None = None
        """When all was sent, by the monotonic clock."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enough.set()
        self._flowing.set()
        self._thread.join()
        if self._sender is not None:
            with self._sender:
                pass

    def check(self) -> None:
        """Raises what the thread met."""
        if self._failure is not None:
            raise self._failure

    def all_parts(self) -> None:
        """Let all that is left be sent."""
        self._part = self._parts

    def next_part(self) -> None:
        """Let the next part of the events be sent."""
        self._part += 1

    def pause(self) -> None:
        """Send nothing but bursts, until `resume`; returns when nothing is under way."""
        self._flowing.clear()
        with self._lock:
            pass

    def resume(self) -> None:
        """The end of `pause`."""
        self._flowing.set()

    def burst(self, count: int) -> None:
        """Send this many at once, and return when they are there. Raises ClusterError."""
        with self._lock:
            self._send([*islice(self._records, count)])

    def burst_to(self, partition: int, of: int, count: int) -> None:
        """The same with events of users of one partition, of so many."""
        with self._lock:
            theirs = (each for each in self._records if _partition(each.key, of) == partition)
            self._send([*islice(theirs, count)])

    def _send_all(self) -> None:
        try:
            due = 0.0
            while self.sent < self._count and not self._enough.is_set():
                self._flowing.wait()
                time.sleep(_TURN_S)
                # No clock: what a paused or hindered feed missed is not made up for at once.
                due = min(due + self._rate * _TURN_S, self._count * self._part / self._parts)
                self._send_due(round(due))
            self.ended_at = time.monotonic()
        except BaseException as error:  # noqa: BLE001  # raised again by check
            self._failure = error

    def _send_due(self, due: int) -> None:
        while self.sent < due and self._flowing.is_set() and not self._enough.is_set():
            with self._lock:
                handful = [*islice(self._records, min(due - self.sent, _HANDFUL))]
                self._send(handful)
                self.sent += len(handful)

    def _send(self, records: list[NewRecord]) -> None:
        until = time.monotonic() + 4 * _CONFIRM_S
        while True:
            try:
                self._confirmed(records)
                return
            except ClusterError:
                # Its producer may not go on after this; and some of these may have arrived.
                sender, self._sender = self._sender, None
                if sender is not None:
                    with suppress(KafkaError), sender:  # closing first tries once more to send what is left
                        pass
                if self._enough.wait(0.2) or time.monotonic() > until:
                    raise

    def _confirmed(self, records: list[NewRecord]) -> None:
        if self._sender is None:
            self._sender = Sender(*self._at)
        self._sender.send(records)
        self._sender.flush(_CONFIRM_S)


def _records(events: Iterable[Emitted], written_as: str) -> Iterator[NewRecord]:
    """Records in this format, each with what has to become of it; CloudEvents with erasures among them."""
    write = writer(written_as)
    for number, each in enumerate(events):
        if written_as == "cloudevents" and each.reason is None and number % _ERASED_EVERY == 0:
            record, expected = _erasure(each.record), ERASED
        else:
            one = write(number, each)
            record, expected = one.record, IGNORED if one.ignored else one.reason or ""
        yield replace(record, headers={**(record.headers or {}), EXPECTED_HEADER: expected.encode()})


def _erasure(event: NewRecord) -> NewRecord:
    """What erases the user of an event."""
    attributes = orjson.loads(event.value or b"")
    del attributes["data"]
    return replace(event, value=orjson.dumps({**attributes, "type": USER_ERASED_TYPE}))


def _partition(key: bytes | None, partitions: int) -> int:
    """Where Kafka's producers send this key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
