"""The progress of long work, for people who wait for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Watcher(Protocol):
    """Shows how far the work is."""

    def at(self, step: str, done: int = 0, total: int | None = None) -> None:
        """The work is at this step, with this much of it done; total is None where it is not known."""
        ...


class Silence:
    """No output."""

    def at(self, step: str, done: int = 0, total: int | None = None) -> None:
        """Do nothing."""


class PlainLines:
    """One line per step: for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._step = ""

    def at(self, step: str, done: int = 0, total: int | None = None) -> None:  # noqa: ARG002  # a line has no bar
        """Write the step's name when it begins."""
        if step != self._step:
            self._step = step
            print(f"{step} …", file=self._stream, flush=True)


class _Bar:
    """A bar with the step's name and the time left, redrawn in place."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._step = ""
        self._task = TaskID(0)

    def at(self, step: str, done: int = 0, total: int | None = None) -> None:
        """Move the bar; a new step starts a new one."""
        if step != self._step:
            if self._step:
                self._bar.remove_task(self._task)
            self._step, self._task = step, self._bar.add_task(step, total=total)
        self._bar.update(self._task, completed=done, total=total)


def reading(watcher: Watcher, path: Path) -> Callable[[int, int], None]:
    """A callback for read_history that reports how much of the file has been read."""
    watcher.at(f"reading {path.name}")
    return partial(watcher.at, f"reading {path.name}")


@contextmanager
def watched(stream: TextIO) -> Iterator[Watcher]:
    """A watcher that draws a bar with the time left on a terminal, and writes plain lines to anything else."""
    if not stream.isatty():
        yield PlainLines(stream)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as bar:
        yield _Bar(bar)
