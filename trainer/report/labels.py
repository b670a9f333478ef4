"""Label placement in a plot: measured, so that labels never lie on a curve, a mark or another label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

BACKGROUND = 0
"""The zorder of artists that a label may lie on: bands and lines that mark a level."""
CLEARANCE = 1.5
"""Points between a label and anything that it must not touch."""
LEADER_FROM = 16.0
"""Points from a label to its mark beyond which a line joins them."""
_ROOM_STEP = 0.08
_ROOM_STEPS = 15
_POINTS_PER_INCH = 72

Align = Literal["left", "center", "right"]
Valign = Literal["bottom", "center", "top"]


@dataclass(frozen=True, slots=True)
class Spot:
    """A possible place of a label: a point of the data, and where the label is from it."""

    x: float
    y: float
    right: float
    """Points."""
    up: float
    """Points."""
    align: Align
    valign: Valign


@dataclass(frozen=True, slots=True)
class Label:
    """A text with its possible places, the best first."""

    text: str
    spots: Sequence[Spot]
    colour: str
    weight: Literal["normal", "bold"] = "normal"


def around(x: float, y: float) -> tuple[Spot, ...]:
    """Places around a mark, the nearest first."""
    return tuple(
        Spot(x, y, right * distance, up * distance, align, valign)
        for distance in (7.0, 11.0, 16.0, 22.0, 29.0, 37.0, 46.0)
        for right, up, align, valign in _DIRECTIONS
    )


_DIRECTIONS: tuple[tuple[float, float, Align, Valign], ...] = (
    (0.7, -0.7, "left", "top"),
    (-0.7, -0.7, "right", "top"),
    (0.7, 0.7, "left", "bottom"),
    (-0.7, 0.7, "right", "bottom"),
    (0.0, -1.0, "center", "top"),
    (0.0, 1.0, "center", "bottom"),
    (1.0, 0.0, "left", "center"),
    (-1.0, 0.0, "right", "center"),
)


def place_labels(figure: Figure, axes: Axes, labels: Sequence[Label]) -> None:
    """Write each label at its first free place; where one has none, the axis is lengthened downwards to make room.

    The curves must be drawn and the limits of the axes set.
    """
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]  # matplotlib has no type for it
    for _ in range(_ROOM_STEPS):
        placed = [*_placed(figure, axes, labels, renderer)]
        if len(placed) == len(labels):
            return
        for annotation in placed:
            annotation.remove()
        low, high = axes.get_ylim()
        axes.set_ylim(low - _ROOM_STEP * (high - low), high)


def _placed(figure: Figure, axes: Axes, labels: Sequence[Label], renderer: RendererBase) -> Iterator[Annotation]:
    """The labels, as far as there is a free place for each."""
    pixels = figure.dpi / _POINTS_PER_INCH
    curves, boxes = [*_curves(axes, pixels)], list[Bbox]()
    for label in labels:
        for spot in label.spots:
            annotation = _annotation(axes, label, spot)
            annotation.update_positions(renderer)
            # Of the text alone: an annotation's own extent includes its line to the mark.
            box = Text.get_window_extent(annotation, renderer).padded(CLEARANCE * pixels)
            if _is_free(box, axes, curves, boxes):
                boxes.append(box)
                yield annotation
                break
            annotation.remove()
        else:
            return


def _annotation(axes: Axes, label: Label, spot: Spot) -> Annotation:
    far = max(abs(spot.right), abs(spot.up)) >= LEADER_FROM
    return axes.annotate(
        label.text,
        (spot.x, spot.y),
        (spot.right, spot.up),
        textcoords="offset points",
        ha=spot.align,
        va=spot.valign,
        color=label.colour,
        fontsize=9.5,
        fontweight=label.weight,
        annotation_clip=False,
        arrowprops={"arrowstyle": "-", "color": label.colour, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 5}
        if far
        else None,
    )


def _is_free(box: Bbox, axes: Axes, curves: Iterable[tuple[Path, float]], boxes: Iterable[Bbox]) -> bool:
    """Whether a box is within the axes, and meets no curve or other box."""
    frame = axes.bbox
    within = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
    return (
        within
        and not any(path.intersects_bbox(box.padded(radius), filled=False) for path, radius in curves)
        and not any(box.overlaps(other) for other in boxes)
    )


def _curves(axes: Axes, pixels: float) -> Iterator[tuple[Path, float]]:
    """Every line, outline and mark in pixels, each with half of its thickness; pixels are those of a point."""
    for line in axes.lines:
        if line.get_zorder() != BACKGROUND:
            yield from _line(line, pixels)
    for collection in axes.collections:
        if collection.get_zorder() != BACKGROUND:
            yield from _collection(collection, pixels)


def _line(line: Line2D, pixels: float) -> Iterator[tuple[Path, float]]:
    points = line.get_transform().transform(np.column_stack(line.get_data(orig=False)))
    if line.get_linestyle() not in {"None", ""}:
        yield Path(points), line.get_linewidth() / 2 * pixels
    if line.get_marker() not in {"None", "", None}:
        radius = (line.get_markersize() + line.get_markeredgewidth()) / 2 * pixels
        yield from ((Path([point, point]), radius) for point in points)


def _collection(collection: Collection, pixels: float) -> Iterator[tuple[Path, float]]:
    width = float(np.max(collection.get_linewidth(), initial=0.0)) / 2 * pixels
    for path in collection.get_paths():
        yield collection.get_transform().transform_path(path), width
