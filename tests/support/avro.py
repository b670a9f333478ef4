"""Records in Avro for tests: schemas, values, and the bytes that fastavro and Confluent's serializer make of them."""

from __future__ import annotations

import io
import json
import random
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from schemas.formats.avro import RegisteredSchema

_PRIMITIVES = ("boolean", "int", "long", "float", "double", "bytes", "string")


def registered(schema: Any, *references: Any) -> RegisteredSchema:
    """A schema as a registry has it."""
    return RegisteredSchema("AVRO", json.dumps(schema), tuple(map(json.dumps, references)))


def record_schema(name: str = "User", /, **fields: Any) -> dict[str, Any]:
    """The schema of a record with these fields."""
    of = [{"name": field, "type": type_} for field, type_ in fields.items()]
    return {"type": "record", "name": name, "namespace": "shop.users", "fields": of}


def body(schema: Any, value: Any) -> bytes:
    """The bytes of a value."""
    written = io.BytesIO()
    schemaless_writer(written, parse_schema(schema), value)
    return written.getvalue()


def reference_value(schema: Any, value: bytes) -> Any:
    """The value of these bytes, as fastavro reads it."""
    return schemaless_reader(io.BytesIO(value), parse_schema(schema), None)


def wire(schema_id: int, schema: Any, value: Any) -> bytes:
    """A record's value: a zero, the id of its schema, and the bytes."""
    return b"\x00" + schema_id.to_bytes(4) + body(schema, value)


def any_schema(draw: random.Random, levels: int = 3) -> Any:
    """Some type without a logical type, nested at most so deep."""
    kind = draw.choice((*_PRIMITIVES, "enum", "fixed", "nullable", *(levels > 0) * ("record", "array", "map", "union")))
    name = f"{kind}_{draw.getrandbits(60):x}"
    match kind:
        case "record":
            names = ("a", "b", "c", "d", "e")[: draw.randrange(1, 6)]
            fields = [{"name": each, "type": any_schema(draw, levels - 1)} for each in names]
            return {"type": "record", "name": name, "fields": fields}
        case "array":
            return {"type": "array", "items": any_schema(draw, levels - 1)}
        case "map":
            return {"type": "map", "values": any_schema(draw, levels - 1)}
        case "union":
            return ["null", "boolean", {"type": "array", "items": any_schema(draw, levels - 1)}]
        case "nullable":
            of = draw.choice(("string", "double", "int", "long"))
            return draw.choice((["null", of], [of, "null"]))
        case "enum":
            return {"type": "enum", "name": name, "symbols": ["RED", "GREEN", "BLUE"]}
        case "fixed":
            return {"type": "fixed", "name": name, "size": draw.randrange(1, 9)}
        case _:
            return kind
