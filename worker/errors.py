"""The worker's errors, and the exit status of each."""

from __future__ import annotations

from enum import IntEnum

from models.errors import ModelError
from schemas.errors import ProfileClassError


class ExitStatus(IntEnum):
    """The exit status of the process."""

    DONE = 0
    """Finished, or drained after SIGTERM or SIGINT."""
    RESTART = 1
    """Failed at run time; a restart can help."""
    ACT_FIRST = 2
    """A human must change something first; a restart does not help."""
    REJECT_LIMIT = 3
    """Too large a share of the events was rejected."""
    INTERRUPTED = 130
    """Ctrl-C pressed twice."""


class WorkerError(Exception):
    """The worker cannot continue; `exit_status` is that of the process."""

    exit_status: ExitStatus = ExitStatus.ACT_FIRST

    @property
    def lines(self) -> tuple[str, ...]:
        """What, where and what to do: one line per problem."""
        return (str(self),)


class SettingsError(WorkerError):
    """Settings are missing, wrong or contradict each other: one line each in `problems`, their names in `fields`."""

    def __init__(self, problems: tuple[str, ...], fields: frozenset[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.fields = fields

    @property
    def lines(self) -> tuple[str, ...]:
        """The problems."""
        return self.problems


class PortUnusable(WorkerError):
    """The HTTP server cannot listen on its address."""


class UnsupportedClientError(WorkerError):
    """The installed Kafka client is not one that this worker was written for; the message says which to install."""


class BrokersUnreachable(WorkerError):
    """No broker answered in time; the message names the servers and the reason."""

    exit_status = ExitStatus.RESTART


class TopicNotCreated(WorkerError):
    """The cluster did not create a topic; the message says why and what to do."""


class ClusterUnusable(WorkerError):
    """The cluster does not meet the worker's needs: one line each in `problems`."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

    @property
    def lines(self) -> tuple[str, ...]:
        """The problems."""
        return self.problems


class RetryBatchError(WorkerError):
    """Nothing of the batch was committed: rewind, wait, and poll again."""

    exit_status = ExitStatus.RESTART


class ProducerFenced(RetryBatchError):
    """Another producer took over the transactional id in the middle of a transaction."""


class StopProcessError(WorkerError):
    """The process must end; the message says what, where and what to do, in one line."""

    def __init__(self, message: str, exit_status: ExitStatus) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def ending(error: Exception) -> tuple[ExitStatus, tuple[str, ...]]:
    """The status to exit with and the lines to print; an unexpected error is logged with its traceback."""
    if isinstance(error, WorkerError):
        return error.exit_status, error.lines
    if isinstance(error, ModelError | ProfileClassError):
        return ExitStatus.ACT_FIRST, (str(error),)
    import structlog  # noqa: PLC0415  # --help imports this module, and needs no log

    structlog.get_logger().error("unexpected_error", exc_info=error)
    bug = (
        f"unexpected {type(error).__name__} (this is a bug: please report it with the log); no partial commit was "
        "made, a restart continues at the committed offset"
    )
    return ExitStatus.RESTART, (bug,)


def is_temporary(status: int) -> bool:
    """Whether an HTTP status may pass: a server's own error, or request timeout, too early, too many requests."""
    return status >= 500 or status in {408, 425, 429}
