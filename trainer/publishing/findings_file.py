"""findings.json: the findings of a fit as bytes, and back without a loss."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticSerializationError

from models.errors import ModelFormatError, require_format
from models.store import ModelStore
from trainer.findings import Findings

FINDINGS_FILE = "findings.json"
# 4: with the number of segments that the silhouette would have chosen.
FINDINGS_FORMAT = 4
AS_OF = "as-of"
"""The option that has the day to which a fit counted days; absent where there are no dates."""


class _Head(BaseModel):
    """The part of the file that every format has."""

    format: int


class _File(_Head):
    """The whole file; its settings apply to every value inside the findings too."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, revalidate_instances="always")

    findings: Findings


class _Options(BaseModel):
    day: date | None = Field(default=None, alias=AS_OF)


class _Origin(BaseModel):
    options: _Options


class _Dated(BaseModel):
    origin: _Origin


class _AnyFormat(BaseModel):
    """The part of the file that has the day to which days were counted."""

    findings: _Dated


def findings_to_json(findings: Findings) -> bytes:
    """The bytes of findings.json, the same for equal findings.

    Raises ValueError for NaN and infinity: JSON cannot express them, and no figure may be one.
    """
    try:
        return (_File(format=FINDINGS_FORMAT, findings=findings).model_dump_json() + "\n").encode()
    except (ValidationError, PydanticSerializationError) as error:
        raise ValueError(f"these findings cannot be written: {error}") from error


def findings_from_json(content: bytes, version: str) -> Findings:
    """The findings of a version; raises ModelFormatError for anything but what this release writes."""
    file = f"{FINDINGS_FILE} of version {version}"
    try:
        require_format(file, _Head.model_validate_json(content).format, FINDINGS_FORMAT)
        return _File.model_validate_json(content).findings
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the whole file"
        raise ModelFormatError(f"{file} is not valid ({key}: {first['msg']}): fit again with this release") from error


def read_findings(store: ModelStore, version: str) -> Findings:
    """The findings of a stored version; raises ModelFormatError, and whatever ModelStore.file raises."""
    return findings_from_json(store.file(version, FINDINGS_FILE), version)


def fitted_days(store: ModelStore, versions: Iterable[str]) -> dict[str, date]:
    """The day to which the fit of each version counted days, of those that have dates, in any format of the file.

    Raises ModelFormatError for a file without it, and whatever ModelStore.file raises.
    """
    days = {version: _day(store.file(version, FINDINGS_FILE), version) for version in versions}
    return {version: day for version, day in days.items() if day is not None}


def _day(content: bytes, version: str) -> date | None:
    try:
        return _AnyFormat.model_validate_json(content).findings.origin.options.day
    except ValidationError as error:
        raise ModelFormatError(
            f"{FINDINGS_FILE} of version {version} does not say to which day its fit counted days: give it with --as-of"
        ) from error
