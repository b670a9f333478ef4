"""The fake keeps the transport's promises."""

import pytest

from tests.support.fake_transport import FakeTransport
from tests.support.transport_contract import TransportContract, World


class FakeWorld:
    def __init__(self) -> None:
        self.transport = FakeTransport(partitions=2, batch_max_events=3)

    def send(self, partition: int, *values: bytes) -> None:
        for value in values:
            self.transport.send(partition, value)

    def results(self) -> list[bytes | None]:
        return [message.value for message in self.transport.results]

    def rejected(self) -> list[bytes | None]:
        return [message.value for message in self.transport.rejected]

    def rebalance(self) -> None:
        self.transport.rebalance()


class TestFakeTransport(TransportContract):
    @pytest.fixture
    def world(self) -> World:
        return FakeWorld()
