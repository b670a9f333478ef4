"""What the proxy lets through, and what it does not."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from demo.kafka.ports import LOOPBACK
from tests.chaos.proxy import ApiKey, Proxy, Trap
from tests.support.brokers import wait_until
from tests.support.transport_contract import PATIENCE_S


class EchoServer:
    """Sends back whatever it receives."""

    def __init__(self) -> None:
        self._listening = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listening.getsockname()[1]
        self.received = b""
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._echo, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _echo(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(4096):
                self.received += data
                connection.sendall(data)

    def close(self) -> None:
        if self._listening.fileno() >= 0:  # a test may have closed it
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)


@pytest.fixture
def server() -> Iterator[EchoServer]:
    server = EchoServer()
    yield server
    server.close()


@pytest.fixture
def proxy(server: EchoServer) -> Iterator[Proxy]:
    with Proxy() as proxy:
        proxy.forward_to(server.port)
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE_S) as client:
        yield client


def request(api_key: int, body: bytes = b"") -> bytes:
    content = api_key.to_bytes(2) + body
    return len(content).to_bytes(4) + content


def answered(client: socket.socket, sent: bytes) -> bool:
    """Whether exactly this comes back."""
    client.sendall(sent)
    received = b""
    while len(received) < len(sent):
        some = client.recv(len(sent) - len(received))
        if not some:
            return False
        received += some
    return received == sent


def is_cut(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def sprung(trap: Trap, client: socket.socket) -> None:
    wait_until(lambda: trap.sprung, "the request to come")
    assert trap.client_port == client.getsockname()[1]


def test_requests_and_answers_pass_unchanged_and_are_counted(proxy: Proxy, client: socket.socket) -> None:
    assert answered(client, request(3, b"x" * 1_000_000))
    assert answered(client, request(3) + request(ApiKey.END_TXN, b"y"))
    assert dict(proxy.requests) == {3: 2, ApiKey.END_TXN: 1}
    assert proxy.accepted == 1
    assert len(proxy.source_ports()) == 1


def test_a_cut_ends_connections_and_new_ones_work(proxy: Proxy, client: socket.socket) -> None:
    assert answered(client, request(1))
    assert proxy.cut(1.0) == 1
    assert is_cut(client)
    wait_until(lambda: not proxy.source_ports(), "the proxy to forget the connection")
    with socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE_S) as another:
        assert answered(another, request(1))


def test_a_cut_of_a_small_share_ends_one_of_several(proxy: Proxy) -> None:
    clients = [socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE_S) for _ in range(3)]
    assert all(answered(client, request(1)) for client in clients)
    assert proxy.cut(0.01, seed=1) == 1
    wait_until(lambda: len(proxy.source_ports()) == 2, "one connection to be gone")
    for client in clients:
        client.close()


def test_while_it_refuses_no_connection_lives(proxy: Proxy, client: socket.socket) -> None:
    assert answered(client, request(1))
    proxy.refuse()
    assert is_cut(client)
    with socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE_S) as refused:
        assert is_cut(refused)
    proxy.accept()
    with socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE_S) as another:
        assert answered(another, request(1))


def test_a_stalled_connection_stays_open_and_carries_nothing_until_it_flows(
    proxy: Proxy, client: socket.socket, server: EchoServer
) -> None:
    assert answered(client, request(1))
    proxy.stall()
    client.sendall(request(2, b"late"))
    wait_until(lambda: proxy.requests[2] == 1, "the proxy to have read the request")
    assert not server.received.endswith(b"late")
    proxy.flow()
    assert client.recv(4096) == request(2, b"late")


def test_delayed_requests_arrive_in_order(proxy: Proxy, client: socket.socket) -> None:
    proxy.delay(0.05)
    assert answered(client, b"".join(request(n, b"%d" % n) for n in range(5)))


def test_a_held_request_and_what_follows_it_wait_for_the_release(
    proxy: Proxy, client: socket.socket, server: EchoServer
) -> None:
    trap = proxy.hold_next(ApiKey.END_TXN)
    assert answered(client, request(1))
    client.sendall(request(ApiKey.END_TXN, b"held") + request(1, b"next"))
    sprung(trap, client)
    assert b"held" not in server.received
    trap.release()
    wait_until(lambda: server.received.endswith(b"next"), "both requests to arrive")
    assert request(ApiKey.END_TXN, b"held") + request(1, b"next") in server.received


def test_only_the_first_request_of_its_kind_is_held(proxy: Proxy, client: socket.socket) -> None:
    trap = proxy.hold_next(ApiKey.END_TXN)
    client.sendall(request(ApiKey.END_TXN))
    sprung(trap, client)
    with socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE_S) as another:
        assert answered(another, request(ApiKey.END_TXN))
    assert trap.client_port == client.getsockname()[1]
    trap.release()
    assert client.recv(4096) == request(ApiKey.END_TXN)


def test_a_dropped_request_never_arrives(proxy: Proxy, client: socket.socket, server: EchoServer) -> None:
    trap = proxy.hold_next(ApiKey.TXN_OFFSET_COMMIT)
    client.sendall(request(ApiKey.TXN_OFFSET_COMMIT, b"dropped"))
    sprung(trap, client)
    trap.drop()
    assert is_cut(client)
    assert b"dropped" not in server.received


def test_a_request_whose_answer_is_lost_arrives(proxy: Proxy, client: socket.socket, server: EchoServer) -> None:
    trap = proxy.lose_next_answer(ApiKey.END_TXN)
    client.sendall(request(ApiKey.END_TXN, b"done"))
    assert is_cut(client)
    sprung(trap, client)
    assert server.received.endswith(b"done")


def test_a_trap_that_is_forgotten_catches_nothing(proxy: Proxy, client: socket.socket) -> None:
    proxy.forget(proxy.hold_next(ApiKey.END_TXN))
    assert answered(client, request(ApiKey.END_TXN))


def test_while_the_broker_is_away_connections_end(proxy: Proxy, server: EchoServer) -> None:
    server.close()
    with socket.create_connection((LOOPBACK, proxy.port), timeout=PATIENCE_S) as client:
        assert is_cut(client)
