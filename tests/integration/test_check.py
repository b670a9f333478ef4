"""`segment-worker check` on a real broker: it names every problem at once, and changes nothing."""

import dataclasses
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import (
    ACLOperation,
    ACLResourcePatternType,
    ResourceType,
)
from kafka.errors import TransactionalIdNotFoundError
from kafka.structs import OffsetAndMetadata, TopicPartition

from demo.kafka.broker import Broker
from demo.kafka.client import NewRecord
from tests.support.acls import LOGIN, USER, allow
from tests.support.brokers import Programs, TestBroker, wait_until
from tests.support.events import event_bytes
from tests.support.kafka_world import both_clients
from tests.support.transport_contract import PATIENCE_S
from tests.support.worker_site import WorkerSite, worker_site
from worker.kafka.admin import Cluster
from worker.kafka.client import connected
from worker.kafka.config import connection_arguments
from worker.kafka.facts import TopicFacts
from worker.kafka.lost_offsets import LossReason
from worker.settings import Settings


@pytest.fixture
def site(broker: TestBroker, programs: Programs, tmp_path: Path) -> WorkerSite:
    """Names and a port; neither topics nor a model yet."""
    return worker_site(programs, broker.bootstrap_servers, broker.fresh_name("check"), tmp_path)


def checked(site: WorkerSite, status: int, **changed: str) -> list[dict[str, str]]:
    """The findings; the exit status is asserted."""
    ended = site.run("check", "--json", **changed)
    assert (ended.returncode, ended.stderr) == (status, ""), ended.stdout + ended.stderr
    document: dict[str, Any] = json.loads(ended.stdout)
    assert document["ok"] is (status == 0)
    return list(document["findings"])


def problems(findings: list[dict[str, str]]) -> dict[str, str]:
    """The problems and outages, by where they are."""
    return {each["where"]: each["what"] for each in findings if each["weight"] in {"problem", "outage"}}


def test_with_everything_as_required_check_is_content_and_leaves_no_trace(site: WorkerSite) -> None:
    site.create_topics()
    version = site.publish_model()
    ended = site.run("check", WORKER_INSTANCE_ID="one")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith("ready to run\n")
    assert f"model: version {version} loads, 4 segments, fitted for UserProfile" in ended.stdout
    assert f"topic {site.input}: 4 partitions with 1 replica each, READ allowed" in ended.stdout
    admin: Any = KafkaAdminClient(bootstrap_servers=site.bootstrap_servers)
    assert site.name not in {group["group_id"] for group in admin.list_groups()}
    with pytest.raises(TransactionalIdNotFoundError):
        admin.describe_transactions([f"{site.name}:one"])
    admin.close()


def test_check_does_not_disturb_a_running_worker(site: WorkerSite) -> None:
    site.create_topics()
    version = site.publish_model()
    worker = site.start_ready(WORKER_INSTANCE_ID="one")
    findings = checked(site, 0, WORKER_INSTANCE_ID="one")
    advice = {each["where"]: each["what"] for each in findings if each["weight"] == "advice"}
    assert f"127.0.0.1:{site.http_port} and serves version {version}" in advice["http"]
    assert advice[f"group {site.name}"] == "a member with the instance id one is in it now"
    assert site.asked("/readyz") == 200
    assert worker.stop() == 0


def test_every_problem_is_named_in_one_run(site: WorkerSite, broker: TestBroker) -> None:
    with broker.cluster() as cluster:
        cluster.create_topic(site.input, 2)
        cluster.create_topic(site.rejected, 2, {"max.message.bytes": "500000", "cleanup.policy": "compact"})
    site.publish_model()
    (model,) = site.store.glob("versions/*/model.json")
    model.write_bytes(b"{}")
    ended = site.run("check", WORKER_BROKER_WAIT_S="soon")
    assert ended.returncode == 2
    first, _, second, *_ = ended.stdout.splitlines()
    assert first.startswith("problem  settings: WORKER_BROKER_WAIT_S (from the environment): ")
    assert second.startswith(f"problem  model: {model} ")
    findings = checked(site, 2)
    assert {each["where"] for each in findings if each["weight"] == "problem"} == {
        "model",
        f"topic {site.output}",
        f"topic {site.rejected}",
    }
    lines = [f"{each['what']}; {each['remedy']}" for each in findings if each["weight"] == "problem"]
    for named in ("WORKER_OUTPUT_TOPIC", "max.message.bytes is 500000", "cleanup.policy"):
        assert any(named in line for line in lines), named
    with broker.cluster() as cluster:
        assert site.output not in cluster.topics()


def test_an_unreachable_broker_is_named_beside_the_other_problems(site: WorkerSite) -> None:
    found = problems(checked(site, 2, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", WORKER_BROKER_WAIT_S="0.5"))
    assert found.keys() == {"brokers", "model"}
    assert found["brokers"].startswith("no broker answers at 127.0.0.1:1 (111 ECONNREFUSED); check KAFKA_BOOTSTRAP_")
    assert found["model"].startswith(f"there is no model store at {site.store}; check MODELS_DIR")


def test_timeouts_beyond_what_the_brokers_allow_are_named(site: WorkerSite) -> None:
    site.create_topics()
    site.publish_model()
    found = problems(checked(site, 2, WORKER_SESSION_TIMEOUT_MS="2000"))
    assert found == {"brokers": "group.min.session.timeout.ms is 6000, but WORKER_SESSION_TIMEOUT_MS is 2000"}


def test_another_program_in_the_group_is_named_by_check_and_stops_a_start(site: WorkerSite) -> None:
    site.create_topics()
    site.publish_model()
    site.send([NewRecord(b"key", b"value")])
    other: Any = KafkaConsumer(
        site.input, bootstrap_servers=site.bootstrap_servers, group_id=site.name, auto_offset_reset="earliest"
    )
    # One poll until it has joined, because kafka-python forgets a join that outlasts a poll. A record proves that it is
    # a member.
    assert other.poll(timeout_ms=1000 * PATIENCE_S)
    found = problems(checked(site, 2))
    named = f"client id {other.config['client_id']} on host 127.0.0.1"
    assert found.keys() == {f"group {site.name}"}
    assert named in found[f"group {site.name}"]
    started = site.run("run")
    other.close()
    assert started.returncode == 2
    (line,) = [line for line in started.stderr.splitlines() if line.startswith("segment-worker: ")]
    assert named in line


@both_clients
def test_workers_with_a_client_id_of_their_own_work_together(client: str, site: WorkerSite) -> None:
    site.create_topics()
    site.publish_model()
    own = {
        "KAFKA_CLIENT": client,
        "KAFKA_CLIENT_CONFIG": "client.id=billing,client.rack=eu-1a,connections.max.idle.ms=180000,"
        "metadata.max.age.ms=30000,reconnect.backoff.ms=20,receive.buffer.bytes=65536,send.buffer.bytes=65536",
    }
    worker = site.start_ready(**own)
    assert problems(checked(site, 0, **own)) == {}
    assert "client id billing on host" in problems(checked(site, 2))[f"group {site.name}"]
    site.send([NewRecord(b"key", event_bytes())])
    site.wait_for_outcomes(1)
    assert worker.stop() == 0
    assert '"foreign_members"' not in worker.log


def test_a_committed_offset_that_the_log_does_not_hold_is_named_as_run_does(site: WorkerSite) -> None:
    site.create_topics(partitions=2)
    site.publish_model()
    with connected(KafkaProducer, bootstrap_servers=site.bootstrap_servers) as producer:
        for partition in (0, 0, 0, 1):
            producer.send(site.input, event_bytes(), partition=partition).get(timeout=PATIENCE_S)
    consumer: Any = connected(KafkaConsumer, bootstrap_servers=site.bootstrap_servers, group_id=site.name)
    first, second = (TopicPartition(site.input, number) for number in (0, 1))
    # As the start of the one log and the end of the other: a worker can resume from either.
    consumer.commit({first: OffsetAndMetadata(0, "", -1), second: OffsetAndMetadata(1, "", -1)})
    assert problems(checked(site, 0)) == {}
    admin: Any = KafkaAdminClient(bootstrap_servers=site.bootstrap_servers)
    admin.delete_records({first: 2})
    lost = f"topic {site.input}, partition 0: cannot resume from committed offset 0: the log now spans 2–3; "
    ended = site.run("check")
    assert ended.returncode == 2
    assert f"group {site.name}: {lost}{LossReason.OUT_OF_RANGE}" in ended.stdout
    assert "or set WORKER_ON_OFFSET_OUT_OF_RANGE=earliest to continue at offset 2\n" in ended.stdout
    findings = checked(site, 0, WORKER_ON_OFFSET_OUT_OF_RANGE="earliest")
    assert [each["what"] for each in findings if each["weight"] == "advice"] == [lost + LossReason.OUT_OF_RANGE]
    # Beyond its end, with the id of the topic beside it: a worker does not continue there by itself.
    topic_id = str(admin.describe_topics([site.input])[0]["topic_id"])
    consumer.commit({first: OffsetAndMetadata(2, "", -1), second: OffsetAndMetadata(9, topic_id, -1)})
    found = problems(checked(site, 2, WORKER_ON_OFFSET_OUT_OF_RANGE="earliest"))[f"group {site.name}"]
    assert f"partition 1: cannot resume from committed offset 9: the log now spans 0–1; {LossReason.TRUNCATED}" in found
    consumer.commit({second: OffsetAndMetadata(1, "00000000-0000-0000-0000-000000000001", -1)})
    assert LossReason.RECREATED in problems(checked(site, 2))[f"group {site.name}"]
    consumer.close()
    admin.close()


def test_missing_topics_are_created_with_the_partitions_asked_for(site: WorkerSite) -> None:
    environment = site.environment(WORKER_CURRENT_TOPIC=site.current)
    settings = Settings.model_validate({name.lower(): value for name, value in environment.items()})
    with Cluster(settings, connection_arguments(settings), PATIENCE_S) as cluster:
        assert cluster.create_missing_topics(2) == dict.fromkeys(settings.topics, 2)
        assert cluster.create_missing_topics(3) == {}
        topics = [topic for topic in cluster.facts().topics.values() if isinstance(topic, TopicFacts)]
    assert [topic.partitions for topic in topics] == [2, 2, 2, 2]
    assert [topic.configs["cleanup.policy"] for topic in topics] == ["delete", "delete", "delete", "compact"]


def test_each_missing_right_is_named_by_check_and_by_run_until_all_are_there(
    broker_with: Callable[..., AbstractContextManager[Broker]], programs: Programs, tmp_path: Path
) -> None:
    with broker_with(config=LOGIN, listeners={"LOGIN": "SASL_PLAINTEXT"}) as broker:
        site = worker_site(programs, broker.bootstrap_servers, "rights", tmp_path)
        site.create_topics()
        site.publish_model()
        login = {
            "KAFKA_BOOTSTRAP_SERVERS": broker.addresses["LOGIN"],
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_MECHANISM": "PLAIN",
            "KAFKA_SASL_USERNAME": USER,
            "KAFKA_SASL_PASSWORD": "right",
        }

        ended = site.run("run", **login | {"KAFKA_SASL_PASSWORD": "wrong-secret"})
        assert ended.returncode == 2
        assert "refused the login" in ended.stderr
        assert "Authentication failed: Invalid username or password" in ended.stderr
        assert "wrong-secret" not in ended.stdout + ended.stderr

        assert problems(checked(site, 2, **login)).keys() == {
            f"topic {site.input}",
            f"topic {site.output}",
            f"topic {site.rejected}",
            f"group {site.name}",
            f"transactional id {site.name}:…",
        }
        ended = site.run("run", **login)
        assert ended.returncode == 2
        assert len([line for line in ended.stderr.splitlines() if line.startswith("segment-worker: ")]) == 5

        allow(site, ResourceType.TOPIC, site.input, ACLOperation.READ)
        allow(site, ResourceType.TOPIC, site.output, ACLOperation.DESCRIBE)
        allow(site, ResourceType.GROUP, site.name, ACLOperation.DESCRIBE)
        prefixed = ACLResourcePatternType.PREFIXED
        allow(site, ResourceType.TRANSACTIONAL_ID, f"{site.name}:", ACLOperation.WRITE, prefixed)
        found = problems(checked(site, 2, **login))
        assert found.keys() == {f"topic {site.output}", f"topic {site.rejected}", f"group {site.name}"}
        assert "WRITE" in found[f"topic {site.output}"]
        assert "READ" in found[f"group {site.name}"]

        allow(site, ResourceType.TOPIC, site.output, ACLOperation.WRITE)
        allow(site, ResourceType.TOPIC, site.rejected, ACLOperation.WRITE)
        allow(site, ResourceType.GROUP, site.name, ACLOperation.READ)
        findings = checked(site, 0, **login)
        assert {each["weight"] for each in findings} == {"fine", "unknown"}
        worker = site.start_ready(**login)
        assert worker.stop() == 0

        # READ on the group shows its members, unless one of them reads a topic that this user may not see.
        others = dataclasses.replace(site, name=f"{site.name}-others")
        others.create_topics(1)
        consumer: Any = Consumer(
            {"bootstrap.servers": site.bootstrap_servers, "group.id": site.name, "group.protocol": "consumer"}
        )
        consumer.subscribe([site.input, others.input])
        wait_until(lambda: consumer.poll(0.1) is not None or bool(consumer.assignment()), "a foreign member")
        assert problems(checked(site, 2, **login)).keys() == {f"group {site.name}"}
        consumer.close()
