"""The parts of an event, user, time and id: what each may be, for a class and for columns alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, get_args

from msgspec import Meta
from pydantic import BeforeValidator, PlainValidator, WrapValidator
from pydantic_core import PydanticCustomError

from schemas.events import IDENTIFIER_MAX, Identifier, Timestamp
from schemas.formats.pointers import Pointer
from schemas.formats.records import InputRecords
from schemas.formats.times import UNITS, TimeFormat, Wrong, moment, moments_in_text, moments_since_1970

Column = Callable[[Sequence[Any]], tuple[Sequence[Any], Wrong]]
"""Turns what was read into values, and names the positions of those that are left to the exact way."""


@dataclass(frozen=True, slots=True)
class PartType:
    """What the values of a part are."""

    exact: Any
    """The type for a pydantic class, which says what is valid."""
    msgspec: Any
    """The type in JSON."""
    column: Column
    """It never takes a value that the class refuses."""
    json_schema: Mapping[str, Any] = field(default_factory=dict)
    """Of a value in JSON."""


@dataclass(frozen=True, slots=True)
class Part:
    """Where a part is: in the record itself, or in the first of these places with a value that is not null.

    Or else it is the attribute of its name in the headers.
    """

    type: PartType
    places: tuple[Pointer, ...] = ()
    of_record: Callable[[InputRecords, int], Any] | None = None


def _as_it_is(values: Sequence[Any]) -> tuple[Sequence[Any], Wrong]:
    return values, ()


_TEXT: Final = Annotated[str, Meta(min_length=1, max_length=IDENTIFIER_MAX)]
_TEXT_SCHEMA: Final = {"type": "string", "minLength": 1, "maxLength": IDENTIFIER_MAX}
IDENTIFIER: Final = PartType(Identifier, _TEXT, _as_it_is, _TEXT_SCHEMA)


def _text_or_integer(value: Any) -> Any:
    # Larger integers reach this as the nearest float.
    if type(value) is int:
        return str(value)
    if isinstance(value, float):
        raise PydanticCustomError("user_id", "input should be a string, or an integer of at most 64 bits")
    return value


def _texts(values: Sequence[Any]) -> tuple[Sequence[Any], Wrong]:
    wrong = [at for at, value in enumerate(values) if type(value) is int and not -(2**63) <= value < 2**64]
    return [str(value) for value in values], wrong


IDENTIFIER_OR_INTEGER: Final = PartType(
    Annotated[Identifier, BeforeValidator(_text_or_integer)],
    _TEXT | int,
    _texts,
    {**_TEXT_SCHEMA, "type": ["string", "integer"]},
)


def _key_text(key: bytes | None) -> str:
    if key is None:
        raise PydanticCustomError("no_key", "the record has no key")
    try:
        return key.decode()
    except UnicodeDecodeError as error:
        raise PydanticCustomError("key_not_utf_8", "the record's key is not UTF-8") from error


def text_or_bytes(content: bytes) -> str | bytes:
    """The text, or what is not UTF-8 as it is."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def _only_texts(values: Sequence[Any]) -> tuple[Sequence[str], Wrong]:
    texts = [value if isinstance(value, str) else "" for value in values]
    return texts, [at for at, text in enumerate(texts) if not 0 < len(text) <= IDENTIFIER_MAX]


def _utf_8(keys: Sequence[bytes | None]) -> tuple[Sequence[str], Wrong]:
    return _only_texts([text_or_bytes(key or b"") for key in keys])


KEY: Final = PartType(Annotated[Identifier, BeforeValidator(_key_text)], None, _utf_8)
RFC_3339: Final = PartType(Timestamp, str, moments_in_text, {"type": "string", "format": "date-time"})


def _attribute_times(values: Sequence[Any]) -> tuple[Sequence[datetime], Wrong]:
    # What is not text is not a time.
    return moments_in_text(_only_texts(values)[0])


ATTRIBUTE: Final = PartType(Identifier, None, _only_texts)
ATTRIBUTE_TIME: Final = PartType(Timestamp, None, _attribute_times)


def _since_1970(unit: TimeFormat) -> PartType:
    def exact(value: Any) -> datetime:
        if type(value) not in {int, float}:
            raise PydanticCustomError("time_number", f"input should be a number of {UNITS[unit]} since 1970")
        try:
            return moment(value, unit)
        except (OverflowError, ValueError) as error:  # ValueError: not a number, which Avro can have
            text = f"must be in the years 1 to 9999, as {UNITS[unit]} since 1970"
            raise PydanticCustomError("time_range", text) from error

    schema = {"type": "number", "description": f"{UNITS[unit].capitalize()} since 1970."}
    return PartType(Annotated[datetime, PlainValidator(exact)], int | float, moments_since_1970(unit), schema)


TIME_TYPES: Final = {TimeFormat.RFC3339: RFC_3339, **{unit: _since_1970(unit) for unit in UNITS}}


def or_moments(of: PartType) -> PartType:
    """Times of this type, or moments that a format other than JSON has."""

    def exact(value: Any, validated: Callable[[Any], Any]) -> Any:
        if isinstance(value, datetime):
            return value
        if of is RFC_3339 and isinstance(value, int | float):
            text = (
                "must be a timestamp in the years 1 to 9999 by its schema; for a number, set WORKER_INPUT_TIME_FORMAT"
            )
            raise PydanticCustomError("time_number", text)
        return validated(value)

    def column(values: Sequence[Any]) -> tuple[Sequence[Any], Wrong]:
        if {*map(type, values)} == {datetime}:
            return values, ()
        found = [*values]
        others = [at for at, value in enumerate(found) if not isinstance(value, datetime)]
        readable = [at for at in others if type(found[at]) in get_args(of.msgspec) or type(found[at]) is of.msgspec]
        moments, wrong = of.column([found[at] for at in readable])
        for at, moment_ in zip(readable, moments, strict=True):
            found[at] = moment_
        return found, {*others} - {*readable} | {readable[at] for at in wrong}

    return PartType(Annotated[of.exact, WrapValidator(exact)], Any, column)


def _record_time(timestamp_ms: int) -> datetime:
    if timestamp_ms < 0:
        raise PydanticCustomError("no_record_time", "the record has no timestamp")
    try:
        return moment(timestamp_ms, TimeFormat.MILLISECONDS)
    except OverflowError as error:
        raise PydanticCustomError("record_time", "the record's timestamp is after the year 9999") from error


def _record_times(timestamps_ms: Sequence[int]) -> tuple[Sequence[datetime], Wrong]:
    moments, wrong = moments_since_1970(TimeFormat.MILLISECONDS)(timestamps_ms)
    return moments, {*wrong, *(at for at, timestamp_ms in enumerate(timestamps_ms) if timestamp_ms < 0)}


_RECORD_TIME: Final = PartType(Annotated[datetime, PlainValidator(_record_time)], None, _record_times)


def _reference(records: InputRecords, row: int) -> str:
    return f"{records.topic}/{records.partitions[row]}/{records.offsets[row]}"


OF_RECORD: Final = {
    "$key": Part(KEY, of_record=lambda records, row: records.keys[row]),
    "$timestamp": Part(_RECORD_TIME, of_record=lambda records, row: records.timestamps_ms[row]),
    "$offset": Part(IDENTIFIER, of_record=_reference),
}
