"""The demo as a user would run it: small, to its end, and interrupted in the middle."""

from __future__ import annotations

import re
import signal
from collections import Counter
from pathlib import Path

import pytest

from demo.kafka.client import Cluster, answers, read_committed
from demo.kafka.ports import free_ports
from models.store import ModelStore
from schemas import UserProfile
from schemas.rejected import Rejection
from tests.support.brokers import Program, Programs, TestBroker, wait_until
from tests.support.reading import parse_event
from tests.support.schema_registry import schema_registry
from tests.support.worker_site import worker_site

SMALL = ("demo", "run", "--events", "500", "--users", "600", "--rate", "400", "--bad-share", "0.05")


def running_below(program: Program, seen: set[int]) -> set[int]:
    """The process ids below a program, now or seen earlier, that still run."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        state, parent = text.rpartition(")")[2].split()[:2]
        if state != "Z":
            parents[int(stat.parent.name)] = int(parent)
    found = {program.pid}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    seen |= found - {program.pid}
    return seen & parents.keys()


def test_the_demo_ends_well_and_leaves_what_it_made(programs: Programs, tmp_path: Path) -> None:
    ended = programs.run(*SMALL)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "500 events sent = 475 assigned + 25 rejected; 0 lost, 0 duplicates" in ended.stdout
    assert "25 of 25 invalid events rejected, each for the expected reason" in ended.stdout
    assert "the worker drained and exited with status 0" in ended.stdout
    assert float(re.search(r"adjusted Rand index ([\d.]+)", ended.stdout)[1]) > 0.9  # type: ignore[index]  # else None
    output = tmp_path / "demo-output"
    store = ModelStore(output / "models")
    (version,) = store.versions()
    current = store.current("production")
    assert current is not None
    assert current.version == version.id
    assert version.k == 5
    assert len((store.folder(version.id) / "segmented_users.csv").read_text().splitlines()) == 601
    assert "drained" in (output / "worker.log").read_text()


def test_ctrl_c_while_the_broker_starts_ends_everything(programs: Programs) -> None:
    demo = programs.start(*SMALL)
    seen: set[int] = set()
    wait_until(lambda: len(running_below(demo, seen)) >= 2, "a guard and its Java machine")

    demo.send(signal.SIGINT)

    assert demo.wait() == 130
    assert "interrupted; nothing was left running" in demo.log
    assert "Traceback" not in demo.log
    assert running_below(demo, seen) == set()


@pytest.mark.long
def test_ctrl_c_while_events_flow_finishes_those_already_sent(programs: Programs) -> None:
    demo = programs.start("demo", "run", "--users", "400", "--rate", "200")
    seen: set[int] = set()
    demo.wait_for_log("lag")
    running_below(demo, seen)

    demo.send(signal.SIGINT)

    assert demo.wait() == 0, demo.log
    assert "0 lost, 0 duplicates" in demo.log
    assert "20,000 events sent" not in demo.log
    assert running_below(demo, seen) == set()


@pytest.mark.long
def test_nothing_outlives_a_demo_that_was_killed(programs: Programs, tmp_path: Path) -> None:
    # Nobody is left to remove its temporary directory, so that lies in the test's own.
    demo = programs.start("demo", "run", "--users", "400", "--rate", "200", TMPDIR=str(tmp_path))
    seen: set[int] = set()
    demo.wait_for_log("lag")
    assert len(running_below(demo, seen)) >= 4, "a guard each, the broker and the worker"

    demo.send(signal.SIGKILL)

    wait_until(lambda: not running_below(demo, seen), f"the end of {seen}")


def test_the_parts_of_the_demo_work_by_themselves(programs: Programs) -> None:
    (port,) = free_ports(1)
    broker = programs.start("demo", "broker", "--port", str(port))
    broker.wait_for_log(f"127.0.0.1:{port}\n")
    with Cluster(f"127.0.0.1:{port}") as cluster:
        cluster.create_topic("events", 2)

    emitted = programs.run(
        *("demo", "emit", "--bootstrap-servers", f"127.0.0.1:{port}", "--topic", "events"),
        *("--rate", "5000", "--count", "300", "--bad-share", "0.1"),
    )

    assert emitted.returncode == 0, emitted.stderr
    assert "300 events sent to events: 270 valid, 30 invalid on purpose (empty 4," in emitted.stderr
    records = read_committed(f"127.0.0.1:{port}", "events")
    rejected = [record for record in records if isinstance(parse_event(record.value, UserProfile), Rejection)]
    assert (len(records), len(rejected)) == (300, 30)
    assert broker.stop() == 0
    assert not answers(f"127.0.0.1:{port}")


def test_a_worker_reads_the_demo_s_avro_events_by_the_settings_that_are_printed(
    programs: Programs, broker: TestBroker, tmp_path: Path
) -> None:
    site = worker_site(programs, broker.bootstrap_servers, broker.fresh_name("avro"), tmp_path)
    site.create_topics(partitions=1)
    site.publish_model()
    emit = ("demo", "emit", "--format", "avro", "--bootstrap-servers", broker.bootstrap_servers)
    amount = ("--topic", site.input, "--rate", "5000", "--count", "100", "--bad-share", "0.1")
    unset = programs.run(*emit, *amount)
    assert (unset.returncode, "SCHEMA_REGISTRY_URL" in unset.stderr) == (2, True), unset.stderr
    with schema_registry() as registry:
        emitted = programs.run(*emit, *amount, SCHEMA_REGISTRY_URL=registry.url)
        assert emitted.returncode == 0, emitted.stderr
        settings = dict(line.strip().split("=", 1) for line in emitted.stderr.splitlines() if line.startswith("  "))
        assert settings["SCHEMA_REGISTRY_URL"] == registry.url
        site.start_ready(**settings)
        outcomes = site.wait_for_outcomes(79)
    assert "70 valid, 9 invalid on purpose (" in emitted.stderr
    assert "21 other events" in emitted.stderr
    assert Counter(each.headers.get("rejected.reason", b"assigned").decode() for each in outcomes) == {
        "assigned": 70,
        "invalid_profile": 2,
        "not_avro": 2,
        "invalid_envelope": 2,
        "empty": 2,
        "too_large": 1,
    }


def test_ctrl_c_ends_an_emitter_without_a_count(programs: Programs, broker: TestBroker) -> None:
    topic = broker.fresh_topic("emit")
    emitter = programs.start("demo", "emit", "--bootstrap-servers", broker.bootstrap_servers, "--topic", topic)
    wait_until(lambda: len(broker.read_committed(topic)) > 20, "some events")

    emitter.send(signal.SIGINT)

    assert emitter.wait() == 0
    sent = len(broker.read_committed(topic))
    assert f"{sent:,} events sent to {topic}" in emitter.log


def test_a_missing_topic_and_a_missing_cluster_are_reported_in_one_line(programs: Programs, broker: TestBroker) -> None:
    (nobody,) = free_ports(1)
    for servers in (broker.bootstrap_servers, f"127.0.0.1:{nobody}"):
        ended = programs.run("demo", "emit", "--bootstrap-servers", servers, "--topic", "missing")
        assert ended.returncode == 1
        assert servers in ended.stderr
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
    with broker.cluster() as cluster:
        assert "missing" not in cluster.topics()
