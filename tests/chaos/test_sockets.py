"""Which connections a process has."""

import os
import socket
import sys

import pytest

from demo.kafka.ports import LOOPBACK
from tests.chaos.sockets import Connection, connections_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_an_established_connection_of_a_process_is_seen_until_it_is_closed() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            mine = Connection(client.getsockname()[1], server.getsockname()[1])
            assert mine in connections_of(os.getpid())
            assert Connection(server.getsockname()[1], 0) not in connections_of(os.getpid())  # it only listens
        assert mine not in connections_of(os.getpid())


def test_connections_of_other_processes_are_not_its_own() -> None:
    with socket.create_server((LOOPBACK, 0)) as server, socket.create_connection(server.getsockname()):
        assert not {one.remote_port for one in connections_of(os.getppid())} & {server.getsockname()[1]}


def test_a_process_that_is_gone_has_none() -> None:
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {})
    os.waitpid(child, 0)
    assert connections_of(child) == frozenset()
