"""Why a record goes to the dead-letter topic, and the headers that carry the reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RejectReason(StrEnum):
    """Why an event was rejected: the first that applies, in this order."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_AVRO = "not_avro"
    """Also a schema of another kind, or one that cannot be used."""
    UNKNOWN_SCHEMA = "unknown_schema"
    """The schema registry does not know it."""
    INVALID_ENVELOPE = "invalid_envelope"
    UNKNOWN_TYPE = "unknown_type"
    INVALID_PROFILE = "invalid_profile"
    TOO_LITTLE_KNOWN = "too_little_known"
    INTERNAL_ERROR = "internal_error"
    """The worker or its model failed on a valid event: a bug, or a model that is not valid."""


class RejectedHeader(StrEnum):
    """The headers that are added to a rejected record."""

    REASON = "rejected.reason"
    DETAIL = "rejected.detail"
    TOPIC = "rejected.topic"
    PARTITION = "rejected.partition"
    OFFSET = "rejected.offset"
    TIMESTAMP = "rejected.timestamp"
    AT = "rejected.at"
    BY = "rejected.by"
    NULLS = "rejected.nulls"
    TRUNCATED = "rejected.truncated"
    LEFT_OUT = "rejected.left_out"
    SHA256 = "rejected.sha256"


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a value is not an event; the detail names the field and the rule, never the value."""

    reason: RejectReason
    detail: str
