"""SIGTERM and Ctrl-C: the first asks the worker to finish what it has in hand, the second Ctrl-C ends it."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from worker.errors import ExitStatus


class StopSignals:
    """Set by SIGTERM and SIGINT from the moment it is made, which only the main thread may do."""

    def __init__(self) -> None:
        self._stopped = False
        self._interrupted = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._interrupt)

    def is_set(self) -> bool:
        """Whether the worker should end."""
        return self._stopped

    # No logging in here: the signal may have come while this very thread holds the log's lock.

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopped = True

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self._interrupted:
            # Nothing is cleaned up on purpose: the transaction in hand times out, its offsets stay uncommitted.
            os._exit(ExitStatus.INTERRUPTED)
        self._stopped = self._interrupted = True
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), b"\nfinishing the batch in hand; Ctrl-C again ends at once\n")
