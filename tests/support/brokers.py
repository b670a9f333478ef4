"""The broker that integration tests run on, and what tests do with it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.errors import RetriableError

from demo.kafka.broker import running_broker
from demo.kafka.client import Cluster, NewRecord, Sender, StoredRecord, read_committed
from demo.kafka.ports import free_ports
from demo.kafka.processes import GuardedProcess
from tests.support.old_broker import LOCKS, old_broker
from tests.support.transport_contract import PATIENCE_S

ROOT = Path(__file__).parents[2]

# A worker that was asked to stop ends within 5 s by its own clock, or reports otherwise in its exit status and log; the
# rest is for a slow machine, to deliver the signal and to end the process.
STOP_S = 20


@dataclass(frozen=True)
class TestBroker:
    """A broker under test: where it is, and names on it that no other test has."""

    __test__ = False  # not a test, whatever pytest thinks of its name

    bootstrap_servers: str

    def fresh_name(self, prefix: str) -> str:
        """A name for a group, topic or transactional id that no other test uses."""
        return f"{prefix}-{uuid.uuid4().hex[:8]}"

    def fresh_topic(self, prefix: str = "topic", partitions: int = 4, config: Mapping[str, str] | None = None) -> str:
        """Create a topic that no other test uses, and return its name."""
        name = self.fresh_name(prefix)
        with self.cluster() as cluster:
            cluster.create_topic(name, partitions, config)
        return name

    def knows_a_coordinator(self) -> bool:
        """Whether a group can commit offsets; asking makes it so after a while."""
        admin: Any = KafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        try:
            admin.list_group_offsets({self.fresh_name("first"): None})
        except RetriableError:
            return False
        finally:
            admin.close()
        return True

    def cluster(self) -> Cluster:
        """Questions and orders to the broker; a context manager."""
        return Cluster(self.bootstrap_servers)

    def produce(self, topic: str, *records: NewRecord) -> None:
        """Send records and return when all have arrived."""
        with Sender(self.bootstrap_servers, topic) as sender:
            sender.send(records)
            sender.flush()

    def read_committed(self, *topics: str) -> tuple[StoredRecord, ...]:
        """All that a read_committed reader receives from these topics now."""
        return read_committed(self.bootstrap_servers, *topics)


@contextmanager
def chosen_broker(choice: str) -> Iterator[TestBroker]:
    """The broker that TEST_BROKER names: `embedded`, `container`, or one that runs already, `host:port`.

    TEST_BROKER_VERSION makes the embedded one an older Kafka, one of `old_broker.LOCKS`.
    """
    version = os.environ.get("TEST_BROKER_VERSION")
    if choice == "embedded" and version:
        if version not in LOCKS:
            pytest.exit(f"TEST_BROKER_VERSION={version}: expected one of {', '.join(sorted(LOCKS))}", returncode=4)
        with old_broker(version) as bootstrap_servers:
            yield TestBroker(bootstrap_servers)
    elif choice == "embedded":
        with running_broker(announce=print) as broker:
            yield TestBroker(broker.bootstrap_servers)
    elif choice == "container":
        with _container() as bootstrap_servers:
            yield TestBroker(bootstrap_servers)
    elif re.fullmatch(r"[^\s:]+:\d+", choice):
        yield TestBroker(choice)
    else:
        pytest.exit(f"TEST_BROKER={choice}: expected embedded, container or host:port", returncode=4)


@contextmanager
def _container() -> Iterator[str]:
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"  # read when testcontainers is imported
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    (port,) = free_ports(1)
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_LISTENERS": f"PLAINTEXT://:{port},CONTROLLER://localhost:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
        "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "4",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS": "1000",
        "KAFKA_HEAP_OPTS": "-Xmx512m",
    }
    container = DockerContainer("apache/kafka:4.3.1")
    here_only: Any = ("127.0.0.1", port)  # the engine takes an address, with_bind_ports does not
    container.ports[f"{port}/tcp"] = here_only
    for name, value in settings.items():
        container = container.with_env(name, value)
    started = LogMessageWaitStrategy(re.compile("Kafka Server started")).with_startup_timeout(PATIENCE_S)
    with container.waiting_for(started):
        yield f"127.0.0.1:{port}"


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Return as soon as the condition holds; fail the test when it does not for very long."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {PATIENCE_S} s in vain for: {what}")
        time.sleep(0.05)


@dataclass(frozen=True)
class Programs:
    """Starts the project's programs as processes of their own, with a clean environment; ends them all at the end."""

    directory: Path
    environment: Mapping[str, str]
    _started: list[GuardedProcess] = field(default_factory=list)

    def start(self, *arguments: str, **environment: str) -> Program:
        """`python -m ARGUMENTS…` with these environment variables beside the clean ones, its output captured."""
        output = self.directory / f"{arguments[0]}-{len(self._started)}.log"
        process = GuardedProcess(
            [sys.executable, "-m", *arguments],
            environment={**self.environment, **environment},
            output=output,
            directory=self.directory,
        )
        self._started.append(process)
        return Program(process)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`python -m ARGUMENTS…` to its end: exit status, standard output and standard error."""
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.directory,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def end_all(self) -> None:
        """Kill what still runs."""
        for process in self._started:
            process.kill()


@dataclass(frozen=True)
class Program:
    """One running program of the project."""

    process: GuardedProcess

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def log(self) -> str:
        """All that it has written to standard output and standard error so far."""
        return self.process.output.read_text(errors="replace")

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Its exit status, waited for; fails the test after the timeout, with its log."""
        try:
            return self.process.wait(timeout_s)
        except TimeoutError as error:
            pytest.fail(f"{error}\n{self.log}")

    def stop(self) -> int:
        """Send SIGTERM and return the exit status; fails the test when it does not end in time."""
        self.process.terminate()
        return self.wait(STOP_S)

    def kill(self) -> None:
        """Send SIGKILL, and return when it is gone."""
        self.process.kill()

    def wait_for_log(self, text: str) -> None:
        """Return when the text is in the log; fails the test when it ends before, or when that takes very long."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.log:
            if not self.running() and text not in self.log:
                pytest.fail(f"ended with {self.process.poll()} before it logged {text!r}\n{self.log}")
            if time.monotonic() > deadline:
                pytest.fail(f"did not log {text!r} within {PATIENCE_S} s\n{self.log}")
            time.sleep(0.05)
