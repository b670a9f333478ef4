"""The manifest of a version: where it came from, how good it is, and the digest of each file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.errors import ProfileMismatch
from models.limits import MANIFEST_MAX_FILES, NUMBERS_END
from schemas.roles import schema_digest

# 2: without the evidence and the provenance, which findings.json has alone.
MANIFEST_FORMAT = 2

VERSION_PATTERN = r"^\d{8}T\d{6}Z-[0-9a-f]{8}$"

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
# A plain name, so that no path in a manifest leads out of its folder.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]


class Verdict(StrEnum):
    """Whether the data has segments at all."""

    CLEAR = "clear"
    WEAK = "weak"
    NONE = "none"


class ProfileReference(BaseModel):
    """The profile class that a model was fitted for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    schema_digest: Digest

    @classmethod
    def of(cls, profile_class: type[BaseModel]) -> ProfileReference:
        """The reference to a class, by its name and the digest of its fields."""
        return cls(name=profile_class.__name__, schema_digest=schema_digest(profile_class))

    def __str__(self) -> str:
        return f"profile class {self.name} (schema {self.schema_digest[:12]})"


class Reassigned(BaseModel):
    """How many users change their segment when one version replaces another."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    against: str = Field(pattern=VERSION_PATTERN, description="The version that is replaced.")
    share: float = Field(ge=0, le=1, description="Share of the users whose segment number changes.")
    users: int = Field(ge=0, description="Users whose segment number changes.")
    compared: int = Field(ge=1, description="Users that were compared.")


class Fit(BaseModel):
    """What a fit contributes to the manifest: what listing, promoting and refitting need.

    The evidence and the provenance are in findings.json, whose digest the manifest holds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    created_at: AwareDatetime
    parent: str | None = Field(pattern=VERSION_PATTERN, description="The production version when this one was fitted.")
    k: int = Field(ge=1, description="The number of segments that were fitted.")
    verdict: Verdict
    verdict_reason: str
    silhouette: float = Field(description="Mean silhouette of the fitted segments on the judged sample.")
    rows: int = Field(ge=1, description="Users of the history.")
    reassigned: Reassigned | None = Field(
        default=None, description="Measured on the history of the fit; null when nothing comparable was in production."
    )
    given_names: Mapping[int, str] = Field(default={}, description="Segment number -> name given by a person.")
    missing: Mapping[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        default={}, description="Field -> share of the users without a value; fields that always have one are absent."
    )
    profile: ProfileReference


class Manifest(Fit):
    """A published version: the fit, and what the store adds to it."""

    format: int
    id: str = Field(pattern=VERSION_PATTERN)
    next_number: int = Field(
        ge=1,
        lt=NUMBERS_END,
        description="The least segment number not used by any version of the profile class, including this one.",
    )
    files: Mapping[FileName, Digest] = Field(max_length=MANIFEST_MAX_FILES)

    def check_profile(self, profile_class: type[BaseModel]) -> None:
        """Raise ProfileMismatch unless the version was fitted for this class, by name and by digest of its fields."""
        given = ProfileReference.of(profile_class)
        if given == self.profile:
            return
        raise ProfileMismatch(
            f"version {self.id} was fitted for {self.profile}, but {given} is in use: "
            "set PROFILE_CLASS to the class of the fit, or fit again with the class in use"
        )


def version_id(created_at: datetime, model_digest: str) -> str:
    """The id of a version: its time of creation (UTC, to the second) and the first digits of its model's digest."""
    return f"{created_at:%Y%m%dT%H%M%SZ}-{model_digest[:8]}"


def sha256(content: bytes) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
