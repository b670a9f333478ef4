"""Ctrl-C, SIGTERM and SIGHUP, while there are processes to clean up."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Raises KeyboardInterrupt at SIGINT, SIGTERM or SIGHUP: once, so that the clean-up afterwards is not interrupted.

    Within `noted()` the first signal is only noted, for work that can finish cleanly; the next one raises.
    """

    def __init__(self) -> None:
        """Take over the signals; only the main thread may."""
        self._noting = False
        self._noted = False
        self._raised = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._received)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            signal.signal(signal.SIGHUP, self._received)

    @contextmanager
    def noted(self) -> Iterator[Callable[[], bool]]:
        """Give a function that says whether a signal has arrived."""
        self._noting = True
        try:
            yield lambda: self._noted
        finally:
            self._noting = False

    def _received(self, _number: int, _frame: FrameType | None) -> None:
        if self._noting and not self._noted:
            self._noted = True
        elif not self._raised:
            self._raised = True
            raise KeyboardInterrupt
