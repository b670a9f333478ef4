"""How pictures are drawn: the settings, a segment's badge, a cell, and a figure as SVG and PNG.

matplotlib is used without pyplot; its settings, which are global, are set for the time of drawing only.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from trainer.report.palette import Look, text_on
from trainer.text.shortening import plain

if TYPE_CHECKING:  # missing in some supported releases
    from matplotlib.typing import RcKeyType

INK = "#1F2933"
QUIET = "#5B6770"
LINE = "#D5DAE0"
BAND = "#E4E8EC"

WIDTH = 320.0
"""Points; a page shows it as wide as a phone, with its text as large as drawn. Wider only where columns need it."""
PNG_DOTS_PER_INCH = 150

_POINTS_PER_INCH = 72

_SETTINGS: dict[RcKeyType, object] = {
    "axes.edgecolor": QUIET,
    "axes.labelcolor": QUIET,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.unicode_minus": True,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same widths on every machine
    "font.size": 10,
    "hatch.linewidth": 0.9,
    "svg.fonttype": "none",  # text stays text, and a browser has fonts for every script
    "text.color": INK,
    "text.parse_math": False,  # a label with two dollar signs is not a formula
    "xtick.color": QUIET,
    "xtick.labelsize": 9.5,
    "ytick.color": QUIET,
    "ytick.labelsize": 9.5,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure in both of its forms."""

    name: str
    """File name without its ending."""
    description: str
    """The text alternative."""
    width: float
    """Points."""
    svg: bytes
    """A whole file."""
    png: bytes

    def inline(self) -> str:
        """The svg element to embed in a page, with ids that are unique on it."""
        return self.svg[self.svg.index(b"<svg") :].decode()


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure that is ready to be saved."""

    name: str
    description: str
    figure: Figure


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table of colours."""

    text: str
    colour: str
    hatch: str = ""
    """As matplotlib names it; for a suppressed cell."""


def pictures_of(drawings: Callable[[], Sequence[Drawing]]) -> tuple[Picture, ...]:
    """The pictures, drawn under our settings only."""
    with mpl.rc_context():
        mpl.rcdefaults()  # the caller may have changed them
        mpl.rcParams.update(_SETTINGS)
        return tuple(_picture(drawing) for drawing in drawings())


def empty_figure(width: float, height: float) -> Figure:
    """A figure of this size in points."""
    return Figure(figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), facecolor="#FFFFFF")


def axes_within(figure: Figure, *, left: float, bottom: float, right: float, top: float) -> Axes:
    """Axes with margins in points."""
    width, height = (inches * _POINTS_PER_INCH for inches in figure.get_size_inches())
    return figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    )


def bare_axes(figure: Figure) -> Axes:
    """Axes without a frame over the whole figure, in points from its upper left corner."""
    width, height = (inches * _POINTS_PER_INCH for inches in figure.get_size_inches())
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    return axes


def draw_badge(axes: Axes, x: float, y: float, segment: int, look: Look) -> None:
    """The number of a segment on its colour."""
    axes.text(
        x,
        y,
        f"\N{THIN SPACE}{segment}\N{THIN SPACE}",
        ha="center",
        va="center",
        fontsize=9.5,
        fontweight="bold",
        color=look.text,
        bbox={
            "boxstyle": "round,pad=0.25,rounding_size=0.5",
            "facecolor": look.colour,
            "edgecolor": "#FFFFFF",
            "linewidth": 1,
        },
        zorder=5,
    )


def draw_cell(axes: Axes, x: float, y: float, size: tuple[float, float], cell: Cell) -> None:
    """A cell with its upper left corner at x and y, on bare axes."""
    axes.add_artist(
        Rectangle(
            (x + 0.5, y + 0.5),
            size[0] - 1,
            size[1] - 1,
            facecolor=cell.colour,
            hatch=cell.hatch,
            edgecolor=LINE,
            linewidth=0.5,
        )
    )
    axes.text(
        x + size[0] / 2,
        y + size[1] / 2,
        cell.text,
        ha="center",
        va="center",
        fontsize=9,
        color=QUIET if cell.hatch else text_on(cell.colour),
    )


def _picture(drawing: Drawing) -> Picture:
    svg, png = io.BytesIO(), io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": drawing.name}):
        # In the SVG the reader's own fonts draw the text. In the PNG a character that DejaVu lacks is an empty box.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        drawing.figure.savefig(svg, format="svg", metadata=nothing, dpi=PNG_DOTS_PER_INCH)
        drawing.figure.savefig(png, format="png", metadata={"Software": None}, dpi=PNG_DOTS_PER_INCH)
    return Picture(
        name=drawing.name,
        description=drawing.description,
        width=float(drawing.figure.get_size_inches()[0]) * _POINTS_PER_INCH,
        svg=_described(svg.getvalue().decode(), drawing).encode(),
        png=png.getvalue(),
    )


def _described(svg: str, drawing: Drawing) -> str:
    """The SVG with a text alternative, and with its ids under the picture's own name."""
    # Only within tags: labels must stay as they are. matplotlib never writes ">" into an attribute.
    own = re.compile(r'(\bid="|href="#|url\(#)')
    svg = re.sub(r"<[^!?>][^>]*>", lambda tag: own.sub(rf"\g<1>{drawing.name}-", tag[0]), svg)
    start = re.search(r"<svg [^>]*>", svg)
    if start is None:
        raise ValueError(f"{drawing.name} is not an SVG")
    about = f"{drawing.name}-about"
    opened = f'{start[0][:-1]} role="img" aria-labelledby="{about}">'
    desc = f'\n <desc id="{about}">{escape(plain(drawing.description))}</desc>'
    return svg[: start.start()] + opened + desc + svg[start.end() :]
