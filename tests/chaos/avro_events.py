"""The events of the JSON topic in Avro, written with two schemas in turn, and a worker's settings for them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import orjson
from fastavro import parse_schema, schemaless_writer

from demo.events import Emitted
from demo.formats import SETTINGS, in_format
from schemas.rejected import RejectReason
from tests.support.avro import record_schema
from tests.support.events import PROFILE
from tests.support.schema_registry import SchemaRegistry

AVRO: Final = "avro"
# Each value may be of a wrong type: bad events have to be written, too.
_ANY: Final = ["null", "boolean", "long", "double", "string", {"type": "array", "items": "string"}]
_PROFILE: Final = record_schema("Profile", **dict.fromkeys(PROFILE, _ANY))
_NAMES: Final = ("event", "event_id", "user_id", "sent_at", "padding")
_SCHEMAS: Final = {
    1: record_schema("Event", **dict.fromkeys(_NAMES, _ANY), profile=["null", _PROFILE]),
    2: record_schema("Event", profile=["null", _PROFILE], added=_ANY, **dict.fromkeys(reversed(_NAMES), _ANY)),
}
_PARSED: Final = {number: parse_schema(schema) for number, schema in _SCHEMAS.items()}


def writer(name: str) -> Callable[[int, Emitted], Emitted]:
    """What gives an event in this format; those of segment-demo, and AVRO."""
    return _in_avro if name == AVRO else in_format(name)


def settings(name: str, registry: SchemaRegistry) -> Mapping[str, str]:
    """The settings of a worker that reads it; the schemas are registered."""
    if name != AVRO:
        return SETTINGS[name]
    for number, schema in _SCHEMAS.items():
        registry.register(number, schema)
    return {**SETTINGS["json"], "WORKER_INPUT_FORMAT": "avro", "SCHEMA_REGISTRY_URL": registry.url}


def _in_avro(number: int, one: Emitted) -> Emitted:
    written = in_format("json")(number, one)
    value = written.record.value
    if not value:
        return written
    try:
        event = orjson.loads(value)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        return replace(written, reason=RejectReason.NOT_AVRO, ignored=False)
    schema_id = 1 + number % 2
    avro = io.BytesIO(b"\x00" + schema_id.to_bytes(4))
    avro.seek(0, io.SEEK_END)
    schemaless_writer(avro, _PARSED[schema_id], _fitting(event))
    return replace(written, record=replace(written.record, value=avro.getvalue()))


def _fitting(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event, with null for what it lacks."""
    profile = event.get("profile")
    return event if isinstance(profile, dict) else {**event, "profile": None}
