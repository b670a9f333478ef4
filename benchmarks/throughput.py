"""The worker beside a plain transaction loop on the same backlog: `python -m benchmarks.throughput`.

Both read the same events from one embedded broker, process them with the same code and the same model, and publish
exactly once; they take turns in one run, each with its own consumer group and output topics. The rate is measured on
committed offsets, between 10 % and 95 % of the backlog; memory is the process's resident set.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.worker_environment import run, worker_environment, write_model
from demo.kafka.broker import running_broker
from demo.kafka.client import Cluster
from demo.kafka.processes import GuardedProcess

PARTITIONS = 4
INPUT = "benchmark-events"
LOOK_EVERY_S = 0.25
MEMORY_AT = 100_000
CONTENDERS: Mapping[str, tuple[str, ...]] = {
    "worker": ("-m", "worker", "run"),
    "plain loop": ("-m", "benchmarks.plain_loop"),
}


@dataclass(frozen=True, slots=True)
class Drain:
    """One contender's way through the backlog."""

    events_per_s: float
    cpu_s_per_million: float
    rss_early_mb: float
    """After 100,000 events."""
    rss_end_mb: float


def main() -> None:
    """Print a line for each run, then medians and the ratio pair by pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000, help="size of the backlog (default 300000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender runs (default 3)")
    parser.add_argument("--only", choices=[*CONTENDERS], help="run one contender alone")
    arguments = parser.parse_args()
    names = [arguments.only] if arguments.only else [*CONTENDERS]
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch, running_broker() as broker:
        environment = {**worker_environment(broker.bootstrap_servers, Path(scratch)), "WORKER_INPUT_TOPIC": INPUT}
        _prepare(Path(scratch), environment, broker.bootstrap_servers, arguments.events)
        drains: dict[str, list[Drain]] = {name: [] for name in names}
        for round_number in range(arguments.rounds):
            for name in names:
                drain = _run(name, round_number, arguments.events, environment, broker.bootstrap_servers, Path(scratch))
                drains[name].append(drain)
                print(
                    f"round {round_number + 1}  {name:10}  {drain.events_per_s:8,.0f} events/s  "
                    f"{drain.cpu_s_per_million:5.1f} CPU s per 1e6  "
                    f"RSS {drain.rss_early_mb:4.0f} MB after {MEMORY_AT:,}, {drain.rss_end_mb:4.0f} MB at the end",
                    flush=True,
                )
    for name in names:
        rates = [drain.events_per_s for drain in drains[name]]
        print(f"{name}: median {statistics.median(rates):,.0f} events/s (min {min(rates):,.0f}, max {max(rates):,.0f})")
    if not arguments.only:
        ratios = [
            worker.events_per_s / plain.events_per_s
            for worker, plain in zip(drains["worker"], drains["plain loop"], strict=True)
        ]
        print(f"worker / plain loop: median {statistics.median(ratios):.3f}, pairs {[round(r, 3) for r in ratios]}")


def _prepare(scratch: Path, environment: Mapping[str, str], bootstrap_servers: str, events: int) -> None:
    """A model in production, and the backlog on the input topic."""
    print(f"fitting a model and writing {events:,} events …", flush=True)
    write_model(scratch, environment)
    with Cluster(bootstrap_servers) as cluster:
        cluster.create_topic(INPUT, PARTITIONS)
    emit = ("--bootstrap-servers", bootstrap_servers, "--topic", INPUT, "--count", str(events))
    run("demo", "emit", *emit, "--bad-share", "0", "--rate", "100000", environment=environment)


def _run(
    name: str, round_number: int, events: int, environment: Mapping[str, str], bootstrap_servers: str, scratch: Path
) -> Drain:
    group = f"{name.replace(' ', '-')}-{round_number}"
    topics = {"WORKER_OUTPUT_TOPIC": f"{group}-out", "WORKER_REJECTED_TOPIC": f"{group}-rejected"}
    with Cluster(bootstrap_servers) as cluster:
        for topic in topics.values():
            cluster.create_topic(topic, PARTITIONS)
        process = GuardedProcess(
            [sys.executable, *CONTENDERS[name]],
            environment={**environment, **topics, "WORKER_GROUP_ID": group},
            output=scratch / f"{group}.log",
        )
        try:
            return _watch(process, cluster, group, events)
        finally:
            process.stop(10)


def _watch(process: GuardedProcess, cluster: Cluster, group: str, events: int) -> Drain:
    samples: list[tuple[float, int]] = []
    rss_early_mb = 0.0
    while True:
        status = process.poll()
        if status is not None:
            raise SystemExit(f"{group} ended with status {status}: {process.output.read_text()[-2000:]}")
        done = sum(cluster.committed_offsets(group, INPUT).values())
        samples.append((time.monotonic(), done))
        if not rss_early_mb and done >= min(MEMORY_AT, events):
            rss_early_mb = _rss_mb(process)
        if done >= events:
            return Drain(_rate(samples, events), _cpu_s(process) / events * 1e6, rss_early_mb, _rss_mb(process))
        time.sleep(LOOK_EVERY_S)


def _rate(samples: list[tuple[float, int]], events: int) -> float:
    first = next(sample for sample in samples if sample[1] >= 0.10 * events)
    last = next(sample for sample in samples if sample[1] >= 0.95 * events)
    if last[0] - first[0] < 3:
        raise SystemExit(f"{events:,} events took only {last[0] - first[0]:.1f} s: give more with --events")
    return (last[1] - first[1]) / (last[0] - first[0])


def _rss_mb(process: GuardedProcess) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]
    return int(kilobytes) / 1024


def _cpu_s(process: GuardedProcess) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
