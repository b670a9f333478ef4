"""How many events the next batch may hold: fewer after a batch that used up much of the time that Kafka allows."""

from __future__ import annotations

import structlog

from worker.settings import Settings

# Of the poll interval or of the transaction timeout. A batch usually takes a hundredth of it. From this share on, a
# batch that takes four times as long as the last one would be lost, and so would every batch after it.
LARGE_SHARE = 0.25

_log = structlog.get_logger()


def next_limit(limit: int, most: int, events: int, share: float) -> int:
    """The limit after a batch of `events` that used up this share of the time it had.

    After a slow batch, half of its size, but at least one event; after each full batch that was far from slow, a tenth
    more, up to `most`.
    """
    if share > LARGE_SHARE:
        return max(1, min(limit, events) // 2)
    if share < LARGE_SHARE / 2 and events >= limit:
        return min(most, limit + max(1, limit // 10))
    return limit


class BatchLimit:
    """WORKER_BATCH_MAX_EVENTS, lowered as long as batches are slow.

    A batch exceeds the poll interval or its transaction timeout once, not again and again: however slow the machine or
    the brokers are, a smaller batch gets through.
    """

    def __init__(self, settings: Settings) -> None:
        self._most = self._limit = settings.worker_batch_max_events
        self._poll_interval_s = settings.worker_max_poll_interval_ms / 1000
        self._transaction_s = settings.worker_transaction_timeout_ms / 1000

    @property
    def events(self) -> int:
        """How many the next batch may hold."""
        return self._limit

    def took(self, events: int, worked_s: float, commit_s: float) -> None:
        """A batch took `worked_s`, of which `commit_s` to commit, whether it succeeded or not."""
        share = max(worked_s / self._poll_interval_s, commit_s / self._transaction_s)
        before, self._limit = self._limit, next_limit(self._limit, self._most, events, share)
        if self._limit < before:
            _log.warning(
                "batch_limit_lowered",
                events=self._limit,
                before=before,
                because=f"{events} events took {worked_s:.1f} s, of which {commit_s:.1f} s to commit",
                poll_interval_s=self._poll_interval_s,
                transaction_timeout_s=self._transaction_s,
            )
        elif before < self._limit == self._most:
            _log.info("batch_limit_restored", events=self._limit)
