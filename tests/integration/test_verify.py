"""`segment-worker verify` on a real broker: clean after a real worker, and every kind of damage seen and named."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import ACLOperation, ConfigResource, ConfigResourceType, NewTopic, ResourceType
from kafka.structs import OffsetAndMetadata, TopicPartition

from demo.kafka.broker import Broker
from demo.kafka.client import Cluster, NewRecord
from tests.support.acls import LOGIN, USER, allow
from tests.support.brokers import Programs, TestBroker, wait_until
from tests.support.events import event_bytes
from tests.support.kafka_world import KafkaWorld
from tests.support.transport_contract import PATIENCE_S
from tests.support.worker_site import WorkerSite, worker_site
from worker.errors import ClusterUnusable, ExitStatus, StopProcessError
from worker.kafka.client import connected
from worker.tools.bounds import Bounds
from worker.tools.verify.audit import Result, Verification
from worker.tools.verify.command import audit

DAY_MS = 86_400_000


@pytest.fixture
def kafka(broker: TestBroker) -> Iterator[KafkaWorld]:
    with KafkaWorld(broker.bootstrap_servers, partitions=2) as kafka:
        yield kafka


def silent(_: str) -> None:
    pass


@contextmanager
def transaction(kafka: KafkaWorld) -> Iterator[Any]:
    """A producer with an open transaction."""
    producer: Any = connected(
        KafkaProducer, bootstrap_servers=kafka.bootstrap_servers, transactional_id=f"{kafka.name}-planted"
    )
    producer.init_transactions()
    producer.begin_transaction()
    yield producer
    producer.close()


def result(kafka: KafkaWorld, offset: int, partition: int = 0, **attributes: str) -> bytes:
    """As much of a result as says what it answers."""
    answered = {"topic": kafka.input, "partition": partition, "offset": offset}
    return orjson.dumps({"data": {"input": answered}, **attributes})


def plant(kafka: KafkaWorld, *offsets: int, times_ms: dict[int, int] | None = None) -> None:
    """Results of these offsets of partition 0, in this order."""
    for offset in offsets:
        at_ms = (times_ms or {}).get(offset)
        kafka._producer.send(kafka.output, result(kafka, offset), partition=0, timestamp_ms=at_ms)
    kafka._producer.flush(timeout=PATIENCE_S)


def plant_rejected(kafka: KafkaWorld, offset: int) -> None:
    headers = [("topic", kafka.input), ("partition", "0"), ("offset", str(offset))]
    encoded = [(f"rejected.{name}", text.encode()) for name, text in headers]
    kafka._producer.send(kafka.rejected, b"{", partition=0, headers=encoded).get(timeout=PATIENCE_S)


def commit(kafka: KafkaWorld, offset: int, partition: int = 0) -> None:
    """Make this the group's committed offset."""
    consumer: Any = connected(KafkaConsumer, bootstrap_servers=kafka.bootstrap_servers, group_id=kafka.group)
    consumer.commit({TopicPartition(kafka.input, partition): OffsetAndMetadata(offset, "", -1)})
    consumer.close()


def verified(kafka: KafkaWorld, bounds: Bounds | None = None, **changed: Any) -> Verification:
    return audit(kafka.settings(**changed), bounds or Bounds(), silent)


def damage(found: Verification) -> dict[str, tuple[int, ...]]:
    """The offsets of each kind of damage in partition 0; the other partition has none."""
    first, second = found.partitions
    assert not second.damaged
    assert (found.result is Result.DAMAGED) == (first.damaged or found.unparseable > 0)
    return {kind: offsets for kind, offsets in first.examples.items() if offsets}


def ten_inputs(kafka: KafkaWorld) -> None:
    kafka.send(*(b"%d" % number for number in range(10)), partition=0)
    commit(kafka, 10)


@pytest.mark.parametrize(
    ("results", "rejected", "expected"),
    [
        ([0, 1, 2, 3, 5, 6, 7, 8, 9], [4], {}),
        ([0, 1, 2, 3, 5, 6, 7, 9], [4], {"missing": (8,)}),
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 3], [], {"duplicates": (3,)}),
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [4], {"duplicates": (4,)}),
        ([0, 1, 2, 4, 3, 5, 6, 7, 8, 9], [], {"out_of_order": (3,)}),
        ([1, 2, 3, 4, 0, 4, 5, 6, 8, 9], [], {"missing": (7,), "duplicates": (4,), "out_of_order": (0,)}),
    ],
    ids=["none", "missing", "duplicates", "duplicates over both topics", "out of order", "several"],
)
def test_planted_damage_is_seen_and_named(
    kafka: KafkaWorld, results: list[int], rejected: list[int], expected: dict[str, tuple[int, ...]]
) -> None:
    ten_inputs(kafka)
    plant(kafka, *results)
    for offset in rejected:
        plant_rejected(kafka, offset)
    found = verified(kafka)
    assert damage(found) == expected
    assert (found.result is Result.CLEAN) == (not expected)
    assert (found.partitions[0].inputs, found.partitions[0].outcomes) == (10, len(results) + len(rejected))


def test_markers_and_aborted_records_are_no_inputs_and_their_outcomes_orphans(kafka: KafkaWorld) -> None:
    kafka.send(b"0", b"1", partition=0)
    with transaction(kafka) as producer:
        producer.send(kafka.input, b"aborted", partition=0)  # offset 2, and 3 is the marker
        producer.flush()
        producer.abort_transaction()
    with Cluster(kafka.bootstrap_servers) as cluster:
        wait_until(lambda: cluster.end_offsets(kafka.input)[0] == 4, "the marker")
    kafka.send(b"4", partition=0)
    commit(kafka, 5)
    plant(kafka, 0, 1, 4)
    found = verified(kafka)
    assert (damage(found), found.partitions[0].inputs) == ({}, 3)
    for offset in (2, 3):
        plant_rejected(kafka, offset)
    assert damage(verified(kafka)) == {"orphans": (2, 3)}


def test_an_outcome_of_an_aborted_transaction_is_none(kafka: KafkaWorld) -> None:
    ten_inputs(kafka)
    plant(kafka, *range(9))
    with transaction(kafka) as producer:
        producer.send(kafka.output, result(kafka, 9), partition=0)
        producer.flush()
        producer.abort_transaction()
    assert damage(verified(kafka)) == {"missing": (9,)}


def test_an_outcome_whose_transaction_is_not_over_yet_is_waited_for(kafka: KafkaWorld) -> None:
    ten_inputs(kafka)
    plant(kafka, *range(9))
    found: list[Verification] = []
    with transaction(kafka) as producer:
        producer.send(kafka.output, result(kafka, 9), partition=0)
        producer.flush()
        reader = threading.Thread(target=lambda: found.append(verified(kafka)))
        reader.start()
        time.sleep(2)
        assert found == []
        producer.commit_transaction()
        reader.join(PATIENCE_S)
    assert damage(found[0]) == {}


def test_a_visible_outcome_that_the_group_has_not_committed_is_damage(kafka: KafkaWorld) -> None:
    ten_inputs(kafka)
    plant(kafka, *range(10))
    commit(kafka, 9)
    found = verified(kafka)
    assert (found.result, found.partitions[0].uncommitted) == (Result.DAMAGED, 9)


def test_a_record_of_the_current_topic_that_is_not_the_last_result_of_its_user_is_damage(kafka: KafkaWorld) -> None:
    kafka.admin.create_topics([NewTopic(kafka.current, 2, 1, topic_configs={"cleanup.policy": "compact"})])
    ten_inputs(kafka)
    # Users x and y, in turn.
    for topic, count in ((kafka.output, 10), (kafka.current, 9)):
        for offset in range(count):
            kafka._producer.send(topic, result(kafka, offset), b"xy"[offset % 2 :][:1], partition=0)
    kafka._producer.flush(timeout=PATIENCE_S)
    found = verified(kafka, worker_current_topic=kafka.current)
    assert (found.result, damage_of(found)) == (Result.DAMAGED, (2, 1, ("0/7",)))
    kafka._producer.send(kafka.current, result(kafka, 9), b"y", partition=0).get(timeout=PATIENCE_S)
    found = verified(kafka, worker_current_topic=kafka.current)
    assert (found.result, damage_of(found)) == (Result.CLEAN, (2, 0, ()))
    assert verified(kafka).current is None


def damage_of(found: Verification) -> tuple[int, int, tuple[str, ...]]:
    """Records of the current topic, those that are stale, and where these are."""
    assert found.current is not None
    return found.current.rows, found.current.stale, found.current.examples


def test_an_outcome_that_names_no_record_is_damage(kafka: KafkaWorld) -> None:
    ten_inputs(kafka)
    plant(kafka, *range(10))
    kafka._producer.send(kafka.output, b"hello", partition=1).get(timeout=PATIENCE_S)
    found = verified(kafka)
    assert (found.result, found.unparseable, damage(found)) == (Result.DAMAGED, 1, {})


def test_outcomes_that_retention_removed_are_not_missing_and_those_after_them_are(kafka: KafkaWorld) -> None:
    ten_inputs(kafka)
    now_ms = int(time.time() * 1000)
    old, new = now_ms - 8 * DAY_MS, now_ms - 6 * DAY_MS
    plant(kafka, *(0, 1, 2, 3, 4, 5, 6, 7, 9), times_ms={n: old if n < 4 else new for n in range(10)})
    kafka.admin.delete_records({TopicPartition(kafka.output, 0): 3})
    found = verified(kafka)
    (report, _) = found.partitions
    assert (report.not_checkable, report.examples["missing"]) == (3, (8,))
    plant(kafka, 8)
    assert verified(kafka, Bounds(from_offsets={0: 2}, to_offsets={0: 8})).result is Result.UNPROVEN
    assert damage(verified(kafka, Bounds(from_offsets={0: 4}))) == {"out_of_order": (8,)}


def test_results_with_the_time_of_their_event_count_by_the_time_of_their_assignment(kafka: KafkaWorld) -> None:
    resource = ConfigResource(ConfigResourceType.TOPIC, kafka.output, {"retention.ms": "-1"})
    kafka.admin.alter_configs([resource])
    ten_inputs(kafka)
    year_ago_ms = int((time.time() - 365 * 86_400) * 1000)
    for offset in (0, 1, 2, 3, 4, 5, 6, 7, 9):
        # Assigned two hours apart, about events of a year ago.
        assigned = datetime.now(UTC) - timedelta(hours=20 - 2 * offset)
        value = result(kafka, offset, time=assigned.isoformat())
        kafka._producer.send(kafka.output, value, partition=0, timestamp_ms=year_ago_ms + offset)
    kafka._producer.flush(timeout=PATIENCE_S)
    an_hour_ago = Bounds(since_ms=int((time.time() - 3600) * 1000))
    assert damage(verified(kafka, an_hour_ago, worker_result_time="event")) == {"missing": (8,)}
    kafka.admin.delete_records({TopicPartition(kafka.output, 0): 3})
    (report, _) = verified(kafka, worker_result_time="event").partitions
    # The first one that is left is within the minute for which clocks may differ.
    assert (report.not_checkable, report.examples["missing"]) == (3, (8,))


def test_bounds_leave_out_what_lies_outside(kafka: KafkaWorld) -> None:
    now_ms = int(time.time() * 1000)
    for hours in range(10, 0, -1):
        at_ms = now_ms - hours * 3_600_000
        kafka._producer.send(kafka.input, b"x", partition=0, timestamp_ms=at_ms).get(timeout=PATIENCE_S)
    commit(kafka, 10)
    plant(kafka, 4, 5, 6, 9)
    assert damage(verified(kafka)) == {"missing": (0, 1, 2, 3, 7, 8)}
    assert damage(verified(kafka, Bounds(from_offsets={0: 4}, to_offsets={0: 7}))) == {}
    six_hours_ago, three_hours_ago = now_ms - 6 * 3_600_000, now_ms - 3 * 3_600_000
    found = verified(kafka, Bounds(since_ms=six_hours_ago, until_ms=three_hours_ago))
    assert (damage(found), found.partitions[0].inputs) == ({}, 3)
    assert damage(verified(kafka, Bounds(since_ms=six_hours_ago))) == {"missing": (7, 8)}


def test_an_empty_range_is_reported_as_nothing_and_not_as_clean(
    kafka: KafkaWorld,
) -> None:
    commit(kafka, 0)
    assert verified(kafka).result is Result.NOTHING
    ten_inputs(kafka)
    plant(kafka, *range(10))
    tomorrow = Bounds(since_ms=int(time.time() * 1000) + DAY_MS)
    for bounds in (tomorrow, Bounds(from_offsets={0: 10}), Bounds(to_offsets={0: 0})):
        assert verified(kafka, bounds).result is Result.NOTHING
    with pytest.raises(StopProcessError, match="--from-offset") as wrong:
        verified(kafka, Bounds(from_offsets={7: 1}))
    assert wrong.value.exit_status is ExitStatus.ACT_FIRST


def test_what_waits_and_what_is_gone_is_counted_and_only_what_was_asked_for_is_unproven(kafka: KafkaWorld) -> None:
    ten_inputs(kafka)
    plant(kafka, *range(10))
    kafka.send(b"10", b"11", b"12", partition=0)
    kafka.admin.delete_records({TopicPartition(kafka.input, 0): 4})
    found = verified(kafka)
    report, other = found.partitions
    assert (found.result, report.inputs, report.waiting, report.gone_before) == (Result.CLEAN, 6, 3, 4)
    assert (other.waiting, other.gone_before) == (0, None)
    assert verified(kafka, Bounds(from_offsets={0: 3})).result is Result.UNPROVEN
    behind = verified(kafka, Bounds(from_offsets={0: 4}))
    assert (behind.result, behind.partitions[0].gone_before) == (Result.CLEAN, None)


def test_markers_after_the_committed_offset_do_not_wait_and_committed_ones_are_not_missing(kafka: KafkaWorld) -> None:
    ten_inputs(kafka)
    plant(kafka, *range(10))
    with transaction(kafka) as producer:
        producer.send(kafka.input, b"aborted", partition=0)
        producer.flush()
        producer.abort_transaction()
    wait_until(lambda: kafka.end_offset() == 12, "the marker")
    found = verified(kafka)
    assert (found.result, found.partitions[0].waiting) == (Result.CLEAN, 0)
    commit(kafka, 12)
    found = verified(kafka)
    assert (found.result, found.partitions[0].inputs, damage(found)) == (Result.CLEAN, 10, {})
    kafka.admin.delete_records({TopicPartition(kafka.input, 0): 12})
    found = verified(kafka)
    assert (found.result, damage(found)) == (Result.NOTHING, {})


def test_a_group_that_began_at_the_latest_owes_nothing_before(kafka: KafkaWorld) -> None:
    ten_inputs(kafka)
    plant(kafka, 6, 7, 8, 9)
    found = verified(kafka, worker_start_at="latest")
    assert (found.result, found.partitions[0].not_checkable) == (Result.CLEAN, 6)
    assert len(damage(verified(kafka))["missing"]) == 6


def test_a_group_without_offsets_and_a_recreated_topic_cannot_be_verified(kafka: KafkaWorld) -> None:
    with pytest.raises(StopProcessError, match=f"group {kafka.group} has no committed offset of topic {kafka.input}"):
        verified(kafka)
    commit(kafka, 3)
    with pytest.raises(StopProcessError, match=r"offset 3 .* partition 0 is committed"):
        verified(kafka)


def worker_events(count: int) -> list[NewRecord]:
    """One of eight is rejected."""
    return [
        NewRecord(b"user-%d" % (number % 20), event_bytes(id=str(number)) if number % 8 else b"{")
        for number in range(count)
    ]


def test_what_a_worker_did_is_clean_while_it_runs_and_after_it_was_killed(
    broker: TestBroker, programs: Programs, tmp_path: Path
) -> None:
    site = worker_site(programs, broker.bootstrap_servers, broker.fresh_name("verify"), tmp_path)
    site.create_topics()
    site.publish_model()
    first = site.start_ready(WORKER_BATCH_MAX_EVENTS="50", WORKER_INSTANCE_ID="one")
    site.send(worker_events(3000))
    site.wait_for_outcomes(1)
    beside = site.run("verify", "--json")
    assert (beside.returncode, beside.stderr) == (0, "")
    document = json.loads(beside.stdout)
    assert document["ok"] is True
    assert sum(partition["inputs"] for partition in document["partitions"]) > 0
    first.kill()
    second = site.start_ready(WORKER_INSTANCE_ID="one")
    site.wait_for_outcomes(3000)
    assert second.stop() == 0
    ended = site.run("verify")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith("clean: each of 3,000 committed input records has exactly one outcome\n")

    stranger = {"data": {"input": {"topic": site.input, "partition": 0, "offset": 0}}}
    with connected(KafkaProducer, bootstrap_servers=site.bootstrap_servers) as producer:
        producer.send(site.output, orjson.dumps(stranger), partition=0).get(timeout=PATIENCE_S)
    ended = site.run("verify")
    assert ended.returncode == 1
    assert "partition 0: duplicates: offset 0\n" in ended.stdout


def test_verify_says_in_one_line_what_keeps_it_from_looking(
    broker: TestBroker, programs: Programs, tmp_path: Path
) -> None:
    site = worker_site(programs, broker.bootstrap_servers, broker.fresh_name("verify"), tmp_path)
    ended = site.run("verify", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert ended.returncode == 1
    assert ended.stderr.startswith("segment-worker: no broker answers at 127.0.0.1:1")
    assert len(ended.stderr.splitlines()) == 1
    ended = site.run("verify")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"segment-worker: topic {site.input}: does not exist; check the names of the topics\n" in ended.stderr


def test_reading_the_topics_and_describing_the_group_is_all_that_verify_needs(
    broker_with: Callable[..., AbstractContextManager[Broker]], programs: Programs, tmp_path: Path
) -> None:
    with (
        broker_with(config=LOGIN, listeners={"LOGIN": "SASL_PLAINTEXT"}) as broker,
        KafkaWorld(broker.bootstrap_servers, partitions=2) as kafka,
    ):
        ten_inputs(kafka)
        plant(kafka, *range(10))
        login: dict[str, Any] = {
            "kafka_bootstrap_servers": broker.addresses["LOGIN"],
            "kafka_security_protocol": "SASL_PLAINTEXT",
            "kafka_sasl_mechanism": "PLAIN",
            "kafka_sasl_username": USER,
            "kafka_sasl_password": "right",
        }
        with pytest.raises(ClusterUnusable) as caught:
            verified(kafka, **login)
        assert [problem.partition(":")[0] for problem in caught.value.problems] == [
            *(f"topic {topic}" for topic in (kafka.input, kafka.output, kafka.rejected)),
            f"group {kafka.group}",
        ]
        site = WorkerSite(programs, broker.bootstrap_servers, kafka.name, tmp_path, 0)
        for topic in (kafka.input, kafka.output, kafka.rejected):
            allow(site, ResourceType.TOPIC, topic, ACLOperation.READ)
        allow(site, ResourceType.GROUP, kafka.group, ACLOperation.DESCRIBE)
        assert verified(kafka, **login).result is Result.CLEAN
