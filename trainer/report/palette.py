"""How a segment looks in every picture: a colour, and a marker and a hatch that do not depend on colour vision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Okabe & Ito (2008), distinguishable with every common colour blindness; yellow comes late: it is weak on white.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "*", "h", "<", ">", "d")
_HATCHES = ("", "////", "....", "xxxx")

_LIGHT = 0.18
"""Relative luminance above which black text has more contrast than white (WCAG 2)."""


@dataclass(frozen=True, slots=True)
class Look:
    """How one segment looks."""

    colour: str
    """#rrggbb."""
    text: str
    """The colour of text on it."""
    marker: str
    """As matplotlib names it."""
    hatch: str
    """As matplotlib names it; empty for the first eight."""


def looks(present: Iterable[int], gone: Iterable[int] = ()) -> dict[int, Look]:
    """The look of each segment of a report, different for up to 32 segments; present ones choose first.

    A stable number keeps its look from version to version unless another segment of the same report has it.
    """
    there = set(present)
    taken: dict[int, int] = {}
    for segment in [*sorted(there), *sorted(set(gone) - there)]:
        place = segment % len(_COLOURS)
        while place in taken.values():
            place += 1
        taken[segment] = place
    return {segment: _look(place) for segment, place in taken.items()}


def text_on(colour: str) -> str:
    """Black or white, whichever reads better on a colour #rrggbb."""
    red, green, blue = (_linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > _LIGHT else "#FFFFFF"


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def _look(place: int) -> Look:
    colour = _COLOURS[place % len(_COLOURS)]
    return Look(
        colour=colour,
        text=text_on(colour),
        marker=_MARKERS[place % len(_MARKERS)],
        hatch=_HATCHES[place // len(_COLOURS) % len(_HATCHES)],
    )
