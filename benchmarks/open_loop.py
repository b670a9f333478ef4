"""Latency under an open loop: events are due at fixed times, whether or not the contender keeps up.

An event's latency is the time from when it was due, not from when it was sent, until a read_committed reader has its
result: a stall of the sender, the broker or the contender counts for every event that was due meanwhile.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from benchmarks.contenders import ROOT
from benchmarks.load import PARTITIONS, Template, reader, templates

WARM_UP_S = 5.0
_START_IN_S = 2.0
_LATE_S = 30.0
_READY_WITHIN_S = 90.0
_READ_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each event is due, in seconds of the system's monotonic clock, which all processes share."""

    start_s: float
    rate: float
    warm_up: int
    """How many events come before those that count."""
    measured: int

    @property
    def events(self) -> int:
        """All events."""
        return self.warm_up + self.measured

    def due_s(self, number: int) -> float:
        """When the event with this number is due, from 0."""
        return self.start_s + number / self.rate

    def due_until(self, now_s: float) -> int:
        """How many events are due by now."""
        return max(0, min(self.events, int((now_s - self.start_s) * self.rate) + 1))


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from an event's due time to its result, over the events after the warm-up."""

    p50: float
    p99: float
    p999: float
    max: float


def latency(schedule: Schedule, received_s: Mapping[int, float]) -> Latency | None:
    """The latency of the events that count, given when each result was received; None if one was not."""
    counted = range(schedule.warm_up, schedule.events)
    try:
        waited = [received_s[number] - schedule.due_s(number) for number in counted]
    except KeyError:
        return None
    return Latency(*(np.percentile(waited, [50, 99, 99.9, 100], method="higher") * 1000).tolist())


def measured(
    bootstrap_servers: str, input_topic: str, output_topic: str, rate: float, seconds: float, alive: Callable[[], None]
) -> Latency | str:
    """The latency of a contender that was just started, or why there is none; `alive` raises when it has ended."""
    consumer = reader(bootstrap_servers)
    try:
        consumer.assign([TopicPartition(output_topic, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
        if not _answers(consumer, bootstrap_servers, input_topic, alive):
            return f"no result within {_READY_WITHIN_S:.0f} s"
        schedule = Schedule(
            time.monotonic() + _START_IN_S, rate, warm_up=int(WARM_UP_S * rate), measured=int(seconds * rate)
        )
        received_s = _received(consumer, bootstrap_servers, input_topic, schedule, alive)
    finally:
        consumer.close()
    found = latency(schedule, received_s)
    if found is None:
        return f"{len(received_s):,} of {schedule.events:,} results {_LATE_S:.0f} s after the last event was due"
    return found


def _answers(consumer: Consumer, bootstrap_servers: str, input_topic: str, alive: Callable[[], None]) -> bool:
    """Send single events until the result of one is there, and then read the results of all."""
    producer = _producer(bootstrap_servers)
    events = templates(0.0)
    sent = received = 0
    until_s = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < until_s:
        if received == sent > 0:
            return True
        if not received:
            alive()
            _produce(producer, input_topic, events[sent], 10**12 + sent)
            producer.flush(10)
            sent += 1
        received += len(_numbers(consumer, 0.5))
    return False


def _received(
    consumer: Consumer, bootstrap_servers: str, input_topic: str, schedule: Schedule, alive: Callable[[], None]
) -> Mapping[int, float]:
    received_s: dict[int, float] = {}
    arguments = map(str, (schedule.start_s, schedule.rate, schedule.warm_up, schedule.measured))
    # A process of its own, which the reader's work does not hold up.
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.open_loop", bootstrap_servers, input_topic, *arguments], cwd=ROOT
    ) as sender:
        try:
            until_s = schedule.due_s(schedule.events) + _LATE_S
            while len(received_s) < schedule.events and time.monotonic() < until_s:
                alive()
                for number in _numbers(consumer, 0.1):
                    received_s.setdefault(number, time.monotonic())
        finally:
            sender.terminate()
    return received_s


def _numbers(consumer: Consumer, wait_s: float) -> list[int]:
    """The numbers of the events whose results have come; waits for a first one."""
    first = consumer.poll(wait_s)
    if first is None:
        return []
    # Without a wait: with one, `consume` returns late when there are fewer.
    messages = [first, *consumer.consume(_READ_AT_ONCE, 0)]
    return [
        int(orjson.loads(message.value() or b"")["data"]["input"]["id"])
        for message in messages
        if message.error() is None
    ]


def _producer(bootstrap_servers: str) -> Producer:
    return Producer({"bootstrap.servers": bootstrap_servers, "partitioner": "murmur2_random", "linger.ms": 0})


def _produce(producer: Producer, topic: str, template: Template, number: int) -> None:
    producer.produce(topic, template.value(number), template.key, headers=template.headers)


def main() -> None:
    """Send the events of a schedule, each as soon as it is due."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in {"servers": str, "topic": str, "start": float, "rate": float}.items():
        parser.add_argument(name, type=kind)
    for name in ("warm_up", "measured"):
        parser.add_argument(name, type=int)
    given = parser.parse_args()
    schedule = Schedule(given.start, given.rate, given.warm_up, given.measured)
    producer = _producer(given.servers)
    events = itertools.cycle(templates(0.0))
    sent = 0
    while sent < schedule.events:
        for number in range(sent, schedule.due_until(time.monotonic())):
            _produce(producer, given.topic, next(events), number)
            sent = number + 1
        producer.poll(0)
        # At high rates several at a time: a wait for each would take half a core.
        time.sleep(max(0.001, min(schedule.due_s(sent) - time.monotonic(), 0.1)))
    producer.flush(30)


if __name__ == "__main__":
    main()
