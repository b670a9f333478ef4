"""`python docs/draw_demo.py docs/demo.svg` runs the demo and draws what it showed, the live view as of one moment."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rich.console import Console, RenderableType

from demo.interrupts import Interrupts
from demo.live import Picture, View, rendered
from demo.run import Plan, run

MOMENT = 0.6
"""The live view is drawn at this share of processed events."""
WIDTH = 100
FONTS = "ui-monospace, DejaVu Sans Mono, Menlo, Consolas, monospace"


class Recorder(Console):
    """Keeps what is printed, so that only the last picture of the live view is drawn."""

    def __init__(self) -> None:
        super().__init__(file=StringIO(), force_terminal=True, width=WIDTH)
        self.printed: list[RenderableType] = []

    def print(self, *objects: Any, **_: Any) -> None:
        """Keep it."""
        self.printed += objects


class Moment:
    """A view that keeps the picture of the moment."""

    def __init__(self) -> None:
        self.picture: Picture | None = None

    def show(self, picture: Picture) -> None:
        """Keep it while it is not later than the moment."""
        if self.picture is None or picture.assigned + picture.rejected <= MOMENT * picture.to_send:
            self.picture = picture


@contextmanager
def moment(console: Recorder) -> Iterator[View]:
    """A view that prints the picture of one moment."""
    kept = Moment()
    yield kept
    if kept.picture is not None:
        console.print(rendered(kept.picture))


def drawn(printed: list[RenderableType]) -> str:
    """The printed text as an SVG that loads nothing from elsewhere."""
    console = Console(record=True, file=StringIO(), force_terminal=True, color_system="truecolor", width=WIDTH)
    console.print("[bold]$ make demo[/]", highlight=False)
    for what in printed:
        # Paths belong to the machine that ran it.
        console.print(what.partition("\n\nto look at")[0] if isinstance(what, str) else what, highlight=False)
    svg = console.export_svg(title="segment-demo")
    svg = re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code, monospace", FONTS)


def main() -> int:
    """Run, draw, write."""
    recorder = Recorder()
    with patch("demo.run.view", moment):
        plan = Plan(events=20_000, users=2_000, seed=7, rate=2_000, bad_share=0.01, output=Path("demo-output"))
        if not run(plan, recorder, Interrupts()):
            return 1
    Path(sys.argv[1]).write_text(drawn(recorder.printed))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
