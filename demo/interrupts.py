"""Ctrl-C and SIGTERM, at a time when there is much to clean up."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Raises KeyboardInterrupt at SIGINT, SIGTERM or SIGHUP: once, so that cleaning up afterwards is not interrupted.

    Within `noted()` the first of them is only noted, for what can end in good order; the next raises.
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
        """Gives a function that says whether a signal has come."""
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
