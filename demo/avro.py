"""The generated events in Avro: their schema, and the bytes of a value that has it."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

from demo.population import NUMBERS
from schemas.profile import UserProfile
from schemas.roles import Kind, profile_fields

Schema = Any
"""As JSON has it."""

_NULL, _VALUE = b"\x00", b"\x02"
_TYPES: Final = {"string": str, "long": int, "double": float, "array": list, "record": dict}


def record_schema(name: str, fields: Mapping[str, Schema]) -> Schema:
    """The schema of a record, of which any value may be null."""
    of = [{"name": field, "type": ["null", type_], "default": None} for field, type_ in fields.items()]
    return {"type": "record", "name": name, "namespace": "demo.users", "fields": of}


_TEXTS: Final[Schema] = {"type": "array", "items": "string"}
_BY_KIND: Final[Mapping[Kind, Schema]] = {Kind.NUMBER: "double", Kind.SEVERAL_OF: _TEXTS}
_PROFILE: Final = {
    **{field.name: _BY_KIND.get(field.kind, "string") for field in profile_fields(UserProfile)},
    **{number.name: "long" for number in NUMBERS if not number.decimals},
}
EVENT: Final = {
    "event": "string",
    "event_id": "string",
    "user_id": "string",
    "sent_at": {"type": "long", "logicalType": "timestamp-millis"},
    "profile": record_schema("Profile", _PROFILE),
    # Of events that are too large on purpose.
    "padding": "string",
}
"""Field name -> type."""
SCHEMA: Final = record_schema("ProfileUpdated", EVENT)


def avro_bytes(schema: Schema, value: Any) -> bytes:
    """The value as the schema writes it; null in place of what a field's type does not take."""
    match _kind(schema):
        case "record":
            return b"".join(_or_null(field["type"][1], value.get(field["name"])) for field in schema["fields"])
        case "array":
            items = b"".join(avro_bytes(schema["items"], each) for each in value)
            return (_long(len(value)) + items if value else b"") + _long(0)
        case "string":
            text = value.encode()
            return _long(len(text)) + bytes(text)
        case "double":
            return struct.pack("<d", value)
        case _:
            return _long(value)


def _kind(schema: Schema) -> str:
    kind: str = schema["type"] if isinstance(schema, dict) else schema
    return kind


def _or_null(schema: Schema, value: Any) -> bytes:
    if type(value) is not _TYPES[_kind(schema)] or (isinstance(value, int) and not -(2**63) <= value < 2**63):
        return _NULL
    return _VALUE + avro_bytes(schema, value)


def _long(number: int) -> bytes:
    rest = (number << 1) ^ (number >> 63)
    digits = bytearray()
    while rest > 127:
        digits.append(rest & 127 | 128)
        rest >>= 7
    digits.append(rest)
    return bytes(digits)
