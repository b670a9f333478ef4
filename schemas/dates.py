"""Dates of which a model reads only how many days ago they were."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any, Final

from pydantic_core import CoreSchema, core_schema

NOT_ISO: Final = "not_an_iso_date"
"""The type of pydantic's error for a value that is not text such as 2026-01-31."""
ISO_TEXT: Final = core_schema.custom_error_schema(
    core_schema.str_schema(strict=True, pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    custom_error_type=NOT_ISO,
    custom_error_message="Input should be a date such as 2026-01-31",
)
_ISO: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


def days_schema(schema: Any) -> CoreSchema:
    """The schema of a date as ISO 8601 has it, or of a number of days, which is never negative.

    A date is checked in two steps, since pydantic also takes a number of seconds for one. Empty text is a missing date
    where it may be missing.
    """
    if schema["type"] == "nullable":
        inner = days_schema(schema["schema"])
        schema = {**schema, "schema": or_empty(inner) if inner["type"] == "chain" else inner}
    elif schema["type"] == "date":
        schema = core_schema.chain_schema([ISO_TEXT, {**schema, "strict": False}])
    elif schema["type"] in {"float", "int"}:
        schema = {"ge": 0, **schema}
    found: CoreSchema = schema
    return found


def or_empty(schema: Any) -> CoreSchema:
    """The schema of a value that is also missing where there is empty text."""
    return core_schema.no_info_wrap_validator_function(
        none_if_empty,
        schema,
        json_schema_input_schema=core_schema.union_schema([schema, core_schema.literal_schema([""])]),
    )


def none_if_empty(value: Any, check: Callable[[Any], Any]) -> Any:
    """The value as it is checked, and None for empty text."""
    return None if isinstance(value, str) and not value else check(value)


def is_iso_date(value: object) -> bool:
    """Whether the value is text with a date such as 2026-01-31."""
    if type(value) is not str or not _ISO.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def days_between(day: date, today: date) -> int:
    """Days from one to the other; negative for a day after today."""
    return today.toordinal() - day.toordinal()
