"""How a worker ends: by a signal, or by a deadline for steps that could wait forever."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn, Self

import structlog

from worker.errors import ExitStatus
from worker.stream.ports import StopSignal

DRAIN_S = 5.0
LOOK_EVERY_S = 0.2
LAST_RESORT_S = 3.0

_log = structlog.get_logger()


class Deadline:
    """Ends the process with exit status 1 when a step exceeds its time, or a stop takes longer than 5 s.

    One thread checks five times per second; entering and leaving a step costs the loop a microsecond. The stacks of all
    threads go to stderr first: they are the only trace of what the process was waiting for.
    """

    def __init__(
        self, stop: StopSignal, drain_s: float = DRAIN_S, end_process: Callable[[int], NoReturn] = os._exit
    ) -> None:
        self._stop = stop
        self._drain_s = drain_s
        self._end_process = end_process
        # Of each thread in a step. Each changes its own entry, the watching thread copies all: no lock that could be
        # held forever.
        self._steps: dict[int, tuple[float, float, str]] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="deadline", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()

    @contextmanager
    def within(self, seconds: float, doing: str) -> Iterator[None]:
        """The block ends within this time, or the process does. Steps of one thread do not nest."""
        thread = threading.get_ident()
        self._steps[thread] = (time.monotonic() + seconds, seconds, doing)
        try:
            yield
        finally:
            del self._steps[thread]

    def _watch(self) -> None:
        stopped_at: float | None = None
        while not self._closed.wait(LOOK_EVERY_S):
            now = time.monotonic()
            steps = list(self._steps.values())
            for until, seconds, doing in steps:
                if now > until:
                    self._end_at_deadline(doing, seconds)
            if stopped_at is None and self._stop.is_set():
                stopped_at = now
            if stopped_at is not None and now > stopped_at + self._drain_s:
                self._end_undrained(", ".join(doing for _, _, doing in steps) or None)

    def _end_at_deadline(self, doing: str, seconds: float) -> None:
        _last_resort()
        _log.critical(
            "deadline_exceeded",
            doing=doing,
            seconds=seconds,
            next="exit 1; no partial commit was made, a restart continues at the committed offset",
        )
        faulthandler.dump_traceback(all_threads=True)
        self._end_process(ExitStatus.RESTART)

    def _end_undrained(self, doing: str | None) -> None:
        _last_resort()
        _log.critical(
            "not_drained",
            doing=doing,
            seconds=self._drain_s,
            next="exit 1; uncommitted records are read again after a restart",
        )
        self._end_process(ExitStatus.RESTART)


def _last_resort() -> None:
    # A log line can block too, on a full pipe that nobody reads; this timer needs no Python lock and exits with 1.
    faulthandler.dump_traceback_later(LAST_RESORT_S, exit=True, file=Path(os.devnull).open("w"))  # noqa: SIM115


class StopSignals:
    """Set by SIGTERM and SIGINT from the moment it is created, which only the main thread may do."""

    def __init__(self) -> None:
        self._stopped = False
        self._interrupted = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._interrupt)

    def is_set(self) -> bool:
        """Whether the worker should end."""
        return self._stopped

    # No logging in here: the signal may have come while this very thread holds the log's lock.

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopped = True

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self._interrupted:
            # No clean-up, on purpose: the open transaction times out, and its offsets stay uncommitted.
            os._exit(ExitStatus.INTERRUPTED)
        self._stopped = self._interrupted = True
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), b"\nfinishing the current batch; press Ctrl-C again to exit at once\n")
