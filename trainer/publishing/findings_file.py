"""findings.json: the findings of a fit as bytes, and back without a loss."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticSerializationError

from models.errors import ModelFormatError
from trainer.findings import Findings

FINDINGS_FILE = "findings.json"
FINDINGS_FORMAT: Final = 1


class _File(BaseModel):
    """What the file holds; its settings hold for every value inside the findings too."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, revalidate_instances="always")

    format: Literal[1]
    findings: Findings


def findings_to_json(findings: Findings) -> bytes:
    """The bytes of findings.json, the same for equal findings.

    Raises ValueError for a number that is none (NaN, infinite): JSON has no word for it, and no figure may be one.
    """
    try:
        return (_File(format=FINDINGS_FORMAT, findings=findings).model_dump_json() + "\n").encode()
    except (ValidationError, PydanticSerializationError) as error:
        raise ValueError(f"these findings cannot be written: {error}") from error


def findings_from_json(content: bytes) -> Findings:
    """The findings that these bytes hold; raises ModelFormatError when they are none of this release."""
    try:
        return _File.model_validate_json(content).findings
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ModelFormatError(
            f"{FINDINGS_FILE} is not what this release writes ({place}: {first['msg']}): fit the version again"
        ) from error
