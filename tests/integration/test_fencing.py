"""Two producers with one transactional id: they fence each other, and soon one of them says so and stops."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.brokers import TestBroker
from tests.support.kafka_world import KafkaWorld, both_clients
from worker.errors import ExitStatus, ProducerFenced, StopProcessError
from worker.kafka.clients import producer_client
from worker.kafka.config import connection_arguments
from worker.kafka.producer import FENCINGS_MOST, Transactions
from worker.lifecycle import Deadline
from worker.stream.records import Membership, Message


@pytest.fixture
def kafka(broker: TestBroker, client: str) -> Iterator[KafkaWorld]:
    with KafkaWorld(broker.bootstrap_servers, partitions=1, client=client) as world:
        yield world


@pytest.fixture
def deadline() -> Iterator[Deadline]:
    with Deadline(threading.Event()) as one:
        yield one


def transactions(kafka: KafkaWorld, deadline: Deadline, **changed: Any) -> Transactions:
    settings = kafka.settings(worker_transaction_timeout_ms=60_000, **changed)
    connection = connection_arguments(settings)
    return Transactions(
        settings,
        connection,
        settings.transactional_id("made-up"),
        lambda transactional_id: producer_client(settings, connection, transactional_id),
        deadline,
    )


def commit(kafka: KafkaWorld, sink: Transactions) -> None:
    sink.commit({kafka.output: [Message(b"key", b"value")]}, {(kafka.input, 0): 0}, Membership("group", "", -1, None))


@both_clients
def test_the_third_fencing_in_a_row_stops_the_process_and_names_the_id(kafka: KafkaWorld, deadline: Deadline) -> None:
    ours, other = (transactions(kafka, deadline, worker_instance_id="one") for _ in range(2))

    def fenced() -> None:
        ours.open()
        other.open()
        try:
            commit(kafka, ours)
        finally:
            other.close()

    for _ in range(FENCINGS_MOST - 1):
        with pytest.raises(ProducerFenced, match=f"{kafka.group}:one"):
            fenced()
    commit(kafka, ours)  # a success in between: counted anew
    for _ in range(FENCINGS_MOST - 1):
        with pytest.raises(ProducerFenced):
            fenced()
    with pytest.raises(StopProcessError, match=f"{kafka.group}:one") as raised:
        fenced()
    assert raised.value.exit_status is ExitStatus.ACT_FIRST


def test_workers_of_two_groups_never_fence_each_other(kafka: KafkaWorld, deadline: Deadline) -> None:
    one = transactions(kafka, deadline, worker_group_id=kafka.name, worker_instance_id="eu-worker-0")
    other = transactions(kafka, deadline, worker_group_id=f"{kafka.name}-eu", worker_instance_id="worker-0")
    for sink in (one, other, one, other):
        commit(kafka, sink)
    assert len(kafka.read(kafka.output)) == 4
    one.close()
    other.close()
