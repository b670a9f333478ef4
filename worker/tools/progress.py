"""How far a long read has come: one line every ten seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

EVERY_S: Final = 10.0


class ReadingProgress:
    """Reports how much of these ranges of offsets, by topic and partition, has been read."""

    def __init__(self, spans: Mapping[tuple[str, int], range], report: Callable[[str], None]) -> None:
        self._spans = spans
        self._total = sum(map(len, spans.values()))
        self._reached = {at: span.start for at, span in spans.items()}
        self._report = report
        self._reported_s = time.monotonic()

    def reached(self, at: tuple[str, int], offset: int) -> None:
        """Everything below this offset has been read there."""
        self._reached[at] = offset
        if time.monotonic() - self._reported_s > EVERY_S:
            self._reported_s = time.monotonic()
            done = sum(offset - self._spans[at].start for at, offset in self._reached.items())
            self._report(f"{done} of {self._total} offsets read ({done * 100 // self._total} %)")
