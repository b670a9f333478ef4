"""What a broker sends before it hangs up is read before the end is seen, and failed sockets are closed."""

import asyncio
import socket
from typing import Any

import pytest
from kafka.errors import KafkaConnectionError
from kafka.net.inet import KafkaNetSocket
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

from worker.kafka.patches import sockets


class HungUp:
    """A socket with the broker's last words and the end behind them."""

    def __init__(self) -> None:
        self._left = [b"wrong password", b""]

    def recv(self, _size: int) -> bytes:
        return self._left.pop(0)


class NobodyListens(KafkaNetSocket):  # type: ignore[misc]  # kafka-python ships no types
    """Every connection is refused."""

    SCHEMES = ()

    def connect_ex(self, sock: object, address: object) -> int:  # noqa: ARG002  # the base's
        return 111


def received_with(receive: Any, transport_class: Any) -> tuple[bytes, bool]:
    transport = object.__new__(transport_class)
    transport._sock, transport._closed = HungUp(), False
    transport.host_port = lambda: "kafka:9092"
    data, error = receive(transport)
    return data, error is None


@pytest.mark.parametrize("transport_class", [KafkaTCPTransport, KafkaSSLTransport])
def test_what_came_before_the_end_is_no_error_yet_with_and_without_encryption(transport_class: Any) -> None:
    assert received_with(transport_class._sock_recv, transport_class) == (b"wrong password", True)


def test_the_end_is_an_error_once_all_was_read() -> None:
    ours, brokers = socket.socketpair()
    ours.setblocking(False)
    transport: Any = KafkaTCPTransport(None, ours)
    brokers.sendall(b"wrong password")
    brokers.close()
    assert transport._sock_recv() == (b"wrong password", None)
    data, error = transport._sock_recv()
    assert data == b""
    assert isinstance(error, KafkaConnectionError)
    ours.close()


def test_a_socket_that_could_not_connect_is_closed() -> None:
    with socket.socket() as sock:
        with pytest.raises(KafkaConnectionError):
            asyncio.run(NobodyListens().sock_connect(None, sock, ("127.0.0.1", 9)))
        assert sock.fileno() == -1


@pytest.mark.parametrize("replacement", [sockets._RECEIVE, sockets._RECEIVE_TLS])
def test_kafka_python_still_drops_the_last_answer(replacement: Any) -> None:
    """When this fails, upstream hands both on in order, and `_data_before_end` can go."""
    assert received_with(replacement.upstream, replacement._owner) == (b"wrong password", False)


def test_kafka_python_still_leaves_the_socket_open() -> None:
    """When this fails, upstream closes it, and `_connect_or_close` and `_handshake_or_close` can go."""
    with socket.socket() as sock:
        with pytest.raises(KafkaConnectionError):
            asyncio.run(sockets._CONNECT.upstream(NobodyListens(), None, sock, ("127.0.0.1", 9)))
        assert sock.fileno() != -1
