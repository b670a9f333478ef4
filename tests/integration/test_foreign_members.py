"""Another program in the worker's group: it takes partitions and commits, and those events have no outcome."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer
from structlog.testing import capture_logs

from tests.support.brokers import TestBroker
from tests.support.kafka_world import KafkaWorld, looping
from tests.support.transport_contract import until
from worker.cluster_rules import Weight, judge_cluster
from worker.group_watch import GroupWatch
from worker.kafka.admin import Cluster
from worker.kafka.config import connection_arguments
from worker.operations.metrics import Metrics

FOREIGN = "client id rdkafka on host 127.0.0.1"


@pytest.fixture
def kafka(broker: TestBroker) -> Iterator[KafkaWorld]:
    with KafkaWorld(broker.bootstrap_servers) as kafka:
        yield kafka


def group_problems(kafka: KafkaWorld) -> list[str]:
    """What `check` and a start find wrong with the group."""
    settings = kafka.settings()
    with Cluster(settings, connection_arguments(settings), 5) as cluster:
        findings = judge_cluster(cluster.facts(), settings)
    return [each.line for each in findings if each.weight is Weight.PROBLEM and each.where == f"group {kafka.group}"]


def foreign_members(metrics: Metrics) -> str:
    """What Prometheus reads."""
    text = metrics.expose(live=True, ready=True).decode()
    return str(re.findall(r"^segment_worker_foreign_members (.+)$", text, re.MULTILINE)[0])


@pytest.mark.parametrize(
    "protocol",
    [{"partition.assignment.strategy": "cooperative-sticky"}, {"group.protocol": "consumer"}],
    ids=["classic", "consumer"],
)
def test_another_program_in_the_group_is_named_as_long_as_it_is_there(
    kafka: KafkaWorld, protocol: dict[str, str]
) -> None:
    metrics = Metrics()
    settings = kafka.settings()
    transport = kafka.open()
    watch = GroupWatch(settings, connection_arguments(settings), lambda: transport.membership, metrics)
    with looping(transport), capture_logs() as logs:
        watch.start()
        until(lambda: len(transport.progress()) == kafka.partitions or None)
        assert group_problems(kafka) == []

        consumer: Any = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": kafka.group} | protocol)
        consumer.subscribe([kafka.input])
        until(lambda: consumer.poll(0.1) or consumer.assignment() or None)
        until(lambda: foreign_members(metrics) == "1.0" or None)
        (problem,) = group_problems(kafka)
        assert FOREIGN in problem

        consumer.close()
        until(lambda: foreign_members(metrics) == "0.0" or None)
        assert group_problems(kafka) == []
        watch.close()
    events = [(each["event"], each.get("members")) for each in logs if each["event"].startswith("foreign")]
    assert events == [("foreign_members", (FOREIGN,)), ("foreign_members_left", None)]
