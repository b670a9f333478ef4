"""A stored model in a form that other programs run: from the fields of an event to the segment, without this project.

Before the file gets its name, it is read back and compared with the model on synthetic rows. Neither trainer nor
worker ever loads an exported file.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.encoding import Columns, Floats, SeveralOfColumn
from models.segmentation import Segmentation
from models.store import StoredModel
from trainer.atomic_file import atomic_file
from trainer.errors import ExportRefused
from trainer.exporting.test_data import synthetic_rows

# Closer to a border, a row may fall on the other side when sums are computed in another order.
BORDER_MARGIN = 1e-6
# Near a centroid the distance is the root of a small difference of squares, which loses half of the digits.
DISTANCE_TOLERANCE = 1e-6
SEED = 0


class Target(StrEnum):
    """The form of an export."""

    ONNX = "onnx"
    SKLEARN = "sklearn"


class Form(Protocol):
    """The interface of a module that writes one form."""

    def write(self, stored: StoredModel, path: Path) -> None:
        """Write the file."""
        ...

    def assigned(self, segmentation: Segmentation, path: Path, columns: Columns) -> tuple[npt.NDArray[np.intp], Floats]:
        """Segment and distance of each row, computed from the file alone."""
        ...


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written, and how many rows it was tested on."""

    stored: StoredModel
    target: Target
    rows: int
    on_border: int
    """Rows so close to a border that their segment was not compared."""
    output: Path


def export(stored: StoredModel, target: Target, path: Path) -> Exported:
    """Write the model in this form, whole or not at all, after testing that it gives the same results.

    The test takes a few thousand synthetic rows: every level, numbers far outside, unknown labels, empty lists.
    Segments must be equal, except where the margin is under 1e-6, and distances within 1e-6. Raises ExportRefused if
    they are not, OutputError when the file cannot be written, ModuleNotFoundError without the packages of the form.
    """
    _require_whole_lists(stored)
    form = _form(target)
    columns = synthetic_rows(stored.segmentation, SEED)
    with atomic_file(path) as unfinished:
        form.write(stored, unfinished)
        segment, distance = form.assigned(stored.segmentation, unfinished, columns)
        on_border = _refuse_differences(stored, target, columns, segment, distance)
    return Exported(stored, target, len(segment), on_border, path)


def _require_whole_lists(stored: StoredModel) -> None:
    for column in stored.segmentation.encoder.kept:
        if isinstance(column, SeveralOfColumn) and column.name in stored.manifest.missing:
            raise ExportRefused(
                f"field {column.name!r} had no list for some users, which no form can express: fit with a class "
                "in which the list is not optional (a user without one then has an empty list)"
            )


def _form(target: Target) -> Form:
    match target:
        case Target.ONNX:
            from trainer.exporting import onnx_form  # noqa: PLC0415  # its packages come with an extra of their own

            return onnx_form
        case Target.SKLEARN:
            from trainer.exporting import sklearn_form  # noqa: PLC0415  # slow to import, and needed for this form only

            return sklearn_form


def _refuse_differences(
    stored: StoredModel, target: Target, columns: Columns, segment: npt.NDArray[np.intp], distance: Floats
) -> int:
    """The number of rows on a border. Raises ExportRefused if any other row differs from the model."""
    expected = stored.segmentation.assign(columns)
    on_border = expected.margin < BORDER_MARGIN
    moved = (segment != expected.segment) & ~on_border
    farther = ~np.isclose(distance, expected.distance, rtol=DISTANCE_TOLERANCE, atol=DISTANCE_TOLERANCE)
    different = np.flatnonzero(moved | farther)
    if len(different):
        row = int(different[0])
        raise ExportRefused(
            f"the {target} form of version {stored.manifest.id} differs from the model on {len(different):,} of "
            f"{len(segment):,} synthetic rows; the first has segment {segment[row]} at distance {distance[row]:.9g} "
            f"instead of {expected.segment[row]} at {expected.distance[row]:.9g}: nothing was written (this is a bug: "
            f"please report it with the versions of this program and of the packages for {target})"
        )
    return int(on_border.sum())
