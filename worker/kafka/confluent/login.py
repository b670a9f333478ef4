"""Why librdkafka cannot connect or log in: it only says that it could not, so kafka-python is asked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import confluent_kafka
import structlog

from worker.errors import BrokersUnreachable, StopProcessError
from worker.kafka.admin import Cluster
from worker.kafka.client import CONNECT_MS, REFUSAL_LASTS_S
from worker.settings import Settings

_REFUSALS: Final = frozenset({"_AUTHENTICATION", "_SSL", "_ALL_BROKERS_DOWN"})

_log = structlog.get_logger()


class LoginWatch:
    """Connects once with kafka-python, as at the start, when librdkafka has reported refusals for a while."""

    def __init__(self, settings: Settings, connection: Mapping[str, Any]) -> None:
        self._settings = settings
        self._connection = connection
        self._refused_since_s: float | None = None

    def note(self, error: confluent_kafka.KafkaError) -> None:
        """Librdkafka reported an error of a whole client; called while it polls."""
        if error.name() in _REFUSALS and self._refused_since_s is None:
            self._refused_since_s = time.monotonic()

    def require(self) -> None:
        """Raise StopProcessError when the brokers refuse this worker, and waiting cannot fix it."""
        since_s = self._refused_since_s
        if since_s is None or time.monotonic() - since_s < REFUSAL_LASTS_S:
            return
        self._refused_since_s = None
        try:
            Cluster(self._settings, self._connection, CONNECT_MS / 1000).__exit__(None, None, None)
        except StopProcessError:
            raise
        except BrokersUnreachable as error:
            _log.warning("brokers_unreachable", because=str(error))
