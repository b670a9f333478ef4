"""How long a worker takes from its start to its first poll: `python -m benchmarks.start`.

Starts `segment-worker run` against an embedded broker, several times, and measures the time until it logs
"started", just before the first poll.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.worker_environment import worker_environment, write_model
from demo.kafka.broker import running_broker
from demo.kafka.client import Cluster
from demo.kafka.processes import GuardedProcess

TOPICS = ("user-activity", "user-segments", "user-activity-rejected")
LOOK_EVERY_S = 0.005
LONGEST_S = 60.0


def main() -> None:
    """Print each time and the median."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often (default 7)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch, running_broker() as broker:
        environment = {**worker_environment(broker.bootstrap_servers, Path(scratch)), "WORKER_LOG_LEVEL": "info"}
        write_model(Path(scratch), environment)
        with Cluster(broker.bootstrap_servers) as cluster:
            for topic in TOPICS:
                cluster.create_topic(topic, 4)
        times = [_start_s(Path(scratch) / f"{n}.log", environment) for n in range(rounds)]
    print("start to first poll, s:", ", ".join(f"{each:.2f}" for each in times))
    print(f"median {statistics.median(times):.2f} s")


def _start_s(log: Path, environment: dict[str, str]) -> float:
    started = time.perf_counter()
    process = GuardedProcess([sys.executable, "-m", "worker", "run"], environment=environment, output=log)
    try:
        while b'"event":"started"' not in log.read_bytes():
            if process.poll() is not None or time.perf_counter() - started > LONGEST_S:
                raise SystemExit(f"the worker did not start: {log.read_text()[-2000:]}")
            time.sleep(LOOK_EVERY_S)
        return time.perf_counter() - started
    finally:
        process.stop(10)


if __name__ == "__main__":
    main()
