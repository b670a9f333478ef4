"""What is written down about a version: where it came from, what it is good for, and the digest of each file."""

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

MANIFEST_FORMAT = 1

VERSION_PATTERN = r"^\d{8}T\d{6}Z-[0-9a-f]{8}$"

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
# A plain name: no path of a manifest can leave its folder.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]


class Verdict(StrEnum):
    """Whether the data have segments at all."""

    CLEAR = "clear"
    WEAK = "weak"
    NONE = "none"


class Fate(StrEnum):
    """What became of a segment between two versions."""

    KEPT = "kept"
    SPLIT = "split"
    MERGED = "merged"
    NEW = "new"
    RETIRED = "retired"


class ProfileReference(BaseModel):
    """The profile class that a model was fitted for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    schema_digest: Digest

    @classmethod
    def of(cls, profile_class: type[BaseModel]) -> ProfileReference:
        """The reference to a class, by its name and the digest of its fields."""
        return cls(name=profile_class.__name__, schema_digest=schema_digest(profile_class))


class ColumnUse(BaseModel):
    """The columns that count in the distance, and those that do not, with the reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kept: tuple[str, ...]
    left_out: Mapping[str, str] = Field(description="Field name -> why it was left out.")


class TrialFigures(BaseModel):
    """One number of segments that was tried, on the judged sample."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    silhouette: float = Field(description="Mean silhouette of the sample.")
    null_silhouette: float | None = Field(description="The same, mean of the draws of data without segments.")
    gap: float | None = Field(description="Mean log inertia of those draws − log inertia of the sample.")
    stability: float | None = Field(description="Least mean Jaccard of a segment with its match in resamples.")


class JudgementFigures(BaseModel):
    """On what the verdict rests."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    effect: float = Field(description="E = (S − mean S₀) / (1 − mean S₀).")
    p_value: float = Field(description="(1 + draws with S₀ ≥ S) / (draws + 1).")
    draws: int = Field(ge=1, description="Sets of data with the same columns and no segments.")
    null_silhouette: float = Field(description="Mean S₀: the best silhouette in such data, on average.")
    jaccard: Mapping[int, float] = Field(description="Stable number -> mean Jaccard with its match in resamples.")
    border_dip_p: Mapping[int, float] = Field(
        description="Stable number -> p-value of the dip test on the line to the nearest neighbour."
    )
    humps: tuple[str, ...] = Field(description="Headers of the numbers that have several humps by themselves.")
    runner_up: int | None = Field(description="The number of segments that came second.")
    elbow_k: int | None = Field(description="Where the inertia curve bends (kneed); shown, it does not vote.")
    sample_rows: int = Field(ge=1)
    by_k: Mapping[int, TrialFigures] = Field(description="k -> figures, for each k that was tried.")


class SegmentFateFigures(BaseModel):
    """What became of one segment."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    fate: Fate
    overlap: float | None = Field(description="Highest Jaccard with a segment of the other version, where shown.")
    others: tuple[int, ...] = Field(description="Segments of the other version that it is, came from or went into.")


class Churn(BaseModel):
    """How many users change their segment when one version replaces another."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    against: str = Field(pattern=VERSION_PATTERN, description="The version that is replaced.")
    churn: float = Field(ge=0, le=1, description="Share of the users whose stable number changes.")
    moved: int = Field(ge=0, description="Users whose stable number changes.")
    compared: int = Field(ge=1)


class LineageFigures(Churn):
    """What became of the segments of the version that was in production when this one was fitted."""

    fates: Mapping[int, SegmentFateFigures] = Field(
        description="Stable number -> fate, of every segment, then of those of the version before that are no more."
    )


class Fit(BaseModel):
    """What a fit says of itself, before it has an id and files."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    created_at: AwareDatetime
    parent: str | None = Field(pattern=VERSION_PATTERN, description="The production version when this one was fitted.")
    k: int = Field(ge=1, description="The number of segments that were fitted.")
    k_supported: int = Field(ge=1, description="The number of segments that the data support; 1 when nothing is there.")
    verdict: Verdict
    verdict_reason: str
    columns: ColumnUse
    silhouette: float = Field(description="Mean silhouette of the fitted segments on the judged sample.")
    judgement: JudgementFigures
    lineage: LineageFigures | None = Field(
        default=None, description="Measured on the history of the fit; null when nothing comparable was in production."
    )
    given_names: Mapping[int, str] = Field(default={}, description="Stable number -> name that a person gave.")
    segment_names: Mapping[int, str] = Field(default={}, description="Stable number -> name, of every segment.")
    min_segment_users: int = Field(ge=1, description="A segment of fewer users would not have been published.")
    segment_sizes: Mapping[int, int] = Field(description="Stable number -> users of the history.")
    rows: int = Field(ge=1)
    rows_skipped: int = Field(ge=0, description="Bad rows that were left out of the fit.")
    data_sha256: Digest
    seed: int
    options: Mapping[str, str] = Field(description="What was asked for on the command line, beside the data.")
    libraries: Mapping[str, str] = Field(description="Package -> version.")
    profile: ProfileReference


class Manifest(Fit):
    """A published version: the fit, and what the store adds: its id, the next number, the SHA-256 of each file."""

    format: int
    id: str = Field(pattern=VERSION_PATTERN)
    next_number: int = Field(
        ge=1,
        lt=NUMBERS_END,
        description="The least stable number that no version of the store had used, this one included.",
    )
    files: Mapping[FileName, Digest] = Field(max_length=MANIFEST_MAX_FILES)

    def check_profile(self, profile_class: type[BaseModel]) -> None:
        """Raise ProfileMismatch unless the version was fitted for this class, by name and by digest of its fields."""
        given = ProfileReference.of(profile_class)
        if given == self.profile:
            return
        raise ProfileMismatch(
            f"version {self.id} was fitted for profile class {self.profile.name} "
            f"(schema {self.profile.schema_digest[:12]}), in use is {given.name} (schema {given.schema_digest[:12]}): "
            "set PROFILE_CLASS to the class of the fit, or fit again with --profile"
        )


def version_id(created_at: datetime, model_digest: str) -> str:
    """The id of a version: when it was made (UTC, to the second) and the first digits of its model's digest."""
    return f"{created_at:%Y%m%dT%H%M%SZ}-{model_digest[:8]}"


def sha256(content: bytes) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
