"""Connections that fail: kafka-python drops the broker's last answer, and leaves the socket open.

Upstream: dpkp/kafka-python has no issue for either (searched in November 2026; its #2994 raises a refused sign-in,
which this patch lets it see). tests/unit/worker/kafka/patches/test_sockets.py says when the patch can go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kafka.net.inet import KafkaNetSocket
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

from worker.kafka.patches.replacement import Replacement

_RECEIVE: Final = Replacement(
    KafkaTCPTransport, "_sock_recv", "2594a6a62ec5a3e56355033514d33265dcd9513bc5c24342c1b91c90641589ff"
)
_RECEIVE_TLS: Final = Replacement(
    KafkaSSLTransport, "_sock_recv", "0a592f230c5c4455245fa50057926170680e0f950c003a2186b10e578f10a481"
)
_CONNECT: Final = Replacement(
    KafkaNetSocket, "sock_connect", "36c15b0ce9196d15ee9fd2aed00bd9b7ef430bf1e6870bfe3b2d43bae4ae5413"
)
_HANDSHAKE: Final = Replacement(
    KafkaSSLTransport, "handshake", "526ac8f33ece28417f0f93be922b1ca49a5a4f0b7d7c4a41269e64bb9bfcf571"
)
REPLACEMENTS: Final = (_RECEIVE, _RECEIVE_TLS, _CONNECT, _HANDSHAKE)


def apply() -> None:
    """Make kafka-python read what came before the end of a connection, and close sockets that could not connect.

    A broker answers wrong credentials and closes at once. When both arrive together, kafka-python 3.0.12 reports
    "socket disconnected" and tries again for ever, as if the broker were away. And it leaves a socket that could not
    connect to the garbage collector: while a broker is away, one more each second.
    """
    for receive in (_RECEIVE, _RECEIVE_TLS):
        receive.install(_data_before_end(receive.upstream))
    _CONNECT.install(_connect_or_close)
    _HANDSHAKE.install(_handshake_or_close)


def _data_before_end(receive: Callable[[Any], tuple[bytes, Exception | None]]) -> Any:
    def received(transport: Any) -> tuple[bytes, Exception | None]:
        data, error = receive(transport)
        # The end is not lost: the next read finds it again.
        return data, None if data else error

    return received


async def _connect_or_close(self: Any, net: Any, sock: Any, address: Any, timeout_at: float | None = None) -> Any:
    try:
        return await _CONNECT.upstream(self, net, sock, address, timeout_at=timeout_at)
    except BaseException:
        sock.close()
        raise


async def _handshake_or_close(self: Any) -> None:
    try:
        await _HANDSHAKE.upstream(self)
    except BaseException:
        self.close()
        raise
