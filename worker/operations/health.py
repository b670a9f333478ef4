"""Whether the worker is alive and ready: judged from the turns of its loop, and from its partitions' progress."""

from __future__ import annotations

import faulthandler
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from worker.stream.ports import PartitionProgress, StopSignal

NOT_READY_AFTER_S: Final = 10.0
"""Retries for longer than this are not the short ones of a rebalance or of a new leader."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Standstill:
    """A partition with lag whose position has not changed since then."""

    position: int | None
    """None: unknown, although the partition holds records."""
    since_s: float


@dataclass(frozen=True, slots=True)
class Turn:
    """The loop's last turn: a poll that returned, a committed batch, or a retry."""

    at_s: float
    retried_at_s: float | None = None
    """When the last retry was, even if turns succeeded after it."""
    failing_since_s: float | None = None
    """When the first of the current retries was; None: the last turn succeeded."""
    error: str = ""
    """The error of the last retry."""

    def succeeded(self, now_s: float) -> Turn:
        """The turn after this one succeeded."""
        return Turn(now_s, self.retried_at_s)

    def retried(self, now_s: float, error: str) -> Turn:
        """The turn after this one failed, and is retried."""
        return Turn(now_s, now_s, now_s if self.failing_since_s is None else self.failing_since_s, error)


@dataclass(frozen=True, slots=True)
class Health:
    """One answer to a probe, with the reason for people."""

    healthy: bool
    reason: str


Watch = Mapping[tuple[str, int], Standstill]


def watched(before: Watch, progress: Iterable[PartitionProgress], now_s: float) -> Watch:
    """Which partitions with lag have not moved, and since when, given the progress now.

    A partition that moved, has no lag or was revoked starts over. So does one whose broker did not answer: after an
    outage a worker gets the whole window again.
    """
    after: dict[tuple[str, int], Standstill] = {}
    for each in progress:
        if not (each.last_stable_offset if each.position is None else each.lag):
            continue
        partition = (each.topic, each.partition)
        standing = before.get(partition)
        if standing is None or standing.position != each.position:
            standing = Standstill(each.position, now_s)
        after[partition] = standing
    return after


def liveness(turn: Turn, watch: Watch, now_s: float, window_s: float) -> Health:
    """Unhealthy only if a restart can help: the loop hangs, or reports success without progress.

    Retries are reported (log, metric, alert) but never call for a restart, however many there are: an outage of the
    brokers would otherwise restart every worker, and no restart would end it.
    """
    if (idle_s := now_s - turn.at_s) >= window_s:
        return Health(healthy=False, reason=f"the loop made no turn for {idle_s:.0f} s")
    succeeding_since_s = turn.retried_at_s if turn.retried_at_s is not None else float("-inf")
    stalled = [
        f"{topic}/{number} at offset {_shown(standing.position)} for {still_s:.0f} s"
        for (topic, number), standing in sorted(watch.items())
        if (still_s := now_s - max(standing.since_s, succeeding_since_s)) >= window_s
    ]
    if stalled:
        return Health(healthy=False, reason=f"no progress although there is lag: {', '.join(stalled)}")
    return Health(healthy=True, reason="the loop runs")


def _shown(position: int | None) -> str:
    return "unknown" if position is None else str(position)


class HealthWatch:
    """Follows the loop's turns, asks for the partitions' progress on a thread of its own, and answers probes.

    A probe never waits for a broker. When /livez starts to fail, the log says so once, with the stacks of all threads:
    a restart would destroy the only trace of what the worker was waiting for.
    """

    def __init__(
        self,
        window_s: float,
        stop: StopSignal,
        sampled: Callable[[tuple[PartitionProgress, ...]], None],
        clock_s: Callable[[], float] = time.monotonic,
        show_stacks: Callable[[], None] = faulthandler.dump_traceback,
    ) -> None:
        self._window_s = window_s
        self._stop = stop
        self._sampled = sampled
        self._clock_s = clock_s
        self._show_stacks = show_stacks
        self._stall_logged = False
        # Swapped whole: the loop's thread writes it, probes read it.
        self._turn = Turn(clock_s())
        self._watch: Watch = {}
        self._not_ready_because: str | None = "starting"
        self._joined: Callable[[], bool] = lambda: False
        self._running = False
        self._held = threading.Event()

    def running(self, progress: Callable[[], tuple[PartitionProgress, ...]], joined: Callable[[], bool]) -> None:
        """Watch the loop from now on; ready as soon as `joined` says so."""
        self._joined = joined
        self._turn = Turn(self._clock_s())
        self._running = True
        self._not_ready_because = None
        threading.Thread(target=self._sample, args=[progress], name="health", daemon=True).start()

    def turned(self) -> None:
        """A turn of the loop succeeded, with or without records."""
        self._turn = self._turn.succeeded(self._clock_s())

    def retrying(self, error: str) -> None:
        """A turn of the loop failed, is reported, and will be repeated."""
        self._turn = self._turn.retried(self._clock_s(), error)

    def not_ready(self, reason: str) -> None:
        """Not ready for this reason, but alive: the loop has ended, and a human has to act."""
        self._held.set()
        self._not_ready_because = reason
        self._watch = {}

    def live(self) -> Health:
        """The answer of /livez."""
        if self._held.is_set():
            return Health(healthy=True, reason="held")
        if not self._running:
            return Health(healthy=True, reason="starting")
        return liveness(self._turn, self._watch, self._clock_s(), self._window_s)

    def ready(self) -> Health:
        """The answer of /readyz."""
        if (reason := self._not_ready_because) is not None:
            return Health(healthy=False, reason=reason)
        if self._stop.is_set():
            return Health(healthy=False, reason="draining")
        if not self._joined():
            return Health(healthy=False, reason="joining the consumer group")
        turn = self._turn
        if turn.failing_since_s is not None and (for_s := self._clock_s() - turn.failing_since_s) >= NOT_READY_AFTER_S:
            return Health(healthy=False, reason=f"retrying for {for_s:.0f} s: {turn.error}")
        return Health(healthy=True, reason="model loaded, consumer group joined")

    def _sample(self, progress: Callable[[], tuple[PartitionProgress, ...]]) -> None:
        # Four times per window, so that a stall is found at most a quarter late.
        while not self._held.wait(min(self._window_s / 4, 5.0)):
            partitions = progress()
            self._sampled(partitions)
            self._watch = watched(self._watch, partitions, self._clock_s())
            self._log_stall()
        # A worker that left the group has no partitions, and their last figures would stay forever.
        self._sampled(())

    def _log_stall(self) -> None:
        live = self.live()
        if not live.healthy and not self._stall_logged:
            _log.error("stalled", reason=live.reason, next="/livez answers 503; the stacks of all threads follow")
            self._show_stacks()
        self._stall_logged = not live.healthy
