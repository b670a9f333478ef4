"""Corrupted records in Avro, made of the mutants of events."""

from __future__ import annotations

import json
import random
from typing import Any, Final

from schemas.formats.avro import RegisteredSchema, WriterSchemas
from schemas.rejected import Rejection
from tests.support.avro import record_schema, registered, wire
from tests.support.events import PROFILE

_ANY: Final = ["null", "boolean", "long", "double", "string", {"type": "array", "items": "string"}]
_MILLIS: Final = {"type": "long", "logicalType": "timestamp-millis"}
_PLAIN: Final = {str: "string", int: "long", float: "double", list: {"type": "array", "items": "string"}}
_SCHEMAS: Final = {
    1: record_schema(subject=_ANY, time=_ANY, type=_ANY, **dict.fromkeys(PROFILE, _ANY)),
    2: record_schema(
        subject="string",
        type=["string", "null"],
        time=["null", _MILLIS],
        more={"type": "map", "values": _ANY},
        **{name: ["null", _PLAIN[type(value)]] for name, value in PROFILE.items()},
    ),
}
_KNOWN: Final = WriterSchemas()
for _number, _schema in _SCHEMAS.items():
    _KNOWN.add(_number, registered(_schema))
_KNOWN.add(8, RegisteredSchema("JSON", "{}"))


def load(value: bytes | None, max_bytes: int) -> Any | Rejection:
    """As a worker whose registry has three schemas."""
    for schema_id in _KNOWN.missing([value]):
        _KNOWN.add(schema_id, None)
    return _KNOWN.load(value, max_bytes)


def in_avro(draw: random.Random, value: bytes) -> bytes:
    """A record's value with what an event's bytes have, or something like it."""
    try:
        event = json.loads(value)
    except (ValueError, RecursionError):
        return draw.choice((b"", b"\x00", b"\x00\x00\x00\x00\x01", b"\x01\x00\x00\x00\x01")) + value[:2_000]
    event = event if isinstance(event, dict) else {}
    flat = event | (event["data"] if isinstance(event.get("data"), dict) else {})
    number = draw.choice((1, 2))
    if number == 1:
        fields = {name: _of_any(flat.get(name)) for name in ("subject", "time", "type", *PROFILE)}
    else:
        moment = draw.choice((1_764_000_000_123, 1_764_000_000_123, 1_764_000_000_123, 2**63 - 1, -(2**62), None))
        found = {name: _of_any(flat.get(name)) for name in ("subject", "type", *PROFILE)}
        fields = {name: each if type(each := found[name]) is type(value) else None for name, value in PROFILE.items()}
        texts = {name: each if isinstance(each := found[name], str) else "u" for name in ("subject", "type")}
        fields = {**fields, **texts, "time": moment, "more": {}}
    written = bytearray(wire(number, _SCHEMAS[number], fields))
    if draw.random() < 0.05:
        written[4] = draw.choice((7, 8))
    if draw.random() < 0.2:
        for _ in range(draw.choice((1, 1, 3))):
            at = draw.randrange(len(written) + 1)
            written[at : at + draw.choice((0, 1, 1, 9))] = draw.randbytes(draw.choice((0, 1, 1, 2)))
    return bytes(written)


def _of_any(value: Any) -> Any:
    """What there is of a value in Avro."""
    if isinstance(value, list):
        return [*map(_of_any, value)] if all(isinstance(each, str) for each in value) else None
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if type(value) is int and not -(2**63) <= value < 2**63:
        return float(value) if abs(value) < 10**300 else None
    return value if isinstance(value, bool | int | float) else None
