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

from worker.kafka.errors import tls_refusal

# Shorter than a drain may take, so that a stop while waiting for a broker still ends well.
CONNECT_MS = 3_000
# A certificate or a credential is replaced in less, and a broker or an identity provider is back.
REFUSAL_LASTS_S = 15.0

_REFUSALS = (SaslAuthenticationFailedError, UnsupportedSaslMechanismError, IllegalSaslStateError)


def connected(client: Callable[..., Any], **arguments: Any) -> Any:
    """The client, connected to the cluster; it never creates a topic.

    Raises KafkaError when no broker answered within `bootstrap_timeout_ms`, and at once when all were asked and some
    refuse to sign this worker in or are not to be trusted; the error is the reason of the last attempt rather than
    kafka-python's timeout. The connections and thread of a failed attempt are gone then. Of a refusal later on that
    lasts a producer's calls raise the reason; of other clients `refusal_of` tells it.
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

    One server of several, or one for a moment, is no reason to give up. Until a broker lets this client in, a refusal
    counts when all that can be asked were asked and none did; afterwards, when it lasts.
    """

    reason: Exception | None = None
    """Of the last connection that failed; a refusal that counts stays."""
    refusal: Exception | None = None
    """The first that counts."""
    at_refusal: Callable[[Exception], None] | None = None
    """Told of it."""

    def __init__(self, net: Any, **settings: Any) -> None:
        super().__init__(net, **settings)
        self._let_in = False
        # Nodes, since their last connection that succeeded.
        self._failed: set[Any] = set()
        self._refused: dict[Any, tuple[float, Exception]] = {}

    async def _connect(self, node: Any, conn: Any, **options: Any) -> None:
        lost = conn.connection_lost
        conn.connection_lost = lambda error: lost(self._judged(node, conn, error))
        await super()._connect(node, conn, **options)
        if conn.connected:
            self._note_success(node.node_id)
        elif self.refusal is not None and not self._let_in and not self.bootstrapped:
            # What ends the attempt to bootstrap; not before, because kafka-python clears it itself.
            self._auth_failures |= dict.fromkeys(self._others(node.node_id), self.refusal)

    def _note_success(self, node_id: Any) -> None:
        bootstrap = self.cluster.is_bootstrap(node_id)
        for each in self._others(node_id) if bootstrap else [node_id]:
            self._failed.discard(each)
            self._refused.pop(each, None)
        self._let_in = self._let_in or not bootstrap

    def _judged(self, node: Any, conn: Any, error: Exception | None) -> Exception | None:
        """The error to hand on: one after which kafka-python tries again, unless it is a refusal that counts."""
        if error is None or conn.closed or self.closed:
            return error
        refusal = tls_refusal(error, f"{node.host}:{node.port}") or (error if isinstance(error, _REFUSALS) else None)
        passing = KafkaConnectionError(*error.args) if isinstance(error, _REFUSALS) else error
        # That time is up says nothing.
        says_nothing = isinstance(error, KafkaTimeoutError) and self.reason is not None
        if self.refusal is None and not says_nothing:
            self.reason = passing
        self._failed.add(node.node_id)
        if refusal is not None:
            self._refused.setdefault(node.node_id, (time.monotonic(), refusal))
        counts = self._counts(node.node_id)
        if counts is None:
            return passing
        if self.refusal is None:
            self.reason = self.refusal = counts
            if self.at_refusal is not None:
                self.at_refusal(counts)
        return error

    def _counts(self, node_id: Any) -> Exception | None:
        others = self._others(node_id)
        if not self._let_in:
            refusals = [self._refused[each][1] for each in others if each in self._refused]
            return refusals[0] if refusals and self._failed.issuperset(others) else None
        # Any server of the bootstrap will do; a broker that has a partition or a group, no other one replaces.
        needed = others if self.cluster.is_bootstrap(node_id) else [node_id]
        latest = [self._refused[each] for each in needed if each in self._refused]
        lasts = all(time.monotonic() - since_s >= REFUSAL_LASTS_S for since_s, _ in latest)
        return latest[0][1] if len(latest) == len(needed) and lasts else None

    def _others(self, node_id: Any) -> list[Any]:
        """The nodes that may be asked in this one's place, and itself."""
        cluster = self.cluster
        nodes = cluster.bootstrap_brokers() if cluster.is_bootstrap(node_id) else cluster.brokers()
        return [node.node_id for node in nodes]
