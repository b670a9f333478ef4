"""The demo writes Avro as fastavro, the reference, reads it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastavro import parse_schema
from hypothesis import given
from hypothesis import strategies as st

from demo.avro import EVENT, SCHEMA, avro_bytes, record_schema
from tests.support.avro import reference_value

FIELDS = {"long": "long", "double": "double", "text": "string", "texts": {"type": "array", "items": "string"}}
RECORD = record_schema("All", {**FIELDS, "within": record_schema("Within", FIELDS)})
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "text": TEXT,
    "texts": st.lists(TEXT),
}
OBJECTS = st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()})


@given(OBJECTS, st.none() | OBJECTS)
def test_what_is_written_is_read_again(value: dict[str, Any], within: dict[str, Any] | None) -> None:
    written = {**value, "within": within}
    assert reference_value(RECORD, avro_bytes(RECORD, written)) == written


@pytest.mark.parametrize("other", [True, 1.5, "1", [1], {}, None])
def test_what_a_type_does_not_take_is_null_and_what_is_missing_is_null(other: object) -> None:
    assert reference_value(RECORD, avro_bytes(RECORD, {"long": other})) == dict.fromkeys([*FIELDS, "within"])


def test_the_schema_is_valid_and_its_time_is_one() -> None:
    parse_schema(SCHEMA)
    moment = datetime(2026, 11, 24, 15, 30, tzinfo=UTC) + timedelta(milliseconds=250)
    read = reference_value(SCHEMA, avro_bytes(SCHEMA, {"sent_at": int(moment.timestamp() * 1000)}))
    assert read == {**dict.fromkeys(EVENT), "sent_at": moment}
