"""The server of the probes: right answers, and clients that cannot hold it up."""

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.support.transport_contract import PATIENCE_S, until
from worker.errors import PortUnusable
from worker.operations import http_server
from worker.operations.http_server import Answer, HttpServer


@pytest.fixture
def server() -> Iterator[HttpServer]:
    routes = {
        "/good": lambda: Answer(200, "text/plain", b"good"),
        "/bad": lambda: Answer(503, "application/json", b"{}"),
        "/broken": lambda: 1 / 0,
    }
    server = HttpServer("127.0.0.1", 0, routes)  # type: ignore[arg-type]
    yield server
    server.close()


def get(server: HttpServer, path: str, method: str = "GET") -> tuple[int, str | None, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
    connection.request(method, path)
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply.status, reply.headers["Content-Type"], body


def test_a_path_is_answered_with_its_status_type_and_body(server: HttpServer) -> None:
    assert get(server, "/good") == (200, "text/plain", b"good")
    assert get(server, "/good?verbose=1") == (200, "text/plain", b"good")
    assert get(server, "/bad") == (503, "application/json", b"{}")


def test_an_unknown_path_names_those_that_there_are(server: HttpServer) -> None:
    status, _, body = get(server, "/")
    assert (status, body) == (404, b"not found; the paths are /good /bad /broken\n")


def test_head_has_the_same_answer_without_its_body(server: HttpServer) -> None:
    assert get(server, "/good", "HEAD") == (200, "text/plain", b"")


def test_another_method_is_refused(server: HttpServer) -> None:
    assert get(server, "/good", "POST")[0] == 501


def test_what_goes_wrong_while_answering_one_client_is_nothing_to_the_next(
    server: HttpServer, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        get(server, "/broken")
    for garbage in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\xff" * 70_000, b""):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(garbage)
    assert get(server, "/good")[2] == b"good"
    assert capfd.readouterr() == ("", "")


def test_a_client_that_sends_a_byte_now_and_then_is_cut_off(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "CLIENT_MAX_S", 0.3)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(0.05)

        def cut_off() -> bool | None:
            try:
                client.sendall(b"x")
                return client.recv(1) == b"" or None
            except TimeoutError:
                return None
            except ConnectionError:
                return True

        until(cut_off)


def test_headers_that_are_too_much_are_refused_before_all_are_read(server: HttpServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as client:
        # Far less than the standard library takes, and not the end of the headers.
        client.sendall(b"GET /good HTTP/1.1\r\na: 1\r\nb: " + b"x" * http_server.REQUEST_MAX_BYTES + b"\r\n")
        assert client.recv(100).startswith(b"HTTP/1.0 431 ")


def test_a_first_line_that_is_too_long_is_cut_off(server: HttpServer) -> None:
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        get(server, "/" + "x" * http_server.REQUEST_MAX_BYTES)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients may stay for longer than a test has patience."""
    monkeypatch.setattr(http_server, "CLIENT_MAX_S", 3600.0)
    monkeypatch.setattr(http_server._Handler, "timeout", 3600.0)


def test_silent_clients_do_not_keep_others_waiting(unhurried: None, server: HttpServer) -> None:
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(http_server.CLIENTS_MAX - 1)]
    assert get(server, "/good")[2] == b"good"
    for client in silent:
        client.close()


def test_with_too_many_clients_those_who_hold_their_connections_longest_are_cut_off_and_no_more_threads_are_made(
    unhurried: None, server: HttpServer
) -> None:
    before = threading.active_count()
    many = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5 * http_server.CLIENTS_MAX)]
    many[0].settimeout(PATIENCE_S)
    assert many[0].recv(1) == b""
    assert threading.active_count() <= before + http_server.THREADS_MAX
    assert until(lambda: answered(server)) == b"good"
    for client in many:
        client.close()


def test_answers_that_are_stuck_take_no_more_threads_than_that_either(unhurried: None) -> None:
    over, asked = threading.Event(), threading.Semaphore(0)

    def stuck() -> Answer:
        asked.release()
        over.wait()
        return Answer(200, "text/plain", b"")

    server = HttpServer("127.0.0.1", 0, {"/stuck": stuck})
    before = threading.active_count()
    many: list[socket.socket] = []
    try:
        # One after the other: a client that is cut off before it asked leaves its thread to the next.
        for _ in range(http_server.THREADS_MAX):
            many.append(socket.create_connection(("127.0.0.1", server.port)))
            many[-1].sendall(b"GET /stuck HTTP/1.0\r\n\r\n")
            assert asked.acquire(timeout=PATIENCE_S)
        for _ in range(http_server.CLIENTS_MAX):
            many.append(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S))
            with contextlib.suppress(ConnectionError):
                assert many[-1].recv(1) == b""
        assert threading.active_count() <= before + http_server.THREADS_MAX
    finally:
        over.set()
        for client in many:
            client.close()
        server.close()


def answered(server: HttpServer) -> bytes | None:
    """Its answer, or None while it refuses clients."""
    try:
        return get(server, "/good")[2]
    except (http.client.HTTPException, ConnectionError):
        return None


def test_a_port_in_use_is_reported_and_its_owner_continues(server: HttpServer) -> None:
    with pytest.raises(PortUnusable, match="Address already in use"):
        HttpServer("127.0.0.1", server.port, {})
    assert get(server, "/good")[0] == 200


def test_an_address_of_another_machine_is_reported() -> None:
    with pytest.raises(PortUnusable):
        HttpServer("192.0.2.1", 0, {})
    with pytest.raises(PortUnusable):
        HttpServer("nowhere.invalid", 0, {})


def test_a_closed_server_frees_its_port() -> None:
    first = HttpServer("127.0.0.1", 0, {})
    first.close()
    second = HttpServer("127.0.0.1", first.port, {})
    second.close()


def test_it_listens_on_ipv6_too() -> None:
    server = HttpServer("::1", 0, {"/good": lambda: Answer(200, "text/plain", b"good")})
    connection = http.client.HTTPConnection("::1", server.port, timeout=PATIENCE_S)
    connection.request("GET", "/good")
    assert connection.getresponse().read() == b"good"
    connection.close()
    server.close()
