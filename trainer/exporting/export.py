"""A stored model in a form that other programs run: from raw fields to the segment, without this project.

The file is read back and tried on made-up rows, row by row against the model itself, before it gets its name. Neither
trainer nor worker ever loads an exported file again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.encoding import Columns, Floats
from models.segmentation import Segmentation
from models.store import StoredModel
from trainer.atomic_file import whole
from trainer.errors import ExportRefused
from trainer.exporting.test_data import made_up_rows

# A row that is so near to a border may fall on its other side when sums are made in another order.
BORDER_MARGIN = 1e-6
# Near a centroid the distance is the root of a difference of squares, of which half of the digits are left.
DISTANCE_TOLERANCE = 1e-6
SEED = 0


class Target(StrEnum):
    """The form of an export."""

    ONNX = "onnx"
    SKLEARN = "sklearn"


class Form(Protocol):
    """What a module of a form offers."""

    def write(self, stored: StoredModel, path: Path) -> None:
        """Write the file."""
        ...

    def assigned(self, segmentation: Segmentation, path: Path, columns: Columns) -> tuple[npt.NDArray[np.intp], Floats]:
        """Segment and distance of each row, worked out by nothing but the file."""
        ...


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written, and how many rows it was tried on."""

    stored: StoredModel
    target: Target
    rows: int
    on_border: int
    """Rows so near to a border that their segment was not compared."""
    output: Path


def export(stored: StoredModel, target: Target, path: Path) -> Exported:
    """Write the model in this form, whole or not at all, once it does on every row what the model does.

    It is tried on a few thousand made-up rows: every level, numbers far outside, unknown labels, empty lists. Segments
    must be the same, except where the margin is under 1e-6, and distances within 1e-6. Raises ExportRefused where they
    are not, OutputError when the file cannot be written, ModuleNotFoundError without the packages of the form.
    """
    form = _form(target)
    columns = made_up_rows(stored.segmentation, SEED)
    with whole(path) as unfinished:
        form.write(stored, unfinished)
        segment, distance = form.assigned(stored.segmentation, unfinished, columns)
        on_border = _refuse_differences(stored, target, columns, segment, distance)
    return Exported(stored, target, len(segment), on_border, path)


def _form(target: Target) -> Form:
    match target:
        case Target.ONNX:
            from trainer.exporting import onnx_form  # noqa: PLC0415  # its packages come with an extra of their own

            return onnx_form
        case Target.SKLEARN:
            from trainer.exporting import sklearn_form  # noqa: PLC0415  # no reason to wait for it when it is not asked for

            return sklearn_form


def _refuse_differences(
    stored: StoredModel, target: Target, columns: Columns, segment: npt.NDArray[np.intp], distance: Floats
) -> int:
    """The number of rows on a border. Raises ExportRefused for any other row that is not as the model has it."""
    expected = stored.segmentation.assign(columns)
    on_border = expected.margin < BORDER_MARGIN
    moved = (segment != expected.segment) & ~on_border
    farther = ~np.isclose(distance, expected.distance, rtol=DISTANCE_TOLERANCE, atol=DISTANCE_TOLERANCE)
    different = np.flatnonzero(moved | farther)
    if len(different):
        row = int(different[0])
        raise ExportRefused(
            f"the {target} form of version {stored.manifest.id} differs from the model on {len(different):,} of "
            f"{len(segment):,} made-up rows, on the first by segment {segment[row]} at distance {distance[row]:.9g} "
            f"where the model says {expected.segment[row]} at {expected.distance[row]:.9g}: nothing was written; "
            "report it as a defect of this program, with its version and those of the packages of the form"
        )
    return int(on_border.sum())
