"""poll -> process -> commit -> observe, until stopped: the order of steps, and what happens on each error."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from worker.errors import RetryBatchError
from worker.stream.ports import Observer, StopSignal, Timings, Transport
from worker.stream.records import Batch, Outcome

Process = Callable[[Batch], Outcome]

RETRY_FIRST_S = 0.1
RETRY_MOST_S = 5.0
WAIT_STEP_S = 0.05


def backoff_s(failures: int) -> float:
    """How long to wait after this many failures in a row: doubling up to a limit, with jitter."""
    longest = min(RETRY_MOST_S, RETRY_FIRST_S * 2.0 ** min(failures - 1, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, keeps no secret


def run(
    transport: Transport,
    process: Process,
    observer: Observer,
    stop: StopSignal,
    retry_delay_s: Callable[[int], float] = backoff_s,
) -> None:
    """Work until stopped, then finish the current batch and leave the group.

    Raises StopProcessError, after leaving the group, when the process must end for another reason.
    """
    failures = 0
    try:
        while not stop.is_set():
            try:
                if failures:
                    transport.rewind()
                batch = transport.poll()
                if batch is not None:
                    polled_at = time.perf_counter()
                    outcome = process(batch)
                    processed_at = time.perf_counter()
                    transport.commit(batch, outcome)
                    timings = Timings(processed_at - polled_at, time.perf_counter() - processed_at)
                    observer.committed(batch, outcome, timings)
                failures = 0
                observer.turned()
            except RetryBatchError as error:
                failures += 1
                delay_s = retry_delay_s(failures)
                observer.retrying(error, delay_s)
                _wait(delay_s, stop)
    finally:
        transport.close()


def _wait(seconds: float, stop: StopSignal) -> None:
    # In steps rather than Event.wait: a signal handler that sets an event this same thread waits on can deadlock.
    until = time.monotonic() + seconds
    while not stop.is_set() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, WAIT_STEP_S))
