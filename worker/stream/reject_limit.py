"""The reject limit: when so many events are rejected that upstream must be broken, the worker stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from schemas.rejected import RejectReason
from worker.errors import ExitStatus, StopProcessError
from worker.settings import Settings
from worker.stream.records import Outcome, Verdict, Verdicts

# A share of fewer events than this means nothing.
RATIO_COUNTS_FROM: Final = 100

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RejectLimit:
    """How many rejected events are too many; None means that there is no limit."""

    ratio: float | None
    """This share of the last `window` events, or more."""
    window: int
    consecutive: int | None
    """This many in a row, or more."""

    @property
    def remembers(self) -> int:
        """How many of the last events decide; 0 when there is no limit."""
        return max(self.window if self.ratio is not None else 0, self.consecutive or 0)


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that was reached: how many events were counted, and why they were rejected."""

    setting: str
    limit: float
    events: int
    reasons: Counter[RejectReason]


def reject_limit(settings: Settings) -> RejectLimit:
    """The limit that is set."""
    return RejectLimit(
        settings.worker_reject_limit_ratio,
        settings.worker_reject_limit_window,
        settings.worker_reject_limit_consecutive,
    )


def reached(limit: RejectLimit, before: Verdicts, verdicts: Verdicts) -> Breach | None:
    """The limit that these events reach after those before them, if they do.

    Both in the order in which the worker read the events, without ignored records, which count for no share; the last
    `remembers` of `before` suffice. The share counts from 100 events on, or a whole window of fewer.
    """
    line = (*before, *verdicts)
    in_window = sum(map(_is_rejected, before[-limit.window :]))
    in_a_row = next((n for n, verdict in enumerate(reversed(before)) if not _is_rejected(verdict)), len(before))
    for index in range(len(before), len(line)):
        if index >= limit.window and _is_rejected(line[index - limit.window]):
            in_window -= 1
        if not _is_rejected(line[index]):
            in_a_row = 0
            continue
        in_window += 1
        in_a_row += 1
        if limit.consecutive is not None and in_a_row >= limit.consecutive:
            return _breach("CONSECUTIVE", limit.consecutive, line[index + 1 - in_a_row : index + 1])
        events = min(index + 1, limit.window)
        if (
            limit.ratio is not None
            and events >= min(RATIO_COUNTS_FROM, limit.window)
            and in_window / events >= limit.ratio
        ):
            return _breach("RATIO", limit.ratio, line[index + 1 - events : index + 1])
    return None


def _is_rejected(verdict: Verdict | RejectReason) -> bool:
    return isinstance(verdict, RejectReason)


def _events(outcome: Outcome) -> Verdicts:
    """The verdicts on records that are events."""
    if not outcome.ignored:
        return outcome.verdicts
    return tuple(verdict for verdict in outcome.verdicts if verdict is not Verdict.IGNORED)


def _breach(name: str, limit: float, counted: Verdicts) -> Breach:
    reasons = Counter(verdict for verdict in counted if isinstance(verdict, RejectReason))
    return Breach(f"WORKER_REJECT_LIMIT_{name}", limit, len(counted), reasons)


def limit_warnings(settings: Settings) -> tuple[str, ...]:
    """Warnings about settings that are allowed but probably not intended, one line each."""
    limit = reject_limit(settings)
    lines = []
    if limit.ratio is None and "worker_reject_limit_window" in settings.model_fields_set:
        lines.append("WORKER_REJECT_LIMIT_WINDOW has no effect without WORKER_REJECT_LIMIT_RATIO; set that too")
    if limit.consecutive == 1:
        lines.append("WORKER_REJECT_LIMIT_CONSECUTIVE is 1: the first rejected event stops the worker; raise it")
    fewest = min(RATIO_COUNTS_FROM, limit.window)
    if limit.ratio is not None and limit.ratio * fewest <= 1:
        lines.append(
            f"WORKER_REJECT_LIMIT_RATIO is {limit.ratio:g}: one rejected event of {fewest} stops the worker; raise it"
        )
    return tuple(lines)


class RejectGuard:
    """Stops the worker before it commits the batch that reaches the limit; a batch counts once it is committed."""

    def __init__(self, limit: RejectLimit, at_limit: Callable[[], None]) -> None:
        self._limit = limit
        self._at_limit = at_limit
        self._before: Verdicts = ()

    def require_below(self, outcome: Outcome) -> None:
        """Raise StopProcessError if this outcome reaches the limit and must not be sent."""
        if not self._limit.remembers or not outcome.rejected:
            return
        breach = reached(self._limit, self._before, _events(outcome))
        if breach is None:
            return
        self._at_limit()
        rejected = breach.reasons.total()
        _log.error("reject_limit_reached", setting=breach.setting, rejected=rejected, events=breach.events)
        raise StopProcessError(_message(breach), ExitStatus.REJECT_LIMIT)

    def committed(self, outcome: Outcome) -> None:
        """Remember a batch that was committed."""
        if self._limit.remembers:
            self._before = (*self._before, *_events(outcome))[-self._limit.remembers :]


def _message(breach: Breach) -> str:
    return (
        f"stopped by the reject limit: {breach.reasons.total()} of the last {breach.events} events would be rejected "
        f"({_counted(breach.reasons.most_common())}), and {breach.setting} is {breach.limit:g}; nothing of this batch "
        "was committed; see what upstream sends, then restart (counting starts again), or raise or remove the "
        "limit"
    )


def _counted(reasons: Sequence[tuple[RejectReason, int]]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in reasons)
