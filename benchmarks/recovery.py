"""How long a group of workers needs after one is killed, and one to drain: `python -m benchmarks.recovery`.

Two workers share a steady stream of events on an embedded broker. One of them, in turn, is killed (SIGKILL) at a random
moment and started again at once, as an orchestrator does. Recovery is the time from the kill until a read_committed
reader has received, from every partition, the result of an event that was sent after the kill. Then the same with
SIGTERM: drain is the time from the signal until the process is gone, and its exit status must be 0.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from benchmarks.worker_environment import worker_environment, write_model
from demo.kafka.broker import running_broker
from demo.kafka.client import Cluster, Reader
from demo.kafka.processes import GuardedProcess

PARTITIONS = 4
TOPICS = ("user-activity", "user-segments", "user-activity-rejected")
RATE = 200
LONGEST_S = 120.0
SETTLE_S = (2.0, 4.0)
SLOTS = ("first", "second")


@dataclass
class Group:
    """The two workers of one group, each in a slot that is refilled after it was emptied."""

    environment: Mapping[str, str]
    scratch: Path
    static: bool
    workers: dict[str, GuardedProcess] = field(default_factory=dict)

    def start(self, slot: str) -> None:
        """Fill a slot."""
        instance = {"WORKER_INSTANCE_ID": slot} if self.static else {}
        self.workers[slot] = GuardedProcess(
            [sys.executable, "-m", "worker", "run"],
            environment={**self.environment, **instance},
            output=self.scratch / f"{self.environment['WORKER_GROUP_ID']}-{slot}.log",
        )

    def stop(self) -> None:
        """Empty all slots."""
        for worker in self.workers.values():
            worker.stop(10)


class Results:
    """Reads the output as read_committed, and tracks each partition's newest input that has a result."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._newest: dict[int, float] = {}

    def wait_for_later_than(self, sent_at: float) -> float:
        """Return when every partition has a result of an event sent after this moment, and the moment when it came."""
        began = time.monotonic()
        while len(self._newest) < PARTITIONS or min(self._newest.values()) <= sent_at:
            if time.monotonic() - began > LONGEST_S:
                raise SystemExit(f"not every partition had a result within {LONGEST_S:g} s")
            self._take(timeout_ms=20)
        return time.time()

    def follow(self, seconds: float) -> None:
        """Continue reading for a while."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._take(timeout_ms=50)

    def _take(self, timeout_ms: int) -> None:
        for record in self._reader.poll(timeout_ms):
            read: dict[str, Any] = orjson.loads(record.value or b"")["data"]["input"]
            self._newest[read["partition"]] = datetime.fromisoformat(read["time"]).timestamp()


def main() -> None:
    """Print each time, then one line of percentiles per kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="kills, and drains, of each kind (default 20)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="benchmark-") as given, running_broker() as broker:
        scratch = Path(given)
        environment = worker_environment(broker.bootstrap_servers, scratch)
        print("fitting a model …", flush=True)
        write_model(scratch, environment)
        with Cluster(broker.bootstrap_servers) as cluster:
            for topic in TOPICS:
                cluster.create_topic(topic, PARTITIONS)
        lines: list[str] = []
        with _stream(environment, scratch), Reader(broker.bootstrap_servers, [TOPICS[1]]) as reader:
            for name, static in (("without WORKER_INSTANCE_ID", False), ("with WORKER_INSTANCE_ID", True)):
                group = Group({**environment, "WORKER_GROUP_ID": f"static-{static}".lower()}, scratch, static)
                recoveries, drains = _measure(group, Results(reader), rounds, name)
                lines += [_summary(f"recovery after SIGKILL, {name}", recoveries), _summary(f"drain, {name}", drains)]
    print(*lines, sep="\n")


def _measure(group: Group, results: Results, rounds: int, name: str) -> tuple[list[float], list[float]]:
    with ExitStack() as stack:
        stack.callback(group.stop)
        for slot in SLOTS:
            group.start(slot)
        results.wait_for_later_than(time.time())
        recoveries, drains = [], []
        for number in range(rounds):
            slot = SLOTS[number % len(SLOTS)]
            results.follow(random.uniform(*SETTLE_S))
            killed_at = time.time()
            group.workers[slot].kill()
            group.start(slot)
            recoveries.append(results.wait_for_later_than(killed_at) - killed_at)
            results.follow(random.uniform(*SETTLE_S))
            told_at = time.time()
            status = group.workers[slot].stop(LONGEST_S)
            drains.append(time.time() - told_at)
            if status != 0:
                raise SystemExit(f"a drained worker ended with status {status}: {group.workers[slot].output}")
            group.start(slot)
            results.wait_for_later_than(told_at)
            print(f"{name}, {number + 1:3}: recovery {recoveries[-1]:5.2f} s, drain {drains[-1]:5.2f} s", flush=True)
    return recoveries, drains


@contextmanager
def _stream(environment: Mapping[str, str], scratch: Path) -> Iterator[None]:
    command = ["demo", "emit", "--bootstrap-servers", environment["KAFKA_BOOTSTRAP_SERVERS"], "--rate", str(RATE)]
    emitter = GuardedProcess(
        [sys.executable, "-m", *command, "--bad-share", "0"], environment=environment, output=scratch / "emit.log"
    )
    try:
        yield
    finally:
        emitter.stop(10)


def _summary(name: str, times: Sequence[float]) -> str:
    p99 = statistics.quantiles(times, n=100, method="inclusive")[98]
    return f"{name}: p50 {statistics.median(times):.2f} s, p99 {p99:.2f} s, max {max(times):.2f} s ({len(times)} times)"


if __name__ == "__main__":
    main()
