"""The view while events flow: a live picture on a terminal, a line every two seconds elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from schemas.events import SegmentAssigned

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red", "bright_cyan", "bright_magenta")
_BAR_WIDTH = 16
_LINE_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that is shown at one moment."""

    elapsed_s: float
    sent: int
    to_send: int
    sent_per_s: float
    done_per_s: float
    lag: int
    assigned: int
    rejected: int
    segments: Mapping[int, int]
    """Number of assignments, by the segment's stable number."""
    names: Mapping[int, str]
    reasons: Mapping[str, int]
    last: Sequence[SegmentAssigned]


class View(Protocol):
    """Shows pictures, each in place of the one before."""

    def show(self, picture: Picture) -> None:
        """Show the picture; may be called at any rate."""
        ...


@contextmanager
def view(console: Console) -> Iterator[View]:
    """The view for this console; the last picture stays."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield _Pictures(live)


class _Pictures:
    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, picture: Picture) -> None:
        self._live.update(rendered(picture), refresh=True)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._next_s = 0.0

    def show(self, picture: Picture) -> None:
        complete = picture.assigned + picture.rejected == picture.to_send and picture.lag == 0
        if picture.elapsed_s < self._next_s and not complete:
            return
        self._next_s = picture.elapsed_s + _LINE_EVERY_S
        self._console.print(line(picture), highlight=False, soft_wrap=True)


def line(picture: Picture) -> str:
    """The picture in one line of text, the segments by number."""
    shares = ", ".join(
        f"{number}: {count / picture.assigned:.0%}" for number, count in sorted(picture.segments.items())
    )
    return (
        f"{picture.elapsed_s:5.1f} s  sent {picture.sent:,}  assigned {picture.assigned:,}  "
        f"rejected {picture.rejected:,}  {picture.done_per_s:,.0f}/s  lag {picture.lag:,}"
        f"{'  segments ' if shares else ''}{shares}"
    )


def rendered(picture: Picture) -> RenderableType:
    """The picture for a terminal of 80 columns and 24 lines, or more."""
    return Panel(
        Group(_progress(picture), Text(), _shares(picture), Text(), _rejects(picture), Text(), _last(picture)),
        title=f"user events → segments   {picture.elapsed_s:4.1f} s",
        border_style="dim",
        width=80,
    )


def _progress(picture: Picture) -> Table:
    grid = Table.grid(padding=(0, 2))
    done = picture.assigned + picture.rejected
    for name, count, per_s in (("sent", picture.sent, picture.sent_per_s), ("done", done, picture.done_per_s)):
        # Rich's default colour for unfinished bars looks like an error.
        bar = ProgressBar(total=picture.to_send, completed=count, width=26, complete_style="cyan")
        grid.add_row(name, bar, f"{count:>9,} of {picture.to_send:,}", f"{per_s:>7,.0f}/s")
    grid.add_row("lag", f"{picture.lag:,} events")
    return grid


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for column in columns:
        # Segment names may be long: only their column may shrink.
        table.add_column(column, no_wrap=column != "segment")
    return table


def _name(picture: Picture, number: int, *, style: str = "") -> Text:
    return Text(picture.names[number], style=style, no_wrap=True, overflow="ellipsis")


def _colour(number: int) -> str:
    """The colour of a segment, the same everywhere and from its first event on."""
    return _COLOURS[number % len(_COLOURS)]


def _shares(picture: Picture) -> Table:
    table = _table("segment", "", "share", "events")
    most = max(picture.segments.values(), default=1)
    for number, count in sorted(picture.segments.items()):
        bar = Text("█" * max(1, round(_BAR_WIDTH * count / most)), style=_colour(number))
        table.add_row(_name(picture, number), bar, f"{count / picture.assigned:>5.1%}", f"{count:>7,}")
    return table


def _rejects(picture: Picture) -> Text:
    reasons = [f"{reason} {count:,}" for reason, count in sorted(picture.reasons.items(), key=lambda item: -item[1])]
    return Text.assemble(("rejected  ", "dim"), f"{picture.rejected:,}", ": " if reasons else "", ", ".join(reasons))


def _last(picture: Picture) -> Table:
    table = _table("assigned at", "user", "segment", "distance", "margin", "")
    for event in reversed(picture.last):
        data = event.data
        table.add_row(
            _clock(event.time),
            event.subject,
            _name(picture, data.segment, style=_colour(data.segment)),
            f"{data.distance:>8.2f}",
            f"{data.margin:>6.2f}",
            "outlier" if data.outlier else "",
        )
    return table


def _clock(time: datetime) -> str:
    return time.astimezone().strftime("%H:%M:%S.%f")[:-3]
