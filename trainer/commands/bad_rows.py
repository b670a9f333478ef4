"""The rows of a history that are not valid profiles: refused, or left out because the user said so."""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path

from trainer.errors import HistoryError
from trainer.history.bad_rows import refuse_bad_rows
from trainer.history.history import History


class BadRows(Enum):
    """What to do with bad rows."""

    REFUSE = auto()
    SKIP = auto()


def require_rows(path: Path, history: History, bad_rows: BadRows) -> None:
    """Raise HistoryError for a bad row that may not be skipped, or if all rows are bad."""
    if bad_rows is BadRows.REFUSE:
        refuse_bad_rows(path, history.bad_rows, "correct them, or leave them out with --skip-bad-rows")
    if history.rows == 0:
        first = history.bad_rows.first[0]
        raise HistoryError(
            f"{path} has no row that can be used: the first problem is {history.bad_rows.before_number} "
            f"{first.number}, {first.problem}"
        )
