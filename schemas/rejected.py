"""From the bytes of a record to an event, or to the first reason why it is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.events import OBSERVED_TYPE, UserEvent

DETAIL_MAX_BYTES = 1000


class RejectReason(StrEnum):
    """Why an event was turned away; the first that applies, in this order."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    INVALID_ENVELOPE = "invalid_envelope"
    UNKNOWN_TYPE = "unknown_type"
    INVALID_PROFILE = "invalid_profile"


class RejectedHeader(StrEnum):
    """The headers that a rejected record carries beside its own."""

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


Profile = TypeVar("Profile", bound=BaseModel)


def parse_event(
    value: bytes | None, event_class: type[UserEvent[Profile]], max_bytes: int
) -> UserEvent[Profile] | Rejection:
    """The event in a record's value, or the first reason why there is none; never raises for any bytes."""
    if not value:
        return Rejection(RejectReason.EMPTY, "the record has no value" if value is None else "the value has no bytes")
    if len(value) > max_bytes:
        return Rejection(RejectReason.TOO_LARGE, f"{len(value)} bytes, {max_bytes} are allowed")
    try:
        # Read twice, on purpose: pydantic's own reader takes NaN, Infinity and 1e999, orjson refuses all three.
        orjson.loads(value)
    except orjson.JSONDecodeError as error:
        return Rejection(RejectReason.NOT_JSON, str(error))
    try:
        return event_class.model_validate_json(value)
    except ValidationError as error:
        return _classify(error.errors(include_url=False, include_context=False))


def _classify(problems: Sequence[ErrorDetails]) -> Rejection:
    if any(problem["type"] == "json_invalid" for problem in problems):
        # orjson took it, so the syntax is right: pydantic's reader allows fewer levels and shorter numbers.
        return Rejection(RejectReason.NOT_JSON, "nested too deeply, or a number too long")
    unknown_type = [problem for problem in problems if problem["loc"] == ("type",) and _names_a_type(problem["input"])]
    envelope = [problem for problem in problems if problem["loc"][:1] != ("data",) and problem not in unknown_type]
    if envelope:
        return Rejection(RejectReason.INVALID_ENVELOPE, _describe(envelope))
    if unknown_type:
        return Rejection(RejectReason.UNKNOWN_TYPE, f"type: only {OBSERVED_TYPE} is read here")
    return Rejection(RejectReason.INVALID_PROFILE, _describe(problems))


def _names_a_type(given: object) -> bool:
    return isinstance(given, str) and given != ""


def _describe(problems: Sequence[ErrorDetails]) -> str:
    text = "; ".join(f"{_place(problem)}: {_rule(problem)}" for problem in problems)
    encoded = text.encode()
    if len(encoded) <= DETAIL_MAX_BYTES:
        return text
    return encoded[: DETAIL_MAX_BYTES - 4].decode(errors="ignore") + " …"


def _place(problem: ErrorDetails) -> str:
    return ".".join(str(part) for part in problem["loc"]) or "the event"


def _rule(problem: ErrorDetails) -> str:
    if problem["loc"] == ("time",) and problem["type"] == "string_pattern_mismatch":
        return "must be an RFC 3339 date and time with a time zone"
    if problem["type"] in {"value_error", "assertion_error"}:
        # The text comes from a profile class's own validator and may repeat the value.
        return "breaks a rule of the profile class"
    return problem["msg"][:1].lower() + problem["msg"][1:]
