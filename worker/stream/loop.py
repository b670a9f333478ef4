"""Poll, process, commit, observe, until stopped: the order of steps, and what happens on each error."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from worker.errors import RetryBatchError
from worker.stream.ports import Observer, StopSignal, Timings, Transport
from worker.stream.records import Batch, Outcome

Process = Callable[[Batch], Outcome]
Admit = Callable[[Outcome], None]
"""Raises StopProcessError if an outcome may not be sent; called when all before it are counted."""

RETRY_FIRST_S = 0.1
RETRY_MOST_S = 5.0
WAIT_STEP_S = 0.05


def backoff_s(failures: int) -> float:
    """How long to wait after this many failures in a row: doubling up to a limit, with jitter."""
    longest = min(RETRY_MOST_S, RETRY_FIRST_S * 2.0 ** min(failures - 1, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, keeps no secret


@dataclass(frozen=True, slots=True)
class _InFlight:
    """A batch whose commit has begun."""

    batch: Batch
    outcome: Outcome
    process_s: float


def run(
    transport: Transport,
    process: Process,
    observer: Observer,
    stop: StopSignal,
    retry_delay_s: Callable[[int], float] = backoff_s,
    admit: Admit = lambda _: None,
) -> None:
    """Work until stopped, then finish the current batch, commit the offsets that were read, and leave the group.

    One batch is read and processed while the one before it is committed, but nothing of it is sent before that is over.
    Raises StopProcessError, after leaving the group, when the process must end for another reason.
    """
    in_flight: _InFlight | None = None
    failures, must_rewind = 0, False

    def finish() -> bool:
        """Whether a commit was in flight, which is over now."""
        nonlocal in_flight
        if (finishing := in_flight) is None:
            return False
        in_flight = None
        commit_s = transport.finish()
        observer.committed(finishing.batch, finishing.outcome, Timings(finishing.process_s, commit_s))
        return True

    try:
        while not stop.is_set():
            try:
                if must_rewind:
                    finish()
                    transport.rewind()
                    must_rewind = False
                batch = transport.poll()
                if batch is None:
                    finish()
                    succeeded = True
                else:
                    polled_at = time.perf_counter()
                    outcome = process(batch)
                    process_s = time.perf_counter() - polled_at
                    # If this fails, this batch is forgotten: nothing of it was sent.
                    succeeded = finish()
                    admit(outcome)
                    transport.begin(batch, outcome)
                    in_flight = _InFlight(batch, outcome, process_s)
                # A commit that has only begun is no success yet, or the delay would not grow while each one fails.
                if succeeded:
                    failures = 0
                    observer.turned()
            except RetryBatchError as error:
                failures, must_rewind = failures + 1, True
                delay_s = retry_delay_s(failures)
                observer.retrying(error, delay_s)
                _wait(delay_s, stop)
        try:
            finish()
            if not must_rewind:
                transport.commit_markers()
        except RetryBatchError as error:
            observer.retrying(error, 0.0)
    finally:
        transport.close()


def _wait(seconds: float, stop: StopSignal) -> None:
    # In steps rather than Event.wait: a signal handler that sets an event this same thread waits on can deadlock.
    until = time.monotonic() + seconds
    while not stop.is_set() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, WAIT_STEP_S))
