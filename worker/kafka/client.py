"""Building kafka-python's clients so that a failed connection leaves nothing behind and says why."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from worker.kafka.errors import tls_failure

# Shorter than a drain may take, so that a stop while waiting for a broker still ends well.
CONNECT_MS = 3_000
# Replacing a certificate or a credential, or restarting a broker or an identity provider, takes less.
REFUSAL_LASTS_S = 15.0

_REFUSALS = (SaslAuthenticationFailedError, UnsupportedSaslMechanismError, IllegalSaslStateError)


def connected(client: Callable[..., Any], **arguments: Any) -> Any:
    """The client, connected to the cluster; it never creates a topic.

    Raises KafkaError when no broker answered within `bootstrap_timeout_ms`, and at once when every broker was tried and
    authentication failed at some; the error is the reason of the last attempt rather than kafka-python's timeout. The
    connections and thread of a failed attempt are closed then. When authentication fails later on, and keeps failing,
    a producer's calls raise the reason; for other clients `authentication_failure` returns it.
    """
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
            # A call that waits for a coordinator would wait for ever.
            one._manager.at_refusal = transactions.transition_to_fatal_error  # noqa: SLF001  # there is no public way
    return made


def authentication_failure(client: Any) -> Exception | None:
    """Why a client made by `connected` can no longer log in, although it keeps trying; None as long as it can."""
    found: Exception | None = client._client._manager.refusal  # noqa: SLF001  # see _Connections
    return found


class _Connections(KafkaConnectionManager):  # type: ignore[misc]  # kafka-python ships no types
    """Remembers why a connection failed, and gives up where waiting does not help.

    kafka-python 3.0.12 is meant to give up (its `_auth_failures`), but never sets what it checks. After the first
    connection that is just as well: its threads would raise the error in turn, as fast as they can.

    One server of several, or a short outage, is not a reason to give up. Until a broker accepts this client, a refusal
    is final when all servers were tried and none accepted it; afterwards, when it lasts.
    """

    reason: Exception | None = None
    """Of the last connection that failed; a final refusal stays."""
    refusal: Exception | None = None
    """The first final one."""
    at_refusal: Callable[[Exception], None] | None = None
    """Called with it."""

    def __init__(self, net: Any, **settings: Any) -> None:
        super().__init__(net, **settings)
        self._accepted = False
        # Nodes, since their last connection that succeeded.
        self._failed: set[Any] = set()
        self._refused: dict[Any, tuple[float, Exception]] = {}

    async def _connect(self, node: Any, conn: Any, **options: Any) -> None:
        lost = conn.connection_lost
        conn.connection_lost = lambda error: lost(self._judged(node, conn, error))
        await super()._connect(node, conn, **options)
        if conn.connected:
            self._note_success(node.node_id)
        elif self.refusal is not None and not self._accepted and not self.bootstrapped:
            # This ends the attempt to bootstrap; not earlier, because kafka-python itself clears it.
            self._auth_failures |= dict.fromkeys(self._others(node.node_id), self.refusal)

    def _note_success(self, node_id: Any) -> None:
        bootstrap = self.cluster.is_bootstrap(node_id)
        for each in self._others(node_id) if bootstrap else [node_id]:
            self._failed.discard(each)
            self._refused.pop(each, None)
        self._accepted = self._accepted or not bootstrap

    def _judged(self, node: Any, conn: Any, error: Exception | None) -> Exception | None:
        """The error to hand on: one after which kafka-python tries again, unless it is a final refusal."""
        if error is None or conn.closed or self.closed:
            return error
        refusal = tls_failure(error, f"{node.host}:{node.port}") or (error if isinstance(error, _REFUSALS) else None)
        passing = KafkaConnectionError(*error.args) if isinstance(error, _REFUSALS) else error
        # A timeout explains nothing.
        explains_nothing = isinstance(error, KafkaTimeoutError) and self.reason is not None
        if self.refusal is None and not explains_nothing:
            self.reason = passing
        self._failed.add(node.node_id)
        if refusal is not None:
            self._refused.setdefault(node.node_id, (time.monotonic(), refusal))
        final = self._final_refusal(node.node_id)
        if final is None:
            return passing
        if self.refusal is None:
            self.reason = self.refusal = final
            if self.at_refusal is not None:
                self.at_refusal(final)
        return error

    def _final_refusal(self, node_id: Any) -> Exception | None:
        others = self._others(node_id)
        if not self._accepted:
            refusals = [self._refused[each][1] for each in others if each in self._refused]
            return refusals[0] if refusals and self._failed.issuperset(others) else None
        # Any bootstrap server will do; a broker that leads a partition or a group cannot be replaced by another.
        needed = others if self.cluster.is_bootstrap(node_id) else [node_id]
        latest = [self._refused[each] for each in needed if each in self._refused]
        lasts = all(time.monotonic() - since_s >= REFUSAL_LASTS_S for since_s, _ in latest)
        return latest[0][1] if len(latest) == len(needed) and lasts else None

    def _others(self, node_id: Any) -> list[Any]:
        """The nodes that may be asked instead of this one, and itself."""
        cluster = self.cluster
        nodes = cluster.bootstrap_brokers() if cluster.is_bootstrap(node_id) else cluster.brokers()
        return [node.node_id for node in nodes]
