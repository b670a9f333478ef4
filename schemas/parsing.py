"""Reads the JSON of a record and validates the event in it, or says the first reason to reject it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, get_args

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from schemas.dates import NOT_ISO
from schemas.events import OBSERVED_TYPE, USER_ERASED_TYPE
from schemas.rejected import Rejection, RejectReason
from schemas.values import NOT_CAUSED_BY_EVENT, class_failed

DETAIL_MAX_BYTES: Final = 1000
# The cost of reading an event depends on the number of its values more than on its bytes: 900 kB of empty arrays take
# 50 times as long as 900 kB of text. Each value but the first follows one of these.
_BEFORE_VALUES: Final = b",[{"
MAX_VALUES: Final = 10_000

Event = TypeVar("Event", bound=BaseModel)
_Place = Callable[[Sequence[str | int]], str]


class Located(dict[str, Any]):
    """Attributes of which the places differ from record to record."""

    def __init__(self, attributes: Mapping[str, Any], place: _Place) -> None:
        """`place` names a place in this record."""
        super().__init__(attributes)
        self.place = place


def sized(value: bytes | None, max_bytes: int) -> bytes | Rejection:
    """The value, or why it is rejected before it is read."""
    if not value:
        return Rejection(RejectReason.EMPTY, "the record has no value" if value is None else "the value has no bytes")
    if len(value) > max_bytes:
        return Rejection(RejectReason.TOO_LARGE, f"{len(value):,} bytes, at most {max_bytes:,} are allowed")
    return value


def load_json(value: bytes | None, max_bytes: int) -> Any | Rejection:
    """The document in a record's value, or the first reason to reject it before anything in it is looked at."""
    json = sized(value, max_bytes)
    if isinstance(json, Rejection):
        return json
    # An ordinary event is too short for so many, and is not searched. Those inside strings are counted too: telling
    # them apart costs more than everything else.
    if len(json) > MAX_VALUES and len(json) - len(json.translate(None, _BEFORE_VALUES)) > MAX_VALUES:
        return Rejection(RejectReason.TOO_LARGE, f"more than {MAX_VALUES:,} commas and opening brackets")
    try:
        # Not pydantic's own reader: it accepts NaN, Infinity and 1e999, and each error costs as much as reading the
        # whole document, once per missing field.
        return orjson.loads(json)
    except orjson.JSONDecodeError as error:
        return Rejection(RejectReason.NOT_JSON, str(error))


def validate(attributes: Any, event_class: type[Event], place: _Place) -> Event | Rejection:
    """The event that has these attributes, or the first reason to reject it; never raises for any of them.

    `place` names a place in the event, unless the attributes themselves do; the profile is `data`.
    """
    place = attributes.place if isinstance(attributes, Located) else place
    try:
        try:
            return event_class.model_validate(attributes)
        except ValidationError as error:
            return _classify(error.errors(include_url=False, include_context=False), place)
    except NOT_CAUSED_BY_EVENT:
        raise
    except BaseException as error:  # noqa: BLE001  # validators may raise anything, sys.exit and Rust's panics included
        return Rejection(RejectReason.INVALID_PROFILE, f"{place(('data',))}: {class_failed(error)}")


def _classify(problems: Sequence[ErrorDetails], place: _Place) -> Rejection:
    envelope = [problem for problem in problems if problem["loc"][:1] != ("data",) and not _names_another_type(problem)]
    if envelope:
        return Rejection(RejectReason.INVALID_ENVELOPE, _describe(envelope, place))
    if any(map(_names_another_type, problems)):
        return Rejection(RejectReason.UNKNOWN_TYPE, f"type: only {OBSERVED_TYPE} and {USER_ERASED_TYPE} are supported")
    return Rejection(RejectReason.INVALID_PROFILE, _describe(problems, place))


def _names_another_type(problem: ErrorDetails) -> bool:
    return problem["loc"] == ("type",) and isinstance(problem["input"], str) and problem["input"] != ""


def _describe(problems: Sequence[ErrorDetails], place: _Place) -> str:
    text = "; ".join(f"{place(problem['loc'])}: {_rule(problem)}" for problem in problems)
    encoded = text.encode()
    if len(encoded) <= DETAIL_MAX_BYTES:
        return text
    return encoded[: DETAIL_MAX_BYTES - 4].decode(errors="ignore") + " …"


def _rule(problem: ErrorDetails) -> str:
    if problem["loc"] == ("time",) and problem["type"] == "string_pattern_mismatch":
        return "must be an RFC 3339 date and time with a time zone"
    if problem["loc"] == ("time",) and problem["type"].startswith("datetime_"):
        if _LEAP_SECOND.search(str(problem["input"])):
            return "is a leap second, and times have seconds from 00 to 59; send second 59, or the next one"
        return "must be a valid date and time (year 1 to 9999, zone within ±23:59)"
    if problem["type"] in _IN_JSON:
        return f"input should be {_IN_JSON[problem['type']]}"
    if problem["type"] not in _WITHOUT_VALUES and problem["loc"][:1] == ("data",):
        return "breaks a rule of the profile class"
    return problem["msg"][:1].lower() + problem["msg"][1:]


_LEAP_SECOND: Final = re.compile(r":60(?:\.|[Zz]|[+-])")
# Where pydantic would name Python's types.
_IN_JSON: Final = {
    "model_type": "an object",
    "frozen_set_type": "an array",
    "list_type": "an array",
    "set_type": "an array",
    "tuple_type": "an array",
}
# The text of all other errors comes from a profile class's own validator, or quotes the value.
_WITHOUT_VALUES: Final = frozenset({NOT_ISO, *get_args(ErrorType)}) - {
    "assertion_error",
    "get_attribute_error",
    "iteration_error",
    "mapping_type",
    "union_tag_invalid",
    "uuid_parsing",
    "value_error",
}
