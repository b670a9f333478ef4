"""Does a backlog increase the worker's memory? `python -m benchmarks.backlog [--events N]`

One worker processes a topic that was filled before it started. Its memory is sampled every two seconds: after 5 % of
the events it has all that it needs, and any later increase is growth. Results are deleted soon after they are written,
and all data with the broker at the end.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kafka import KafkaProducer

from benchmarks.worker_environment import worker_environment, write_model
from demo.events import emitted
from demo.kafka.broker import running_broker
from demo.kafka.client import Cluster
from demo.kafka.processes import GuardedProcess
from demo.population import Population

PARTITIONS = 4
DISTINCT_EVENTS = 2_000
LOOK_EVERY_S = 2.0
SETTLED_AT = 0.05
GROUP = "backlog"
INPUT, OUTPUT, REJECTED = "backlog-in", "backlog-out", "backlog-rejected"
# Kept for as long as nobody else needs the disk.
SHORT = {"retention.bytes": "20000000", "segment.bytes": "10000000", "file.delete.delay.ms": "1000"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of the worker."""

    seconds: float
    done: int
    rss_mb: float
    peak_mb: float


def main() -> None:
    """Print ten samples on the way, then memory before and after."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000, help="size of the backlog (default 200000)")
    events = parser.parse_args().events
    config = {"log.retention.check.interval.ms": "3000", "log.initial.task.delay.ms": "3000"}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch, running_broker(config=config) as broker:
        environment = {
            **worker_environment(broker.bootstrap_servers, Path(scratch)),
            "WORKER_GROUP_ID": GROUP,
            "WORKER_INPUT_TOPIC": INPUT,
            "WORKER_OUTPUT_TOPIC": OUTPUT,
            "WORKER_REJECTED_TOPIC": REJECTED,
        }
        write_model(Path(scratch), environment)
        with Cluster(broker.bootstrap_servers) as cluster:
            cluster.create_topic(INPUT, PARTITIONS)
            cluster.create_topic(OUTPUT, PARTITIONS, SHORT)
            cluster.create_topic(REJECTED, PARTITIONS, SHORT)
            begun_s = time.monotonic()
            mean_bytes = fill(broker.bootstrap_servers, INPUT, events)
            print(
                f"{events:,} events of {mean_bytes:.0f} bytes written in {time.monotonic() - begun_s:.0f} s", flush=True
            )
            samples = _watched(cluster, events, environment, Path(scratch))
    _report(samples, events)


def fill(bootstrap_servers: str, topic: str, events: int) -> float:
    """Write the events, the same few thousand repeatedly; returns their mean size in bytes."""
    population = Population(DISTINCT_EVENTS, 1)
    distinct = [
        one.record
        for one in emitted(
            population, DISTINCT_EVENTS, 0.0, new_id=lambda: str(uuid.uuid4()), now=lambda: datetime.now(UTC)
        )
    ]
    # Large compressed batches: writing is not part of the measurement.
    producer = KafkaProducer(
        bootstrap_servers=bootstrap_servers,
        compression_type="zstd",
        batch_size=900_000,
        linger_ms=500,
        max_request_size=4_000_000,
    )
    try:
        failed: list[BaseException] = []
        for number, record in zip(range(events), itertools.cycle(distinct), strict=False):
            sent = producer.send(topic, record.value, record.key, partition=number % PARTITIONS)
            sent.add_errback(failed.append)
        producer.flush(timeout=120)
    finally:
        producer.close(timeout=10)
    if failed:
        raise SystemExit(f"the backlog could not be written: {failed[0]}")
    return sum(len(record.value or b"") for record in distinct) / DISTINCT_EVENTS


def _watched(cluster: Cluster, events: int, environment: Mapping[str, str], scratch: Path) -> list[Sample]:
    worker = GuardedProcess(
        [sys.executable, "-m", "worker", "run"], environment=environment, output=scratch / "worker.log"
    )
    samples: list[Sample] = []
    try:
        for sample in _samples(worker, cluster):
            if sample.done * 10 // events > (samples[-1].done * 10 // events if samples else -1):
                print(
                    f"{sample.seconds:6.0f} s  {sample.done:12,} events  RSS {sample.rss_mb:5.0f} MB  "
                    f"peak {sample.peak_mb:5.0f} MB",
                    flush=True,
                )
            samples.append(sample)
            if sample.done >= events:
                return samples
    finally:
        worker.stop(10)
    raise SystemExit(f"the worker ended with {worker.poll()}: {worker.output.read_text()[-2000:]}")


def _samples(worker: GuardedProcess, cluster: Cluster) -> Iterator[Sample]:
    begun_s = time.monotonic()
    while worker.poll() is None:
        done = sum(cluster.committed_offsets(GROUP, INPUT).values())
        memory = memory_mb(worker.pid)
        yield Sample(time.monotonic() - begun_s, done, memory["VmRSS"], memory["VmHWM"])
        time.sleep(LOOK_EVERY_S)


def memory_mb(pid: int) -> Mapping[str, float]:
    """VmRSS and VmHWM of a process: its current and peak memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}


def _report(samples: list[Sample], events: int) -> None:
    before = next(sample for sample in samples if sample.done >= SETTLED_AT * events)
    after = samples[-1]
    if before is after:
        raise SystemExit(f"{events:,} events were processed between two samples: give more with --events")
    print(
        f"RSS {before.rss_mb:.0f} MB (peak {before.peak_mb:.0f}) after {before.done:,} events, "
        f"{after.rss_mb:.0f} MB (peak {after.peak_mb:.0f}) after {after.done:,}: "
        f"the peak grew by {after.peak_mb - before.peak_mb:.0f} MB; {events / after.seconds:,.0f} events/s with start"
    )


if __name__ == "__main__":
    main()
