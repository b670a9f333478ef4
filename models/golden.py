"""Golden rows: synthetic profiles with the segment that each must get; they test a model whenever it is loaded."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import ModelFormatError
from models.limits import GOLDEN_MAX_ROWS
from models.segmentation import Segmentation


class Golden(BaseModel):
    """Columns of synthetic rows and the stable number of the segment of each row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: Mapping[str, tuple[Any, ...]]
    segments: tuple[int, ...] = Field(max_length=GOLDEN_MAX_ROWS)

    @classmethod
    def from_json(cls, content: bytes) -> Golden:
        """The golden rows that these bytes hold; raises ModelFormatError when they are not golden rows."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise ModelFormatError(f"golden.json has {error.error_count()} invalid values") from error

    def to_json(self) -> bytes:
        """The bytes of golden.json."""
        return (self.model_dump_json() + "\n").encode()

    def check(self, segmentation: Segmentation) -> None:
        """Raise ModelFormatError unless the segmentation puts each row where it was put when the model was fitted."""
        if any(len(values) != len(self.segments) for values in self.columns.values()):
            raise ModelFormatError("golden.json is inconsistent: a column does not have one value per row")
        try:
            found = segmentation.assign(self.columns).segment.tolist()
        except (KeyError, ValueError, TypeError, ArithmeticError, MemoryError, struct.error) as error:
            raise ModelFormatError(f"golden.json does not match model.json: {error!r:.200}") from error
        wrong = sum(a != b for a, b in zip(found, self.segments, strict=True))
        if wrong:
            raise ModelFormatError(
                f"{wrong} of {len(found)} golden rows get a different segment than when the model was fitted"
            )
