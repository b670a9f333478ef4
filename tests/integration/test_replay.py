"""`segment-worker replay` on a real broker: each rejected event once, whatever is killed in between."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.admin import ACLOperation, ACLResourcePatternType, ResourceType

from demo.kafka.broker import Broker
from tests.support.acls import LOGIN, USER, allow
from tests.support.brokers import Program, Programs, TestBroker, wait_until
from tests.support.kafka_world import KafkaWorld
from tests.support.transport_contract import PATIENCE_S
from tests.support.worker_site import WorkerSite, worker_site
from worker.errors import ClusterUnusable, StopProcessError
from worker.kafka.client import connected
from worker.kafka.patches.record_builder import NULL, SendsNulls
from worker.tools.bounds import Bounds
from worker.tools.replay.command import Replay, count, send
from worker.tools.replay.selection import Counts, Selection


@pytest.fixture
def kafka(broker: TestBroker) -> Iterator[KafkaWorld]:
    with KafkaWorld(broker.bootstrap_servers, partitions=2) as kafka:
        yield kafka


class Never:
    """A stop that does not come."""

    def is_set(self) -> bool:
        return False


def reject(kafka: KafkaWorld, *values: bytes, partition: int = 0, reason: str = "not_json") -> None:
    """Rejected events with these values."""
    headers = [("rejected.reason", reason.encode()), ("rejected.topic", kafka.input.encode())]
    for value in values:
        kafka._producer.send(kafka.rejected, value, value, headers=headers, partition=partition)
    kafka._producer.flush(timeout=PATIENCE_S)


def silent(*_: str) -> None:
    pass


def replay(kafka: KafkaWorld, selection: Selection, max_hops: int = 3) -> Replay:
    return Replay(kafka.settings(), selection, max_hops)


def sent_back(kafka: KafkaWorld, **selected: Any) -> Counts:
    return send(replay(kafka, Selection(**selected)), Never(), silent)


def environment(kafka: KafkaWorld) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "WORKER_GROUP_ID": kafka.group,
        "WORKER_INPUT_TOPIC": kafka.input,
        "WORKER_OUTPUT_TOPIC": kafka.output,
        "WORKER_REJECTED_TOPIC": kafka.rejected,
    }


def standing_still(kafka: KafkaWorld, programs: Programs, transaction: int) -> Program:
    """A run that stands still in front of the end of its n-th transaction, the first of which sends nothing."""
    program = programs.start("tests.support.replay_standing_still", "commit", str(transaction), **environment(kafka))
    program.wait_for_log("standing still")
    return program


def test_each_event_goes_back_once_through_a_kill_and_what_came_later_waits_for_the_next_run(
    kafka: KafkaWorld, programs: Programs
) -> None:
    # More than one transaction takes, so that the kill comes in the middle of a partition.
    numbers = [b"%d" % number for number in range(6000)]
    reject(kafka, *numbers)
    first = standing_still(kafka, programs, 3)
    first.kill()
    reject(kafka, b"later")
    reject(kafka, b"later", partition=1)
    ended = programs.run("worker", "replay", **environment(kafka))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(kafka.values(kafka.input)) == sorted(numbers)
    # Some were in the log already, for nobody to see; and some were done.
    assert len(kafka.values(kafka.input, "read_uncommitted")) > 6000
    said = re.fullmatch(r"sent ([\d,]+) events back to topic \S+: \1 not_json\n", ended.stdout)
    assert said is not None
    assert 1000 <= int(said[1].replace(",", "")) < 6000
    assert sent_back(kafka).sent == {"not_json": 2}
    assert sorted(kafka.values(kafka.input)) == sorted([*numbers, b"later", b"later"])
    assert sent_back(kafka).sent == {}


def test_a_second_run_ends_the_first_which_says_so(kafka: KafkaWorld, programs: Programs) -> None:
    reject(kafka, b"1", b"2", b"3")
    first = standing_still(kafka, programs, 2)
    assert sent_back(kafka).sent == {"not_json": 3}
    first.send(signal.SIGUSR1)
    assert first.wait() == 2
    line = f"segment-worker: another replay for group {kafka.group} was started and replaces this one; "
    assert line in first.log
    assert sorted(kafka.values(kafka.input)) == [b"1", b"2", b"3"]


def test_a_dry_run_counts_by_reason_and_writes_nothing(kafka: KafkaWorld, programs: Programs) -> None:
    reject(kafka, b"1", b"2")
    reject(kafka, b"3", partition=1, reason="unknown_type")
    kafka._producer.send(kafka.rejected, b"foreign").get(timeout=PATIENCE_S)
    ended = programs.run("worker", "replay", "--dry-run", **environment(kafka))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == (
        f"would send 3 events back to topic {kafka.input}: 2 not_json, 1 unknown_type\n"
        "left out 1 not rejected from this input topic\n"
    )
    assert kafka.values(kafka.input, "read_uncommitted") == []
    assert [group for group in kafka.admin.list_groups() if group["group_id"].startswith(kafka.group)] == []


def test_what_is_selected_goes_back_and_nothing_else(kafka: KafkaWorld) -> None:
    reject(kafka, b"0", b"1", b"2", b"3")
    reject(kafka, b"4", b"5", partition=1, reason="empty")
    assert sent_back(kafka, bounds=Bounds(from_offsets={0: 1}, to_offsets={0: 3, 1: 0})).sent == {"not_json": 2}
    assert sorted(kafka.values(kafka.input)) == [b"1", b"2"]
    assert sent_back(kafka, reasons=frozenset({"empty"}), partitions=frozenset({0})).sent == {}
    assert sent_back(kafka, reasons=frozenset({"empty"})).sent == {"empty": 2}
    # Progress belongs to a selection: another one knows nothing of it.
    assert count(replay(kafka, Selection()), silent).sent == {"not_json": 4, "empty": 2}
    assert count(replay(kafka, Selection(frozenset({"empty"}))), silent).sent == {}


def test_what_a_worker_rejected_comes_back_byte_for_byte_and_no_more_often_than_allowed(
    broker: TestBroker, programs: Programs, tmp_path: Path
) -> None:
    site = worker_site(programs, broker.bootstrap_servers, broker.fresh_name("replay"), tmp_path)
    site.create_topics(partitions=1)
    site.publish_model()
    with connected(KafkaProducer, bootstrap_servers=site.bootstrap_servers, key_serializer=SendsNulls()) as producer:
        producer.send(site.input, None, NULL, [("trace", NULL), ("trace", b"1")]).get(timeout=PATIENCE_S)
        producer.send(site.input, b"\xff", b"key").get(timeout=PATIENCE_S)
    worker = site.start_ready()
    site.wait_for_outcomes(2)
    for hops in (1, 2):
        ended = site.run("replay", "--max-hops", "2")
        assert (ended.returncode, ended.stderr) == (0, "")
        again = "; sent back before and rejected again: 2" if hops > 1 else ""
        assert ended.stdout == f"sent 2 events back to topic {site.input}: 1 empty, 1 not_json{again}\n"
        *_, empty, broken = (record for record in site.read(site.input))
        assert (empty.key, empty.value, broken.key, broken.value) == (None, None, b"key", b"\xff")
        assert broken.headers == {"replay.hops": b"%d" % hops}
        site.wait_for_outcomes(2 + 2 * hops)
    ended = site.run("replay", "--max-hops", "2")
    assert ended.stdout.splitlines()[1] == "left out 2 sent back as often as --max-hops allows"
    with_nulls: Any = [row.headers for row in rows(site.bootstrap_servers, site.input) if row.value is None]
    assert with_nulls == [
        [("trace", None), ("trace", b"1"), *hops] for hops in ([], [("replay.hops", b"1")], [("replay.hops", b"2")])
    ]
    assert worker.stop() == 0
    ended = site.run("verify", "--json")
    assert (ended.returncode, json.loads(ended.stdout)["partitions"][0]["inputs"]) == (0, 6)


def rows(bootstrap_servers: str, topic: str) -> list[Any]:
    """The records of a topic of one partition, headers in their order."""
    world = KafkaWorld(bootstrap_servers, partitions=1)
    return world.read(topic)


@pytest.mark.long
def test_each_right_that_replay_lacks_is_named_until_it_has_all(
    broker_with: Callable[..., AbstractContextManager[Broker]], programs: Programs, tmp_path: Path
) -> None:
    with (
        broker_with(config=LOGIN, listeners={"LOGIN": "SASL_PLAINTEXT"}) as broker,
        KafkaWorld(broker.bootstrap_servers, partitions=2) as kafka,
    ):
        reject(kafka, b"1", b"2")
        login = {
            "kafka_bootstrap_servers": broker.addresses["LOGIN"],
            "kafka_security_protocol": "SASL_PLAINTEXT",
            "kafka_sasl_mechanism": "PLAIN",
            "kafka_sasl_username": USER,
            "kafka_sasl_password": "right",
        }
        one = Replay(kafka.settings(**login), Selection(), 3)
        with pytest.raises(ClusterUnusable) as lacking:
            send(one, Never(), silent)
        assert [problem.split(":")[0] for problem in lacking.value.problems] == [
            f"topic {kafka.rejected}",
            f"topic {kafka.input}",
            "transactional id",
        ]
        site = WorkerSite(programs, broker.bootstrap_servers, kafka.name, tmp_path, 0)
        allow(site, ResourceType.TOPIC, kafka.rejected, ACLOperation.READ)
        allow(site, ResourceType.TOPIC, kafka.input, ACLOperation.WRITE)
        prefixed = ACLResourcePatternType.PREFIXED
        allow(site, ResourceType.TRANSACTIONAL_ID, f"{kafka.group}:", ACLOperation.WRITE, prefixed)
        group = f"no right to use group {one.group_id}; grant "
        with pytest.raises(StopProcessError, match=group):
            send(one, Never(), silent)
        allow(site, ResourceType.GROUP, f"{kafka.group}:", ACLOperation.DESCRIBE, prefixed)
        assert count(one, silent).sent == {"not_json": 2}
        with pytest.raises(StopProcessError, match=group):
            send(one, Never(), silent)
        allow(site, ResourceType.GROUP, f"{kafka.group}:", ACLOperation.READ, prefixed)
        assert send(one, Never(), silent).sent == {"not_json": 2}


def test_a_partition_and_a_topic_that_are_not_there_are_named(kafka: KafkaWorld, programs: Programs) -> None:
    ended = programs.run("worker", "replay", "--partition", "7", **environment(kafka))
    assert ended.returncode == 2
    assert f"topic {kafka.rejected} has 2 partitions, and 7 does not exist; check --partition" in ended.stderr
    kafka.admin.delete_topics([kafka.rejected])
    wait_until(lambda: kafka.rejected not in kafka.admin.list_topics(), "no such topic")
    ended = programs.run("worker", "replay", **environment(kafka))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"segment-worker: topic {kafka.rejected}: does not exist, or READ is not allowed")
