"""Failures of the worker or its model on events: each is logged once, and a model that always fails stops it."""

from __future__ import annotations

import traceback
from typing import Final

import structlog

from worker.errors import ExitStatus, StopProcessError
from worker.stream.records import Outcome

# One event must not stop a partition, and a worker that can score nothing must not reject a whole topic.
FAILED_BATCHES_MAX: Final = 3

_log = structlog.get_logger()


class InternalErrorGuard:
    """Stops the worker before the third batch in a row that it cannot score; a batch counts once it is committed."""

    def __init__(self) -> None:
        self._failed_batches = 0
        self._logged: set[str] = set()

    def require_scoring(self, outcome: Outcome) -> None:
        """Log what is new among the errors of an outcome; raise StopProcessError when it is the third without a result.

        Nothing of that outcome is to be sent.
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
        """Remember whether a batch that was committed was scored."""
        if outcome.results:
            self._failed_batches = 0
        elif _failed(outcome):
            self._failed_batches += 1

    def _log(self, error: Exception) -> None:
        # Without the text of the error, which may quote a value of the event.
        frames = "".join(traceback.format_tb(error.__traceback__))
        name = type(error).__name__
        if (key := f"{name}\n{frames}") not in self._logged:
            self._logged.add(key)
            _log.error("internal_error", error=name, traceback=frames)


def _failed(outcome: Outcome) -> bool:
    """Whether it failed on events and scored none; what upstream sent wrong says nothing."""
    return bool(outcome.errors) and not outcome.results
