"""Building kafka-python's clients so that a failed attempt leaves nothing behind and says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket

_connect = KafkaNetSocket.sock_connect

# Shorter than a drain may take, so that a stop while waiting for a broker still ends well.
CONNECT_MS = 3_000


def connected(client: Callable[..., Any], **arguments: Any) -> Any:
    """The client, connected to the cluster; it never creates a topic.

    Raises KafkaError when no broker answered within `bootstrap_timeout_ms`, and a broker's refusal to sign in rather
    than the timeout that kafka-python makes of it. The connections and thread of a failed attempt are gone then.
    """
    KafkaNetSocket.sock_connect = _connect_or_close
    opened: list[Any] = []

    def remembered(**settings: Any) -> Any:
        one = KafkaNetClient(**settings)
        opened.append(one)
        # kafka-python 3.0.12 does not hand this setting on: a topic deleted under a worker would come back, empty.
        one._manager.cluster.config["allow_auto_create_topics"] = False  # noqa: SLF001  # see above
        return one

    try:
        return client(kafka_client=remembered, **arguments)
    except KafkaError as error:
        refusals = [
            refusal
            for one in opened
            for refusal in one._manager._auth_failures.values()  # noqa: SLF001  # kept nowhere else
        ]
        for one in opened:
            one.close()
        raise (refusals[0] if refusals else error) from error


async def _connect_or_close(self: Any, net: Any, sock: Any, address: Any, timeout_at: float | None = None) -> Any:
    # kafka-python 3.0.12 leaves a socket that could not connect to the garbage collector: while a broker is away, one
    # more each second.
    try:
        return await _connect(self, net, sock, address, timeout_at=timeout_at)
    except BaseException:
        sock.close()
        raise
