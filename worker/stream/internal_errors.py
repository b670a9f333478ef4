"""Failures of the worker or its model on events: each is logged once, and a model that always fails stops it."""

from __future__ import annotations

import traceback
from typing import Final

import structlog

from worker.errors import ExitStatus, StopProcessError
from worker.stream.records import Outcome

# One event must not stop a partition, but a worker that can score nothing must not reject a whole topic.
FAILED_BATCHES_MAX: Final = 3

_log = structlog.get_logger()


class InternalErrorGuard:
    """Stops the worker at the third batch in a row without a result because of errors; that batch is not committed."""

    def __init__(self) -> None:
        self._failed_batches = 0
        self._logged: set[str] = set()

    def require_scoring(self, outcome: Outcome) -> None:
        """Log new errors of an outcome; raise StopProcessError if it is the third in a row without a result.

        That outcome must then not be sent.
        """
        for error in outcome.errors:
            self._log(error)
        if _failed(outcome) and self._failed_batches + 1 >= FAILED_BATCHES_MAX:
            raise StopProcessError(
                f"the worker or its model failed on every event of {FAILED_BATCHES_MAX} batches in a row (the last "
                f"error was {type(outcome.errors[-1]).__name__}); nothing of the last batch was committed: see "
                "internal_error in the log, roll back the model if it is new, and report the traceback as a bug",
                ExitStatus.RESTART,
            )

    def committed(self, outcome: Outcome) -> None:
        """Count a committed batch."""
        if outcome.assigned:
            self._failed_batches = 0
        elif _failed(outcome):
            self._failed_batches += 1

    def _log(self, error: Exception) -> None:
        # Not the text of the error, which may quote a value of the event.
        frames = "".join(traceback.format_tb(error.__traceback__))
        name = type(error).__name__
        if (key := f"{name}\n{frames}") not in self._logged:
            self._logged.add(key)
            _log.error("internal_error", error=name, traceback=frames)


def _failed(outcome: Outcome) -> bool:
    """Whether it failed on events and scored none; invalid events do not count."""
    return bool(outcome.errors) and not outcome.assigned
