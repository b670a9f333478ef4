"""The generated events in other formats than structured CloudEvents, and the settings of a worker that reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import orjson

from demo.avro import SCHEMA, Schema, avro_bytes
from demo.events import Emitted
from demo.kafka.client import NewRecord
from schemas.events import OBSERVED_TYPE
from schemas.rejected import RejectReason

_UPDATED: Final = "profile_updated"
# Every so many records of an application's own topic are other events, which the worker ignores.
_OTHER_EVERY: Final = 5
# Names there of what CloudEvents name otherwise; all other attributes keep theirs.
_NAMES: Final = {"id": "event_id", "subject": "user_id", "time": "sent_at", "data": "profile", "type": "event"}
_NOT_SENT: Final = frozenset({"specversion", "source"})
_OWN_TOPIC: Final = {
    "WORKER_INPUT_USER": "/user_id",
    "WORKER_INPUT_ID": "/event_id",
    "WORKER_INPUT_TIME": "/sent_at",
    "WORKER_INPUT_DATA": "/profile",
    "WORKER_INPUT_WHERE": f"/event={_UPDATED}",
}

Write = Callable[[int, Emitted], Emitted]
"""Gives an event in a format; its number among all events decides whether it is another event."""

SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "cloudevents": {},
    "binary": {},
    "json": {"WORKER_INPUT_FORMAT": "json", **_OWN_TOPIC, "WORKER_INPUT_TIME_FORMAT": "ms"},
    # A schema says the unit of a time.
    "avro": {"WORKER_INPUT_FORMAT": "avro", **_OWN_TOPIC},
}
"""By format, the settings of a worker that reads it."""


def in_format(name: str) -> Write:
    """What gives an event in this format, of those without a schema registry."""
    return _WRITERS[name]


def in_avro(schema_id: int, schema: Schema = SCHEMA) -> Write:
    """What gives an event in Avro, with this schema, which the registry has under this id."""

    def write(number: int, one: Emitted) -> Emitted:
        event = _object(one.record.value)
        if event is None:
            # Whatever it is, it does not begin with a zero.
            reason = RejectReason.NOT_AVRO if one.record.value else one.reason
            return replace(_with(one, one.record.value, {}), reason=reason)
        return _of_own_topic(number, one, event, lambda own: b"\0" + schema_id.to_bytes(4) + avro_bytes(schema, own))

    return write


def _binary(_number: int, one: Emitted) -> Emitted:
    event = _object(one.record.value)
    if event is None:
        # What is not an event has no attributes either.
        return one
    data = event.pop("data", None)
    if "padding" in event:
        data = {"padding": event.pop("padding"), **data}
    headers = {f"ce_{name}": str(value).encode() for name, value in event.items()}
    headers["content-type"] = b"application/json"
    return _with(one, orjson.dumps(data), headers)


def _json(number: int, one: Emitted) -> Emitted:
    event = _object(one.record.value)
    if event is None:
        # A list meets no condition; all else is not JSON.
        is_list = one.reason is RejectReason.INVALID_ENVELOPE
        return replace(_with(one, one.record.value, {}), ignored=is_list, reason=None if is_list else one.reason)
    return _of_own_topic(number, one, event, orjson.dumps)


def _of_own_topic(
    number: int, one: Emitted, event: dict[str, Any], dumped: Callable[[Mapping[str, Any]], bytes]
) -> Emitted:
    is_other = event["type"] != OBSERVED_TYPE or (one.reason is None and number % _OTHER_EVERY == 0)
    event["type"] = "page_viewed" if is_other else _UPDATED
    event["time"] = _milliseconds(event["time"])
    value = dumped({_NAMES.get(name, name): each for name, each in event.items() if name not in _NOT_SENT})
    return replace(_with(one, value, {}), ignored=is_other, reason=None if is_other else one.reason)


def _object(value: bytes | None) -> dict[str, Any] | None:
    try:
        document = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _milliseconds(time: str) -> Any:
    moment = datetime.fromisoformat(time)
    # Without a zone it is wrong on purpose, and stays so.
    return time if moment.tzinfo is None else int(moment.timestamp() * 1000)


def _with(one: Emitted, value: bytes | None, headers: Mapping[str, bytes]) -> Emitted:
    return replace(one, record=NewRecord(one.record.key, value, headers))


_WRITERS: Final[Mapping[str, Write]] = {
    "cloudevents": lambda _, one: one,
    "binary": _binary,
    "json": _json,
}
