"""Building kafka-python's clients so that a failed connection leaves nothing behind and says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    KafkaTimeoutError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaSSLTransport

from worker.kafka_last_words import hear_last_words
from worker.kafka_refusals import tls_refusal

_connect = KafkaNetSocket.sock_connect
_handshake = KafkaSSLTransport.handshake

# Shorter than a drain may take, so that a stop while waiting for a broker still ends well.
CONNECT_MS = 3_000

_REFUSALS = (SaslAuthenticationFailedError, UnsupportedSaslMechanismError, IllegalSaslStateError)


def connected(client: Callable[..., Any], **arguments: Any) -> Any:
    """The client, connected to the cluster; it never creates a topic.

    Raises KafkaError when no broker answered within `bootstrap_timeout_ms`, and at once when one refuses to sign this
    worker in or is not to be trusted; the error is the reason of the last attempt rather than kafka-python's timeout.
    The connections and thread of a failed attempt are gone then. Of what is refused later a producer's calls raise the
    reason; of other clients `refusal_of` tells it.
    """
    KafkaNetSocket.sock_connect = _connect_or_close
    KafkaSSLTransport.handshake = _handshake_or_close
    hear_last_words()
    opened: list[Any] = []

    def remembered(**settings: Any) -> Any:
        net = NetworkSelector(**settings)
        one = KafkaNetClient(net=net, manager=_Connections(net, **settings))
        opened.append(one)
        # kafka-python 3.0.12 does not hand this setting on: a topic deleted under a worker would come back, empty.
        one._manager.cluster.config["allow_auto_create_topics"] = False  # noqa: SLF001  # see above
        return one

    try:
        made = client(kafka_client=remembered, **arguments)
    except KafkaError as error:
        reasons = [one._manager.reason for one in opened if one._manager.reason]  # noqa: SLF001  # kept nowhere else
        for one in opened:
            one.close()
        raise (reasons[0] if reasons else error) from error
    transactions = getattr(made, "_transaction_manager", None)
    if transactions is not None:
        for one in opened:
            # Whoever waits for an answer of a coordinator has no other end.
            one._manager.at_refusal = transactions.transition_to_fatal_error  # noqa: SLF001  # there is no public way
    return made


def refusal_of(client: Any) -> Exception | None:
    """Why a client made by `connected` is let in no more, while it goes on trying; None: it is, as far as it knows."""
    found: Exception | None = client._client._manager.refusal  # noqa: SLF001  # see _Connections
    return found


class _Connections(KafkaConnectionManager):  # type: ignore[misc]  # kafka-python ships no types
    """Remembers why a connection failed, and gives up where waiting does not help.

    kafka-python 3.0.12 means to do the latter (its `_auth_failures`), and never sets what it looks at. Once connected
    that is as well: its threads would take turns in raising it, as fast as they can.
    """

    reason: Exception | None = None
    """Of the last connection that failed; a refusal stays."""
    refusal: Exception | None = None
    """Of the first connection that failed for a reason that stays."""
    at_refusal: Callable[[Exception], None] | None = None
    """Told of it."""

    async def _connect(self, node: Any, conn: Any, **options: Any) -> None:
        await super()._connect(node, conn, **options)
        conn.close_future.add_errback(self._note)
        error = conn.init_future.exception if conn.init_future.is_done else None
        if error is None:
            return
        refusal = tls_refusal(error, f"{node.host}:{node.port}") or (error if isinstance(error, _REFUSALS) else None)
        if refusal is None or self.refusal is not None:
            return
        self.reason = self.refusal = refusal
        if not self.bootstrapped:
            self._auth_failures[node.node_id] = refusal
        elif self.at_refusal is not None:
            self.at_refusal(refusal)

    def _note(self, error: Exception) -> None:
        # That time is up says nothing.
        says_nothing = isinstance(error, KafkaTimeoutError) and self.reason is not None
        if self.refusal is None and not says_nothing:
            self.reason = error


async def _connect_or_close(self: Any, net: Any, sock: Any, address: Any, timeout_at: float | None = None) -> Any:
    # kafka-python 3.0.12 leaves a socket that could not connect to the garbage collector: while a broker is away, one
    # more each second.
    try:
        return await _connect(self, net, sock, address, timeout_at=timeout_at)
    except BaseException:
        sock.close()
        raise


async def _handshake_or_close(self: Any) -> None:
    # The same after a handshake that failed.
    try:
        await _handshake(self)
    except BaseException:
        self.close()
        raise
