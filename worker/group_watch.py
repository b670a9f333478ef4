"""Other programs in the group of a running worker: the events in their partitions get no outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from worker.cluster_rules import foreign_members
from worker.kafka.admin import Cluster, ListenerProbe
from worker.kafka.facts import GroupFacts
from worker.operations.metrics import Metrics
from worker.settings import Settings
from worker.stream.records import Membership

_CHECK_EVERY_S: Final = 2.0
_CONNECT_S: Final = 2.0
_CLOSE_S: Final = 1.0

_log = structlog.get_logger()


class GroupWatch:
    """Asks the coordinator for the members of the group, on its own thread, whenever this worker's generation changes.

    A member that joins or leaves starts a rebalance, and every rebalance changes the generation, in both group
    protocols; a stable group costs nothing. The assignor could not do this: the leader sees neither client ids nor
    hosts, and a group with the consumer group protocol (KIP-848) has no leader.
    """

    def __init__(
        self,
        settings: Settings,
        connection: Mapping[str, Any],
        membership: Callable[[], Membership | None],
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._membership = membership
        self._metrics = metrics
        self._described_under: Membership | None = None
        self._foreign: tuple[str, ...] = ()
        self._failing = False
        self._probe = ListenerProbe(settings)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="group", daemon=True)

    def start(self) -> None:
        """Start to watch."""
        self._thread.start()

    def close(self) -> None:
        """Stop; a request that still waits for a broker is left behind."""
        self._closed.set()
        self._thread.join(_CLOSE_S)
        # Once it has left the group, this worker no longer knows the members.
        self._metrics.group_described(0)

    def _watch(self) -> None:
        while not self._closed.wait(_CHECK_EVERY_S):
            # Read first: after a rebalance during the request, the next turn asks again.
            membership = self._membership()
            if membership is not None and membership != self._described_under and self._describe():
                self._described_under = membership

    def _describe(self) -> bool:
        try:
            with Cluster(self._settings, self._connection, _CONNECT_S, self._probe) as cluster:
                group = cluster.group()
        except Exception as error:  # noqa: BLE001  # whatever it was, the next request may succeed
            if not self._failing:
                _log.warning("group_not_described", group=self._settings.worker_group_id, because=str(error))
            self._failing = True
            return False
        self._failing = False
        if not isinstance(group, GroupFacts):
            return False  # its coordinator is moving
        self._report(foreign_members(group, self._settings.client_id))
        return True

    def _report(self, foreign: tuple[str, ...]) -> None:
        self._metrics.group_described(len(foreign))
        if foreign == self._foreign:
            return
        if foreign:
            _log.error("foreign_members", group=self._settings.worker_group_id, members=foreign)
        else:
            _log.info("foreign_members_left", group=self._settings.worker_group_id)
        self._foreign = foreign
