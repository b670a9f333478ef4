"""What a broker says before it hangs up is read before the end is seen."""

import socket
from typing import Any

from kafka.errors import KafkaConnectionError
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

from worker.kafka.patches.sockets import hear_last_words


def test_what_came_before_the_end_is_read_first_and_the_end_after_it() -> None:
    hear_last_words()
    hear_last_words()
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


def test_it_holds_with_and_without_encryption_and_once_is_enough() -> None:
    hear_last_words()
    before = KafkaTCPTransport._sock_recv, KafkaSSLTransport._sock_recv
    hear_last_words()
    assert (KafkaTCPTransport._sock_recv, KafkaSSLTransport._sock_recv) == before
    assert all(hasattr(method, "hears_last_words") for method in before)
