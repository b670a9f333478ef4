"""Events in Avro: the same places as in JSON; that columns agree with the exact way is in tests/fuzz."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import AliasPath, BaseModel, Field

from schemas.event_columns import EventReader, Read
from schemas.formats.avro import RegisteredSchema, WriterSchemas
from schemas.formats.mapped import PRESETS_IN_AVRO, Given, mapped
from schemas.formats.times import TimeFormat
from schemas.formats.where import where
from schemas.parsing import MAX_VALUES
from schemas.rejected import RejectReason
from schemas.roles import boolean, category, days_since, number, several_of
from tests.support.avro import record_schema, registered, wire
from tests.support.reading import read_both_ways
from tests.support.scoring import record
from worker.stream.records import Record

MAX_BYTES = 900_000
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}


class Own(BaseModel):
    history_id_column: ClassVar[str] = "id"
    x: Annotated[float, number("a"), Field(ge=0)]
    label: Annotated[str, category("a")]


OWN = {"x": "double", "label": "string"}
GOOD: dict[str, Any] = {"x": 1.5, "label": "a"}


def read(
    schemas: WriterSchemas,
    *records: Record,
    profile_class: type[BaseModel] = Own,
    preset: str = "avro",
    numeric_ids: bool = False,
    **given: Any,
) -> Read:
    """What the records are; the same in columns and in the exact way."""
    all_given = Given(**{"user": "/user", **given})
    of = mapped(PRESETS_IN_AVRO[preset], all_given, numeric_ids=numeric_ids, load=schemas.load)
    together, exact = read_both_ways(EventReader(profile_class, MAX_BYTES, of), records)
    for name, column in together.events.profile.items():
        assert [*map(plain, column)] == [*map(plain, exact.events.profile[name])]
    return together


def plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, list | tuple | set | frozenset) else value


def having(**by_id: Any) -> WriterSchemas:
    """Schemas: s7 has the id 7."""
    schemas = WriterSchemas()
    for name, schema in by_id.items():
        schemas.add(int(name[1:]), schema if isinstance(schema, RegisteredSchema | None) else registered(schema))
    return schemas


def one(value: Any, given: dict[str, Any] | None = None, *, schema: Any, **more: Any) -> Read:
    """What a record of this schema is."""
    return read(having(s7=schema), record(wire(7, schema, value)), **(given or {}), **more)


def rejected(found: Read) -> tuple[RejectReason, str]:
    (rejection,) = found.rejections.values()
    return rejection.reason, rejection.detail


def test_each_part_is_where_its_pointer_says() -> None:
    who = record_schema("Who", id="string", at=MILLIS)
    schema = record_schema(who=who, traits=record_schema("Traits", **OWN), more={"type": "map", "values": "long"})
    value = {"who": {"id": "u", "at": 1_764_000_000_123}, "traits": GOOD, "more": {"a": 1}}
    events, rejections, ignored, _ = one(
        value, {"user": "/who/id", "time": "/who/at", "data": "/traits"}, schema=schema
    )
    assert (rejections, [*ignored]) == ({}, [])
    assert ([*events.subjects], [*events.ids]) == (["u"], ["user-activity/3/0"])
    assert [*events.times] == [datetime(2025, 11, 24, 16, 0, 0, 123_000, UTC)]
    assert {name: [*column] for name, column in events.profile.items()} == {"x": [1.5], "label": ["a"]}


@pytest.mark.parametrize(
    ("type_", "written", "time_format", "moment"),
    [
        (MILLIS, 1_764_000_000_123, None, "2025-11-24T16:00:00.123000+00:00"),
        (MILLIS, 1_764_000_000_123, "us", "2025-11-24T16:00:00.123000+00:00"),
        (["null", MILLIS], -1, "rfc3339", "1969-12-31T23:59:59.999000+00:00"),
        ({"type": "long", "logicalType": "timestamp-micros"}, 1, "s", "1970-01-01T00:00:00.000001+00:00"),
        ("long", 1_764_000_000, "s", "2025-11-24T16:00:00+00:00"),
        ("double", 1.5, "s", "1970-01-01T00:00:01.500000+00:00"),
        ("string", "2025-11-24T16:00:00Z", None, "2025-11-24T16:00:00+00:00"),
        ("string", "2025-11-24t16:00:00z", None, "2025-11-24T16:00:00+00:00"),
    ],
)
def test_a_timestamp_of_the_schema_is_the_time_and_others_are_as_declared(
    type_: Any, written: Any, time_format: str | None, moment: str
) -> None:
    schema = record_schema(user="string", at=type_, **OWN)
    plain_schema = record_schema(user="string", at=_without_logical(type_), **OWN)
    value = wire(7, plain_schema, {"user": "u", "at": written, **GOOD})
    given: dict[str, Any] = {"time": "/at", "time_format": None if time_format is None else TimeFormat(time_format)}
    found = read(having(s7=schema), record(value), **given)
    assert [at.isoformat() for at in found.events.times] == [moment]


def _without_logical(type_: Any) -> Any:
    if isinstance(type_, list):
        return [*map(_without_logical, type_)]
    return type_["type"] if isinstance(type_, dict) else type_


@pytest.mark.parametrize(
    ("type_", "written", "time_format", "detail"),
    [
        ("long", 1_764_000_000, None, "must be a timestamp"),
        (MILLIS, 2**63 - 1, None, "must be a timestamp in the years 1 to 9999"),
        (MILLIS, 2**63 - 1, "us", "must be in the years 1 to 9999"),
        ("double", float("nan"), "s", "must be in the years 1 to 9999"),
        ("string", "2016-12-31T23:59:60Z", None, "is a leap second"),
        ("string", "7", "s", "input should be a number of seconds"),
        (["null", MILLIS], None, None, "field required"),
        ({"type": "int", "logicalType": "date"}, 7, None, "must be an RFC 3339"),
        ("boolean", True, "s", "input should be a number of seconds"),
        ("bytes", b"7", "s", "input should be a number of seconds"),
    ],
)
def test_an_invalid_time_is_rejected_with_its_pointer_and_the_rule(
    type_: Any, written: Any, time_format: str | None, detail: str
) -> None:
    schema = record_schema(user="string", at=type_, **OWN)
    plain_schema = record_schema(user="string", at=_without_logical(type_), **OWN)
    value = wire(7, plain_schema, {"user": "u", "at": written, **GOOD})
    given: dict[str, Any] = {"time": "/at", "time_format": None if time_format is None else TimeFormat(time_format)}
    reason, said = rejected(read(having(s7=schema), record(value), **given))
    assert reason is RejectReason.INVALID_ENVELOPE
    assert said.startswith(f"/at: {detail}")


class Rich(BaseModel):
    history_id_column: ClassVar[str] = "id"
    spent: Annotated[float | None, number("a")]
    orders: Annotated[int, number("a"), Field(le=2**60)]
    last: Annotated[date, days_since("a")]
    news: Annotated[bool, boolean("a")]
    plan: Annotated[str | None, category("a")] = None
    tags: Annotated[frozenset[str], several_of("a")]
    city: Annotated[str, category("a"), Field(validation_alias=AliasPath("address", "city"))]


RICH: dict[str, Any] = {
    "spent": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}],
    "orders": "int",
    "last": {"type": "int", "logicalType": "date"},
    "news": "boolean",
    "plan": ["null", {"type": "enum", "name": "Plan", "symbols": ["FREE", "PRO"]}],
    "tags": {"type": "array", "items": "string"},
    "address": record_schema("Address", city="string"),
}


def test_types_of_avro_become_what_a_profile_class_takes() -> None:
    schema = record_schema(user="string", **RICH)
    rows: list[dict[str, Any]] = [
        {"user": "a", "spent": Decimal("12.34"), "plan": "PRO"},
        {"user": "b", "spent": None, "plan": None},
    ]
    same = {"orders": 3, "last": date(2025, 11, 20), "news": True, "tags": ["x", "y"], "address": {"city": "Oslo"}}
    records = [record(wire(7, schema, {**same, **row}), offset) for offset, row in enumerate(rows)]
    events, rejections, *_ = read(having(s7=schema), *records, profile_class=Rich)
    assert not rejections
    assert {name: [*map(plain, column)] for name, column in events.profile.items()} == {
        "spent": [12.34, None],
        "orders": [3, 3],
        "last": [4, 4],
        "news": [True, True],
        "plan": ["PRO", None],
        "tags": [["x", "y"], ["x", "y"]],
        "city": ["Oslo", "Oslo"],
    }


@pytest.mark.parametrize(
    ("type_", "written", "rule"),
    [
        ("string", "1.5x", "input should be a valid number"),
        (["null", "double"], None, "input should be a valid number"),
        ("double", float("nan"), "input should be"),
        ("double", float("inf"), "input should be"),
        ("double", -1.0, "input should be greater than or equal to 0"),
        (MILLIS, 7, "input should be a valid number"),
        ({"type": "int", "logicalType": "date"}, 7, "input should be a valid number"),
        ({"type": "array", "items": "double"}, [1.5], "input should be a valid number"),
    ],
)
def test_a_type_that_the_profile_class_refuses_is_an_invalid_profile(type_: Any, written: Any, rule: str) -> None:
    schema = record_schema(user="string", x=type_, label="string")
    reason, detail = rejected(one({"user": "u", "x": written, "label": "a"}, schema=schema))
    assert reason is RejectReason.INVALID_PROFILE
    assert detail.startswith(f"/x: {rule}")


def test_a_record_without_a_field_lacks_it() -> None:
    assert rejected(one({"user": "u", "x": 1.0}, schema=record_schema(user="string", x="double"))) == (
        RejectReason.INVALID_PROFILE,
        "/label: field required",
    )


def test_a_schema_may_change_from_record_to_record() -> None:
    old = record_schema(user="string", **OWN)
    new = record_schema(label=["null", "string"], added={"type": "array", "items": "long"}, x="int", user="string")
    records = [
        record(wire(7, old, {"user": "a", **GOOD}), 0),
        record(wire(8, new, {"user": "b", "x": 2, "label": "b", "added": [1, 2]}), 1),
        record(wire(7, old, {"user": "c", **GOOD}), 2),
        record(wire(8, new, {"user": "d", "x": 2, "label": None, "added": []}), 3),
    ]
    events, rejections, *_ = read(having(s7=old, s8=new), *records)
    assert ([*events.subjects], [*events.profile["x"]]) == (["a", "b", "c"], [1.5, 2.0, 1.5])
    assert [each.detail for each in rejections.values()] == ["/label: input should be a valid string"]


@pytest.mark.parametrize(("user", "type_"), [("7", "int"), (str(2**63 - 1), "long"), ("x", "string")])
def test_an_integer_is_a_user_id_where_that_is_set(user: str, type_: str) -> None:
    schema = record_schema(user=type_, **OWN)
    value = {"user": user if type_ == "string" else int(user), **GOOD}
    assert [*one(value, schema=schema, numeric_ids=True).events.subjects] == [user]
    assert [*one(value, schema=schema).events.subjects] == [user] * (type_ == "string")


def test_a_decimal_or_a_fixed_uuid_is_a_user_id_too() -> None:
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 40}
    written = record_schema(user="bytes", **OWN)
    value = record(wire(7, written, {"user": (2**70).to_bytes(10), **GOOD}))
    found = read(having(s7=record_schema(user=decimal, **OWN)), value, numeric_ids=True)
    assert [*found.events.subjects] == [str(2**70)]
    fixed = {"type": "fixed", "name": "U", "size": 16}
    value = record(wire(7, record_schema(user=fixed, **OWN), {"user": bytes(16), **GOOD}))
    found = read(having(s7=record_schema(user={**fixed, "logicalType": "uuid"}, **OWN)), value)
    assert [*found.events.subjects] == ["00000000-0000-0000-0000-000000000000"]


def test_records_that_do_not_match_are_ignored() -> None:
    schema = record_schema(user="string", kind=["null", "string"], **OWN)
    rows = [{"user": "u", "kind": kind, **GOOD} for kind in ("user", "other", None)]
    records = [record(wire(7, schema, row), offset) for offset, row in enumerate(rows)]
    found = read(having(s7=schema), *records, record(b"{}", 3), where=where("/kind=user"))
    assert ([*found.events.rows], sorted(found.ignored), [*found.rejections]) == ([0], [1, 2], [3])


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (None, RejectReason.EMPTY, "the record has no value"),
        (b"", RejectReason.EMPTY, "the value has no bytes"),
        (b"\x00" * (MAX_BYTES + 1), RejectReason.TOO_LARGE, "900,001 bytes, at most 900,000 are allowed"),
        (b'{"user":"u"}', RejectReason.NOT_AVRO, "the value does not begin with a zero and the id of a schema"),
        (b"\x00\x00\x00\x00", RejectReason.NOT_AVRO, "the value does not begin with a zero and the id of a schema"),
        (b"\x01" + bytes(16), RejectReason.NOT_AVRO, "the value does not begin with a zero and the id of a schema"),
        (b"\x00\x00\x00\x00\x07", RejectReason.NOT_AVRO, "the value does not match schema 7"),
        (b"\x00\x00\x00\x00\x07\x02u", RejectReason.NOT_AVRO, "the value does not match schema 7"),
        (b"\x00\x00\x00\x00\x08\x02u", RejectReason.NOT_AVRO, "schema 8 is PROTOBUF, not AVRO"),
        (b"\x00\x00\x00\x00\x09\x02u", RejectReason.NOT_AVRO, "schema 9 cannot be used: it is not JSON"),
        (
            b"\x00\xff\xff\xff\xff\x02u",
            RejectReason.UNKNOWN_SCHEMA,
            "the schema registry does not have the schema 4294967295, or one it refers to",
        ),
    ],
)
def test_what_is_not_a_value_of_a_schema_is_rejected_with_the_reason(
    value: bytes | None, reason: RejectReason, detail: str
) -> None:
    schemas = having(
        s7=record_schema(user="string", **OWN),
        s8=RegisteredSchema("PROTOBUF", 'syntax = "proto3";'),
        s9=RegisteredSchema("AVRO", "{"),
        s4294967295=None,
    )
    good = wire(7, record_schema(user="string", **OWN), {"user": "u", **GOOD})
    found = read(schemas, record(good, 0), record(value, 1), record(good + b"\x00", 2))
    assert [*found.events.rows] == [0]
    assert (found.rejections[1].reason, found.rejections[1].detail) == (reason, detail)
    assert found.rejections[2].detail == "the value does not match schema 7"


def test_a_value_with_too_many_values_is_rejected_as_too_large_and_its_neighbours_are_read() -> None:
    schema = record_schema(user="string", **OWN, more={"type": "array", "items": ["null", "boolean"]})
    values = [wire(7, schema, {"user": "u", **GOOD, "more": [None] * many}) for many in (1, MAX_VALUES, 9_000)]
    found = read(having(s7=schema), *map(record, values, range(3)))
    assert [*found.events.rows] == [0, 2]
    assert rejected(found) == (
        RejectReason.TOO_LARGE,
        "more than 10,000 fields of records, items of arrays, entries of maps",
    )


def test_change_events_of_debezium_are_rows_and_deleted_rows_are_ignored() -> None:
    row = record_schema("Value", user_id="long", **OWN)
    schema = record_schema(
        "Envelope",
        before=["null", row],
        after=["null", "Value"],
        source=record_schema("Source", ts_ms="long", db="string"),
        op="string",
    )
    after = {"user_id": 2**53 + 1, **GOOD}
    source = {"ts_ms": 1_764_000_000_123, "db": "shop"}
    rows = [
        {"before": None, "after": after, "source": source, "op": "c"},
        {"before": after, "after": after, "source": source, "op": "u"},
        {"before": after, "after": None, "source": source, "op": "d"},
    ]
    records = [record(wire(7, schema, row), offset) for offset, row in enumerate(rows)]
    found = read(
        having(s7=schema), *records, record(None, 3), preset="debezium-avro", user="/user_id", numeric_ids=True
    )
    assert ([*found.events.subjects], sorted(found.ignored)) == ([str(2**53 + 1)] * 2, [2, 3])
    assert {*found.events.times} == {datetime(2025, 11, 24, 16, 0, 0, 123_000, UTC)}
    assert not found.rejections
