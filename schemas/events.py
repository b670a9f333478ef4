"""The events that come in and go out: CloudEvents 1.0 in structured JSON mode."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

OBSERVED_TYPE = "user.profile.observed.v1"
USER_ERASED_TYPE = "user.erased.v1"
ASSIGNED_TYPE = "user.segment.assigned.v1"
SEGMENT_ERASED_TYPE = "user.segment.erased.v1"
CONTENT_TYPE = "application/cloudevents+json"

# The namespace of assignment ids; it never changes, or readers could not deduplicate by id.
ASSIGNMENT_NAMESPACE = uuid.UUID("6f6e4970-d83a-5274-9876-89b4f38c409a")


class TombstoneHeader(StrEnum):
    """The headers of a tombstone in the current topic: the input record that erased the user."""

    TOPIC = "input.topic"
    PARTITION = "input.partition"
    OFFSET = "input.offset"


_RFC_3339 = r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$"


class _TimestampSchema:
    """RFC 3339, checked in two steps: first the format, since pydantic also accepts "1234567", then the calendar."""

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.chain_schema(
            [
                core_schema.str_schema(strict=True, pattern=_RFC_3339),
                core_schema.datetime_schema(strict=False, tz_constraint="aware"),
            ]
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": "date-time"}


Timestamp = Annotated[datetime, _TimestampSchema()]
# Bounded, because the output event repeats them and brokers refuse records that are too large.
IDENTIFIER_MAX = 1024
Identifier = Annotated[str, Field(strict=True, min_length=1, max_length=IDENTIFIER_MAX)]

Profile = TypeVar("Profile", bound=BaseModel)


class UserEvent(BaseModel, Generic[Profile]):
    """A user's profile as an upstream application observed it; unknown attributes are ignored."""

    # Not strict as a whole, which would refuse an object for `data`: each attribute is strict on its own.
    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"]
    type: Literal["user.profile.observed.v1"]
    source: Identifier
    id: Identifier
    subject: Identifier = Field(description="The user's id, and the record's key.")
    time: Timestamp = Field(description="When the profile was observed, with a time zone.")
    data: Profile


class UserErased(BaseModel):
    """A user who must be forgotten, as an upstream application says; other attributes, data included, are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"]
    type: Literal["user.erased.v1"]
    source: Identifier
    id: Identifier
    subject: Identifier = Field(description="The user's id, and the record's key.")
    time: Timestamp = Field(description="When the user was erased, with a time zone.")


class Erasure(NamedTuple):
    """That a user is to be forgotten, however a record says it."""

    id: str
    subject: str
    time: datetime


class ModelReference(BaseModel):
    """The model that made an assignment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    digest: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the version's model.json.")


class InputReference(BaseModel):
    """The event that an assignment was made for, and where it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Identifier
    topic: str
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)
    time: Timestamp


class Assignment(BaseModel):
    """The segment of one user at one time, and how certain the assignment is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    segment: int = Field(ge=0, description="The segment's stable number.")
    segment_name: str
    distance: float = Field(ge=0, description="Euclidean distance to the segment's centre, in scaled units.")
    margin: float = Field(ge=0, le=1, description="1 − d₁/d₂: 0 on the border to the next segment, 1 at the centre.")
    outlier: bool = Field(
        description="Farther from the centre than 99.5 % of the segment's users in training, or out of range."
    )
    unknown_values: tuple[str, ...] = Field(description="Fields with a value that training had not seen.")
    missing_values: tuple[str, ...] = Field(description="Fields without a value; each counts as its mean.")
    out_of_range: tuple[str, ...] = Field(
        description="Fields with a number far outside what training saw: beyond the range to which numbers are clipped "
        "by more than the width of that range."
    )
    model: ModelReference
    input: InputReference


class SegmentAssigned(BaseModel):
    """One assignment, published for exactly one accepted event."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    specversion: Literal["1.0"]
    type: Literal["user.segment.assigned.v1"]
    source: str
    id: uuid.UUID = Field(description="UUIDv5 of <cluster id>/<topic>/<partition>/<offset> of the input record.")
    subject: Identifier = Field(description="The user's id, and the record's key.")
    time: Timestamp = Field(description="When the segment was assigned.")
    data: Assignment


class ErasedSegment(BaseModel):
    """What a user's erasure answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: InputReference


class SegmentErased(BaseModel):
    """A user has no segment any more: published for exactly one erasure, in its place among the user's assignments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    specversion: Literal["1.0"]
    type: Literal["user.segment.erased.v1"]
    source: str
    id: uuid.UUID = Field(description="UUIDv5 of <cluster id>/<topic>/<partition>/<offset> of the input record.")
    subject: Identifier = Field(description="The user's id, and the record's key.")
    time: Timestamp = Field(description="When the segment was erased.")
    data: ErasedSegment
