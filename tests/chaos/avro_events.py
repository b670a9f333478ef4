"""The events of the JSON topic in Avro, written with two schemas in turn, and a worker's settings for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from demo.avro import EVENT, SCHEMA, record_schema
from demo.formats import SETTINGS, Write, in_avro, in_format
from tests.support.schema_registry import SchemaRegistry

_SCHEMAS: Final = {1: SCHEMA, 2: record_schema("ProfileUpdated", {"added": "string", **dict(reversed(EVENT.items()))})}


def writer(name: str) -> Write:
    """What gives an event in this format."""
    if name != "avro":
        return in_format(name)
    writers = [in_avro(number, schema) for number, schema in _SCHEMAS.items()]
    return lambda number, one: writers[number % 2](number, one)


def settings(name: str, registry: SchemaRegistry) -> Mapping[str, str]:
    """The settings of a worker that reads it; the schemas are registered."""
    if name != "avro":
        return SETTINGS[name]
    for number, schema in _SCHEMAS.items():
        registry.register(number, schema)
    return {**SETTINGS[name], "SCHEMA_REGISTRY_URL": registry.url}
