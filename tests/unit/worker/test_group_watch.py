"""The watch for other programs in the group, while no broker answers."""

import pytest

from demo.kafka.ports import free_ports
from worker import group_watch
from worker.group_watch import GroupWatch
from worker.kafka import admin
from worker.kafka.config import connection_arguments
from worker.operations.metrics import Metrics
from worker.settings import Settings


def test_in_an_outage_the_protocol_of_the_servers_is_probed_once_in_a_while_and_not_at_each_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    probed: list[str] = []
    monkeypatch.setattr(admin, "listener_at", lambda server, _: probed.append(server))
    monkeypatch.setattr(group_watch, "_CONNECT_S", 0.1)
    settings = Settings(kafka_bootstrap_servers=f"127.0.0.1:{free_ports(1)[0]}")
    watch = GroupWatch(settings, connection_arguments(settings), lambda: None, Metrics())
    assert [watch._describe() for _ in range(3)] == [False] * 3
    assert len(probed) == 1
