"""What a broker says before it hangs up: kafka-python throws it away, and with it why somebody may not sign in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport


def hear_last_words() -> None:
    """Make kafka-python read what came before the end of a connection. Fine to call twice.

    A broker answers wrong credentials and closes at once. When both arrive together, kafka-python 3.0.12 reports
    "socket disconnected" and tries again for ever, as if the broker were away.
    """
    for transport in (KafkaTCPTransport, KafkaSSLTransport):
        if not hasattr(transport._sock_recv, "hears_last_words"):  # noqa: SLF001  # there is no public place for it
            transport._sock_recv = _data_first(transport._sock_recv)  # noqa: SLF001  # see above


def _data_first(receive: Callable[[Any], tuple[bytes, Exception | None]]) -> Any:
    def received(transport: Any) -> tuple[bytes, Exception | None]:
        data, error = receive(transport)
        # The end is not lost: the next read finds it again.
        return data, None if data else error

    received.hears_last_words = True  # type: ignore[attr-defined]  # a mark for the second call
    return received
