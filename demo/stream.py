"""Sends events and reads outcomes, in turns, with a picture after each turn."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from demo.emit import TURN_S, Emitter
from demo.errors import StreamStalledError
from demo.kafka.client import Cluster, Reader
from demo.live import Picture
from demo.outcomes import Outcomes

_STALL_S = 60
_RATE_WINDOW_S = 3
_LAG_EVERY_S = 0.5


@dataclass
class Lag:
    """How many input records the worker has not committed yet, refreshed twice a second."""

    cluster: Cluster
    group_id: str
    topic: str
    _known: int = 0
    _next_at: float = 0

    def now(self) -> int:
        """The lag at this moment."""
        return self.cluster.lag(self.group_id, self.topic)

    def at(self, now: float) -> int:
        """The lag, at most half a second old."""
        if now >= self._next_at:
            self._known, self._next_at = self.now(), now + _LAG_EVERY_S
        return self._known


@dataclass
class _Speed:
    """Events sent and processed per second, over the last seconds."""

    _passed: deque[tuple[float, int, int]] = field(default_factory=deque)

    def at(self, now: float, sent: int, done: int) -> tuple[float, float]:
        self._passed.append((now, sent, done))
        while self._passed[0][0] < now - _RATE_WINDOW_S:
            self._passed.popleft()
        then, sent_then, done_then = self._passed[0]
        passed_s = max(now - then, TURN_S)
        return (sent - sent_then) / passed_s, (done - done_then) / passed_s


def flow(
    emitter: Emitter,
    outcomes: Outcomes,
    lag: Lag,
    reader: Reader,
    to_send: int,
    stopped: Callable[[], bool],
) -> Iterator[Picture]:
    """Send what is due and count the outcomes, in turns, until all events are sent or `stopped()`, and all that were
    sent are processed and committed.

    Raises ClusterError, and StreamStalledError when there was no outcome for a minute.
    """
    begun = progressed_at = time.monotonic()
    speed = _Speed()
    while True:
        turn_ends = time.monotonic() + TURN_S
        sending = not emitter.done and not stopped()
        if sending:
            emitter.send_due()
        done_before = outcomes.total
        outcomes.add(reader.poll(timeout_ms=20))
        now = time.monotonic()
        if outcomes.total > done_before or (sending and outcomes.total == emitter.sent):
            progressed_at = now
        all_out = not sending and outcomes.total >= emitter.sent
        to_commit = lag.now() if all_out else lag.at(now)
        per_s = speed.at(now, emitter.sent, outcomes.total)
        yield _picture(now - begun, emitter, outcomes, to_send, per_s, to_commit)
        if all_out and to_commit == 0:
            return
        if now - progressed_at > _STALL_S:
            raise StreamStalledError(
                f"no outcome from the worker for {_STALL_S} s; "
                f"{outcomes.total:,} of {emitter.sent:,} events processed, {to_commit:,} not committed"
            )
        time.sleep(max(0.0, turn_ends - time.monotonic()))


def _picture(
    elapsed_s: float, emitter: Emitter, outcomes: Outcomes, to_send: int, per_s: tuple[float, float], lag: int
) -> Picture:
    sent_per_s, done_per_s = per_s
    return Picture(
        elapsed_s=elapsed_s,
        sent=emitter.sent,
        to_send=to_send,
        sent_per_s=sent_per_s,
        done_per_s=done_per_s,
        lag=lag,
        assigned=outcomes.assigned,
        rejected=outcomes.rejected,
        segments=dict(outcomes.segments),
        names=outcomes.names,
        reasons={str(reason): count for reason, count in outcomes.reasons.items()},
        last=tuple(outcomes.last),
    )
