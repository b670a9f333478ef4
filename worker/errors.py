"""What can go wrong while the worker runs, and what the process then does."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """What the process tells whoever started it."""

    DONE = 0
    """Finished, or drained after SIGTERM or SIGINT."""
    RESTART = 1
    """Failed at run time; starting it again is the remedy."""
    ACT_FIRST = 2
    """A person must change something first."""
    REJECT_LIMIT = 3
    """Too large a share of the events was rejected."""
    INTERRUPTED = 130
    """Ctrl-C pressed twice."""


class WorkerError(Exception):
    """The worker cannot go on as it was."""


class RetryBatchError(WorkerError):
    """Nothing of the batch was committed: rewind, wait, and poll again."""


class StopProcessError(WorkerError):
    """The process must end; the message says what, where and what to do, in one line."""

    def __init__(self, message: str, exit_status: ExitStatus) -> None:
        super().__init__(message)
        self.exit_status = exit_status
