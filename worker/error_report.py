"""How a command ends after an error: the exit status, and the lines that say what, where and what to do."""

from __future__ import annotations

import structlog

from models.errors import ModelError
from schemas.errors import ProfileClassError
from worker.errors import (
    BrokersUnreachable,
    ClusterUnusable,
    ExitStatus,
    PortUnusable,
    SettingsError,
    StopProcessError,
    TopicNotCreated,
)

_log = structlog.get_logger()


def told(error: Exception) -> tuple[ExitStatus, tuple[str, ...]]:
    """The status to exit with, and the lines to print; one that nobody thought of is logged with its stack."""
    match error:
        case StopProcessError():
            return error.exit_status, (str(error),)
        case SettingsError() | ClusterUnusable():
            return ExitStatus.ACT_FIRST, error.problems
        case ModelError() | ProfileClassError() | PortUnusable() | TopicNotCreated():
            return ExitStatus.ACT_FIRST, (str(error),)
        case BrokersUnreachable():
            return ExitStatus.RESTART, (str(error),)
    _log.error("unexpected_error", exc_info=error)
    defect = (
        f"unexpected {type(error).__name__}, a defect of this program: report it with the log; "
        "nothing was committed by halves, a restart continues at the committed offset"
    )
    return ExitStatus.RESTART, (defect,)
