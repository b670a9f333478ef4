"""kafka-python's log lines: one when something begins to fail, one when it is over."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from structlog.typing import FilteringBoundLogger

QUIET_S: Final = 10.0
"""A failure that has not been logged for this long is over: a client that cannot connect logs several lines per
second."""

# By logger: what fails, in the order in which the names are tried.
_AREAS: Final = {
    "kafka.net": "connection",
    "kafka.cluster": "connection",
    "kafka.coordinator": "group",
    "kafka.consumer": "consumer",
    "kafka.producer": "producer",
}
# The client logs these as warnings or errors, but they are normal: it asks again for offsets of a transaction that is
# still open, or the machine is busy.
_NOT_A_FAILURE: Final = ("UnstableOffsetCommitError", "blocking the event loop")


@dataclass(slots=True)
class _Failing:
    """A failing area: since when, when it was logged last, and how often."""

    since_s: float
    last_s: float
    lines: int = 1


class ClientLog(logging.Handler):
    """Logs the first line of each failing area of kafka-python, counts the others, and reports when the area is quiet.

    All of them are warnings: the worker decides what is an error.
    """

    def __init__(
        self, log: FilteringBoundLogger, quiet_s: float = QUIET_S, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._quiet_s = quiet_s
        self._clock_s = clock_s
        self._failing: dict[str, _Failing] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write or count one line; called with the handler's lock held."""
        message = record.getMessage()
        if any(each in message for each in _NOT_A_FAILURE):
            self._log.debug("kafka_client", logger=record.name, message=message)
            return
        area = next((area for name, area in _AREAS.items() if record.name.startswith(name)), record.name)
        now_s = self._clock_s()
        if (failing := self._failing.get(area)) is not None:
            failing.last_s, failing.lines = now_s, failing.lines + 1
            return
        error = record.exc_info[1] if record.exc_info else None
        self._log.warning("kafka_client", area=area, logger=record.name, message=message, exc_info=error)
        if not self._failing:
            self._look_later()
        self._failing[area] = _Failing(now_s, now_s)

    def log_recovered(self) -> None:
        """Write a line about each area that has been quiet for long enough; a single line needs no second one."""
        self.acquire()
        try:
            now_s = self._clock_s()
            for area, failing in list(self._failing.items()):
                if now_s - failing.last_s < self._quiet_s:
                    continue
                del self._failing[area]
                if failing.lines > 1:
                    failed_s = round(failing.last_s - failing.since_s, 1)
                    self._log.info("kafka_client_quiet", area=area, lines=failing.lines, failed_s=failed_s)
            if self._failing:
                self._look_later()
        finally:
            self.release()

    def _look_later(self) -> None:
        timer = threading.Timer(self._quiet_s, self.log_recovered)
        timer.daemon = True
        timer.start()
