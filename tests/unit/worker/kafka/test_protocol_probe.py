"""Asking a port what it speaks: what is no broker of Kafka says nothing, and nobody is waited for."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.transport_contract import PATIENCE_S
from worker.kafka.protocol_probe import Listener, listener_at


@pytest.fixture
def answer(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where a server answers whoever asks with these bytes, or with nothing when they are None."""
    listening = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        try:
            while True:
                client = listening.accept()[0]
                held.append(client)
                if request.param is not None:
                    client.recv(1024)
                    client.sendall(request.param)
                    client.close()
        except OSError:
            return

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"127.0.0.1:{listening.getsockname()[1]}"
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()
    for client in held:
        client.close()


def reply(code: int) -> bytes:
    """The beginning of an answer to SaslHandshake."""
    return (10).to_bytes(4, "big") + (7).to_bytes(4, "big") + code.to_bytes(2, "big")


@pytest.mark.parametrize(
    ("answer", "protocol"), [(reply(34), "PLAINTEXT"), (reply(33), "SASL_PLAINTEXT")], indirect=["answer"]
)
def test_a_listener_without_tls_says_whether_it_signs_in(answer: str, protocol: str) -> None:
    listener = listener_at(answer, PATIENCE_S)
    assert listener is not None
    assert listener.protocol == protocol


@pytest.mark.parametrize("answer", [b"", b"\x15", reply(0), b"HTTP/1.1 400 Bad Request\r\n\r\n"], indirect=True)
def test_what_is_no_broker_says_nothing(answer: str) -> None:
    assert listener_at(answer, PATIENCE_S) is None


@pytest.mark.parametrize("answer", [None], indirect=True)
def test_a_silent_server_is_not_waited_for(answer: str) -> None:
    began = time.monotonic()
    assert listener_at(answer, 0.2) is None
    assert time.monotonic() - began < PATIENCE_S


@pytest.mark.parametrize("answer", [b"\x15\x03\x03\x00\x02\x02\x46"], indirect=True)
def test_one_that_encrypts_and_says_no_more_fits_both_protocols_that_encrypt(answer: str) -> None:
    listener = listener_at(answer, PATIENCE_S)
    assert listener == Listener(encrypts=True, signs_in=None)
    assert [name for name in ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL") if listener.takes(name)] == [
        "SSL",
        "SASL_SSL",
    ]


def test_if_nobody_listens_nothing_is_reported() -> None:
    assert listener_at("127.0.0.1:1", PATIENCE_S) is None
    assert listener_at("[::1]:1", PATIENCE_S) is None
