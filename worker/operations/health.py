"""Whether the worker is alive and ready: judged from what the brokers say of its progress."""

from __future__ import annotations

import faulthandler
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog

from worker.stream.ports import PartitionProgress, StopSignal

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Standstill:
    """A partition with lag, and since when its position has been where it is."""

    position: int | None
    """None: not even known, although the partition holds something."""
    since_s: float


@dataclass(frozen=True, slots=True)
class Health:
    """One answer to a probe, with the reason for people."""

    healthy: bool
    reason: str


Watch = Mapping[tuple[str, int], Standstill]


def watched(before: Watch, progress: Iterable[PartitionProgress], now_s: float) -> Watch:
    """Which partitions stand still with lag, and since when, after one more look at them.

    A partition that moved, has no lag or left begins anew. So does one whose broker did not answer: its standstill
    is not the worker's, and a worker gets the whole window again after an outage.
    """
    after: dict[tuple[str, int], Standstill] = {}
    for each in progress:
        if not (each.last_stable_offset if each.position is None else each.lag):
            continue
        place = (each.topic, each.partition)
        standing = before.get(place)
        if standing is None or standing.position != each.position:
            standing = Standstill(each.position, now_s)
        after[place] = standing
    return after


def liveness(watch: Watch, now_s: float, window_s: float) -> Health:
    """Unhealthy when a partition with lag has stood still for the whole window; without partitions, healthy."""
    stalled = [
        f"{topic}/{partition} at offset {_told(standing.position)} for {now_s - standing.since_s:.0f} s"
        for (topic, partition), standing in sorted(watch.items())
        if now_s - standing.since_s >= window_s
    ]
    if stalled:
        return Health(healthy=False, reason=f"no progress although there is lag: {', '.join(stalled)}")
    return Health(healthy=True, reason="every partition with lag moves, or the brokers do not answer")


def _told(position: int | None) -> str:
    return "unknown" if position is None else str(position)


class HealthWatch:
    """Asks for the partitions' progress at intervals, on a thread of its own, and answers probes from any thread.

    A probe never waits for a broker. A stall is told in the log once, with the stacks of all threads: whoever restarts
    what is not alive takes with it the only trace of what it waited for.
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
        self._stall_told = False
        self._watch: Watch = {}
        self._not_ready_because: str | None = "starting"
        self._joined: Callable[[], bool] = lambda: False
        self._held = threading.Event()

    def running(self, progress: Callable[[], tuple[PartitionProgress, ...]], joined: Callable[[], bool]) -> None:
        """Watched from now on, and ready as soon as `joined` says so."""
        self._joined = joined
        self._not_ready_because = None
        threading.Thread(target=self._sample, args=[progress], name="health", daemon=True).start()

    def not_ready(self, reason: str) -> None:
        """Not ready for this reason, and alive whatever the brokers say: there is nothing more to be expected."""
        self._held.set()
        self._not_ready_because = reason
        self._watch = {}

    def live(self) -> Health:
        """What /livez says."""
        if self._held.is_set():
            return Health(healthy=True, reason="held")
        return liveness(self._watch, self._clock_s(), self._window_s)

    def ready(self) -> Health:
        """What /readyz says."""
        if (reason := self._not_ready_because) is not None:
            return Health(healthy=False, reason=reason)
        if self._stop.is_set():
            return Health(healthy=False, reason="draining")
        if not self._joined():
            return Health(healthy=False, reason="joining the consumer group")
        return Health(healthy=True, reason="model loaded, consumer group joined")

    def _sample(self, progress: Callable[[], tuple[PartitionProgress, ...]]) -> None:
        # Four looks in a window, so that a stall is found at most a quarter late.
        while not self._held.wait(min(self._window_s / 4, 5.0)):
            partitions = progress()
            self._sampled(partitions)
            self._watch = watched(self._watch, partitions, self._clock_s())
            self._tell_stall()
        # Whoever left the group has no partitions, and the last figures would stand for ever.
        self._sampled(())

    def _tell_stall(self) -> None:
        live = self.live()
        if not live.healthy and not self._stall_told:
            _log.error("stalled", reason=live.reason, next="/livez answers 503; the stacks of all threads follow")
            self._show_stacks()
        self._stall_told = not live.healthy
