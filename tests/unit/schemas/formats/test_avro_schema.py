"""Avro's binary encoding, read by a schema; the reference is fastavro."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from math import inf, isnan
from typing import Any

import pytest
from fastavro.utils import generate_many

from schemas.formats.avro_schema import NOT_OF_SCHEMA, TEXT_MOST, TooManyValues, UnusableSchema, compiled
from schemas.parsing import MAX_VALUES
from tests.support.avro import any_schema, body, record_schema, reference_value


def value_of(schema: Any, data: bytes) -> Any:
    value, end = compiled(json.dumps(schema))(data, 0)
    assert end == len(data)
    return value


def is_of(schema: Any, data: bytes) -> bool:
    """Whether these bytes, and no others after them, are a value."""
    try:
        _, end = compiled(json.dumps(schema))(data, 0)
    except NOT_OF_SCHEMA:
        return False
    return end == len(data)


def same(value: Any, other: Any) -> bool:
    return repr(value) == repr(other)  # NaN is equal to itself, 1 is not True


@pytest.mark.parametrize("seed", range(300))
def test_values_are_read_as_the_reference_reads_them(seed: int) -> None:
    schema = any_schema(random.Random(seed))
    random.seed(seed)
    for value in generate_many(schema, 3):
        data = body(schema, value)
        assert same(value_of(schema, data), reference_value(schema, data))


@pytest.mark.parametrize("seed", range(300))
def test_corrupted_bytes_are_refused_or_read_as_the_reference_reads_them(seed: int) -> None:
    draw = random.Random(seed)
    schema = record_schema(x="string", y=any_schema(draw), z="long")
    random.seed(seed)
    (value,) = generate_many(schema, 1)
    data = body(schema, value)
    read = compiled(json.dumps(schema))
    for _ in range(20):
        mutant = bytearray(data)
        for _ in range(draw.randrange(1, 4)):
            at = draw.randrange(len(mutant) + 1)
            mutant[at : at + draw.choice((0, 1, 1, 5))] = draw.randbytes(draw.choice((0, 1, 1, 3)))
        try:
            found, end = read(bytes(mutant), 0)
        except NOT_OF_SCHEMA:
            continue
        if end == len(mutant):
            assert same(found, reference_value(schema, bytes(mutant)))


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("string", b""),
        ("string", b"\x04a"),
        ("string", b"\x02ab"),
        ("string", b"\x01a"),
        ("string", b"\x02\xff"),
        ("string", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01a"),
        ("bytes", b"\x03abc"),
        ("boolean", b"\x02"),
        ("int", b"\x80\x80\x80\x80\x20"),
        ("long", b"\xff" * 9 + b"\x02"),
        ("long", b"\x80" * 20),
        ("double", b"1234567"),
        ("float", b"123"),
        (["null", "string"], b"\x01"),
        (["null", "string"], b"\x04"),
        (["null", "long", "string"], b"\x06"),
        (["null", "long", "string"], b"\x03"),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, b"\x01"),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, b"\x04"),
        ({"type": "fixed", "name": "F", "size": 4}, b"123"),
        ({"type": "array", "items": "long"}, b"\x02\x02"),
    ],
)
def test_bytes_that_no_value_has_are_refused(type_: Any, data: bytes) -> None:
    assert not is_of(type_, data)
    assert not is_of(record_schema(x=type_), data)
    # Also before something else.
    assert not is_of(record_schema(x={"type": "record", "name": "In", "fields": [{"name": "x", "type": type_}]}), data)


@pytest.mark.parametrize(
    "items", ["long", "string", "double", {"type": "fixed", "name": "F", "size": 1}, {"type": "map", "values": "int"}]
)
def test_a_count_of_items_that_are_not_there_ends_with_the_bytes(items: Any) -> None:
    most = b"\xfe" + b"\xff" * 8 + b"\x01"
    assert not is_of({"type": "array", "items": items}, most + b"\x00" * 20)
    assert not is_of({"type": "map", "values": items}, most + b"\x00" * 20)


def test_blocks_with_a_size_are_read() -> None:
    assert value_of({"type": "array", "items": "long"}, b"\x03\x04\x02\x04\x02\x06\x00") == [1, 2, 3]


MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
FIXED_UUID = {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}


@pytest.mark.parametrize(
    ("type_", "written", "value"),
    [
        (MILLIS, 1_764_000_000_123, datetime(2025, 11, 24, 16, 0, 0, 123_000, UTC)),
        ({"type": "long", "logicalType": "timestamp-micros"}, -1, datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)),
        (MILLIS, 2**63 - 1, inf),
        ({"type": "long", "logicalType": "timestamp-micros"}, -(2**63), -inf),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, 7, 7),
        ({"type": "int", "logicalType": "time-millis"}, 7, 7),
        ({"type": "int", "logicalType": "date"}, 20_416, "2025-11-24"),
        ({"type": "int", "logicalType": "date"}, -1, "1969-12-31"),
        ({"type": "int", "logicalType": "date"}, 2**31 - 1, inf),
        ({"type": "string", "logicalType": "date"}, "x", "x"),
        ({"type": "string", "logicalType": "uuid"}, UUID, UUID),
        (FIXED_UUID, bytes(15) + b"\x07", "00000000-0000-0000-0000-000000000007"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, b"\x04\xd2", 12.34),
        ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, b"\xff", -0.01),
        ({"type": "fixed", "name": "D", "size": 3, "logicalType": "decimal", "precision": 6}, b"\x00\x00\x07", 7),
        ({"type": "bytes", "logicalType": "decimal", "precision": 40}, (2**100).to_bytes(16), 2**100),
        ({"type": "bytes", "logicalType": "decimal", "precision": 999}, b"\x7f" * 65, inf),
        ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 10**9}, b"\x04", b"\x04"),
        ({"type": "long", "logicalType": "unheard-of"}, 7, 7),
    ],
)  # fmt: skip
def test_logical_types_are_what_json_would_have_and_timestamps_are_moments(
    type_: Any, written: Any, value: Any
) -> None:
    plain = {name: part for name, part in type_.items() if name != "logicalType"}
    for schema, of in ((type_, plain), (record_schema(x=["null", type_]), record_schema(x=["null", plain]))):
        data = body(of, written if of is plain else {"x": written})
        found = value_of(schema, data)
        assert same(found if of is plain else found["x"], value)


def test_not_a_number_is_one_value_of_avro() -> None:
    assert isnan(value_of("double", body("double", float("nan"))))


def test_a_type_may_be_used_by_its_name_also_within_itself_and_from_another_schema() -> None:
    tree = record_schema("Tree", x="long", left=["null", "Tree"], right=["null", "shop.users.Tree"])
    data = b"\x02\x02\x04\x00\x00\x00"
    assert value_of(tree, data) == {"x": 1, "left": {"x": 2, "left": None, "right": None}, "right": None}
    user = record_schema(tree="shop.users.Tree", other=["null", "Tree"])
    read = compiled(json.dumps(user), [json.dumps(tree)])
    assert read(b"\x02\x00\x00\x00", 0) == ({"tree": {"x": 1, "left": None, "right": None}, "other": None}, 4)


def test_deep_nesting_is_refused_and_does_not_end_the_process() -> None:
    chain = record_schema("Chain", next=["null", "Chain"])
    assert is_of(chain, b"\x02" * 100 + b"\x00")
    assert not is_of(chain, b"\x02" * 900_000 + b"\x00")
    assert not is_of(record_schema("Loop", next="Loop"), b"")


def of_levels(inner: Any, levels: int, more: Sequence[str] = ()) -> Any:
    """A record in a record and so on, with `inner` in the last one; `more` are further fields of the same type."""
    for level in range(levels):
        inner = record_schema(f"Level{level}", x=inner, **{name: inner["name"] for name in more if level})
    return inner


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        ({"type": "array", "items": ["null", "boolean"]}, b"\xa2\x9c\x01" + b"\x00" * 10_001 + b"\x00"),
        ({"type": "array", "items": "long"}, b"\x02\x00" * 10_001 + b"\x00"),
        ({"type": "map", "values": "string"}, b"\xa2\x9c\x01" + b"\x00\x00" * 10_001 + b"\x00"),
        # Each takes a byte, and so does what is in it.
        ({"type": "array", "items": of_levels("boolean", 100)}, b"\xd0\x01" + b"\x00" * 104 + b"\x00"),
        # Twenty-two levels of two each.
        (of_levels({"type": "map", "values": "string"}, 22, more=["y"]), b"\x00" * 500_000),
    ],
)
def test_more_values_than_that_are_refused_soon(schema: Any, data: bytes) -> None:
    read = compiled(json.dumps(schema))
    with pytest.raises(TooManyValues):
        read(data, 0)


def test_as_many_values_are_read_each_time() -> None:
    read = compiled(json.dumps({"type": "array", "items": "boolean"}))
    for _ in range(2):
        assert read(b"\xa0\x9c\x01" + b"\x00" * 10_000 + b"\x00", 0) == ([False] * 10_000, 10_004)


def test_fields_that_take_no_bytes_are_left_out_and_never_repeated() -> None:
    nothing = {"type": "record", "name": "Nothing", "fields": [{"name": "x", "type": "null"}]}
    schema = record_schema(a="null", b="long", c=nothing, d={"type": "fixed", "name": "F", "size": 0})
    assert value_of(schema, b"\x02") == {"b": 1}
    for many in ({"type": "array", "items": "null"}, {"type": "map", "values": nothing}):
        with pytest.raises(UnusableSchema):
            compiled(json.dumps(record_schema(x=many)))
    assert value_of(["null", nothing], b"\x02") == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "7",
        "[]",
        '"unheard_of"',
        "{}",
        '{"type":"record"}',
        '{"type":"record","name":"A"}',
        '{"type":"record","name":7,"fields":[]}',
        '{"type":"record","name":"A","namespace":7,"fields":[]}',
        '{"type":"record","name":"A","fields":[7]}',
        '{"type":"record","name":"A","fields":[{"name":"x"}]}',
        '{"type":"record","name":"A","fields":[{"type":"long"}]}',
        '{"type":"enum","name":"A","symbols":[7]}',
        '{"type":"enum","name":"A"}',
        '{"type":"fixed","name":"A","size":-1}',
        '{"type":"fixed","name":"A","size":"7"}',
        '{"type":"array"}',
        '{"type":"map","values":[]}',
        '{"type":' * 5_000 + '"long"' + "}" * 5_000,
        '{"type":"array","items":' * 900 + '"long"' + "}" * 900,
        " " * (TEXT_MOST + 1),
    ],
)
def test_what_is_not_a_schema_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(UnusableSchema) as caught:
        compiled(text)
    assert str(caught.value)


def test_a_schema_of_a_megabyte_works() -> None:
    fields: dict[str, Any] = {f"f{number}": ["null", "string"] for number in range(MAX_VALUES)}
    text = json.dumps(record_schema(**fields) | {"doc": "x" * 800_000})
    assert len(text) > 1_000_000
    read = compiled(text)
    value, end = read(b"\x00" * 9_999 + b"\x02\x02a", 0)
    assert (len(value), value["f9999"], end) == (MAX_VALUES, "a", 10_002)
