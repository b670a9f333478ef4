"""Kafka keeps the transport's promises, the same that the fake keeps."""

from collections.abc import Iterator

import pytest

from tests.support.brokers import TestBroker
from tests.support.kafka_world import KafkaWorld, both_clients
from tests.support.transport_contract import TransportContract, World
from worker.kafka.transport import KafkaTransport


class RealWorld:
    def __init__(self, kafka: KafkaWorld) -> None:
        self._kafka = kafka
        self._transport = kafka.open(worker_batch_max_events=3)

    @property
    def transport(self) -> KafkaTransport:
        return self._transport

    def send(self, partition: int, *values: bytes) -> None:
        self._kafka.send(*values, partition=partition)

    def results(self) -> list[bytes | None]:
        return list(self._kafka.values(self._kafka.output))

    def rejected(self) -> list[bytes | None]:
        return list(self._kafka.values(self._kafka.rejected))

    def rebalance(self) -> None:
        self._kafka.expel_members()


@both_clients
class TestKafkaTransport(TransportContract):
    @pytest.fixture
    def world(self, broker: TestBroker, client: str) -> Iterator[World]:
        with KafkaWorld(broker.bootstrap_servers, partitions=2, client=client) as kafka:
            yield RealWorld(kafka)
