"""What the loop reports becomes metrics, health, and a line in the log now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from worker.errors import RetryBatchError
from worker.operations.health import HealthWatch
from worker.operations.metrics import Metrics
from worker.stream.ports import Timings
from worker.stream.records import Batch, Outcome

SUMMARY_EVERY_S: Final = 10.0

_log = structlog.get_logger()


@dataclass(slots=True)
class _Since:
    """What was committed since the last summary."""

    batches: int = 0
    assigned: int = 0
    erased: int = 0
    rejected: int = 0
    ignored: int = 0


class LoopObserver:
    """Counts each batch after its commit, logs it at debug level, and logs a summary every 10 s if there was any."""

    def __init__(
        self,
        metrics: Metrics,
        health: HealthWatch,
        also_committed: Callable[[Outcome], None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`also_committed` is called with each outcome that was committed."""
        self._metrics = metrics
        self._health = health
        self._also_committed = also_committed
        self._clock_s = clock_s
        self._since = _Since()
        self._summed_up_at_s = clock_s()

    def turned(self) -> None:
        """One turn succeeded."""
        self._health.turned()
        now_s = self._clock_s()
        if now_s - self._summed_up_at_s >= SUMMARY_EVERY_S:
            self.sum_up()

    def sum_up(self) -> None:
        """Log what was committed since the last summary, if anything was."""
        now_s, since = self._clock_s(), self._since
        if since.batches:
            seconds = now_s - self._summed_up_at_s
            _log.info(
                "events_committed",
                assigned=since.assigned,
                erased=since.erased,
                rejected=since.rejected,
                ignored=since.ignored,
                batches=since.batches,
                events_per_second=round((since.assigned + since.erased + since.rejected) / max(seconds, 0.001), 1),
            )
        self._since, self._summed_up_at_s = _Since(), now_s

    def committed(self, batch: Batch, outcome: Outcome, timings: Timings) -> None:
        """A batch was committed."""
        self._metrics.batch_committed(batch, outcome, timings.process_s, timings.commit_s)
        self._also_committed(outcome)
        self._since.batches += 1
        self._since.assigned += outcome.assigned
        self._since.erased += len(outcome.erasures)
        self._since.rejected += len(outcome.rejected)
        self._since.ignored += outcome.ignored
        _log.debug(
            "batch_committed",
            events=len(batch.records),
            assigned=outcome.assigned,
            erased=len(outcome.erasures),
            rejected=len(outcome.rejected),
            ignored=outcome.ignored,
            process_ms=round(timings.process_s * 1000, 1),
            commit_ms=round(timings.commit_s * 1000, 1),
        )

    def retrying(self, error: RetryBatchError, delay_s: float) -> None:
        """Nothing was committed; the same records are read again."""
        self._metrics.batch_retried()
        self._health.retrying(str(error))
        _log.warning("batch_retried", because=str(error), delay_s=round(delay_s, 2))
