"""The generated events in other formats than structured CloudEvents, and the settings of a worker that reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import orjson

from demo.events import Emitted
from demo.kafka.client import NewRecord
from schemas.events import OBSERVED_TYPE
from schemas.rejected import RejectReason

_UPDATED: Final = "profile_updated"
# Every so many records of the JSON topic are other events, which the worker ignores.
_OTHER_EVERY: Final = 5
# Names in the JSON topic of what CloudEvents name otherwise; all other attributes keep theirs.
_NAMES: Final = {"id": "event_id", "subject": "user_id", "time": "sent_at", "data": "profile", "type": "event"}
_NOT_SENT: Final = frozenset({"specversion", "source"})

SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "cloudevents": {},
    "binary": {},
    "json": {
        "WORKER_INPUT_FORMAT": "json",
        "WORKER_INPUT_USER": "/user_id",
        "WORKER_INPUT_ID": "/event_id",
        "WORKER_INPUT_TIME": "/sent_at",
        "WORKER_INPUT_TIME_FORMAT": "ms",
        "WORKER_INPUT_DATA": "/profile",
        "WORKER_INPUT_WHERE": f"/event={_UPDATED}",
    },
}
"""By format, the settings of a worker that reads it."""


def in_format(name: str) -> Callable[[int, Emitted], Emitted]:
    """What gives an event in this format; its number among all events decides whether it is another event."""
    return _WRITERS[name]


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
    is_other = event["type"] != OBSERVED_TYPE or (one.reason is None and number % _OTHER_EVERY == 0)
    event["type"] = "page_viewed" if is_other else _UPDATED
    event["time"] = _milliseconds(event["time"])
    value = orjson.dumps({_NAMES.get(name, name): each for name, each in event.items() if name not in _NOT_SENT})
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


_WRITERS: Final[Mapping[str, Callable[[int, Emitted], Emitted]]] = {
    "cloudevents": lambda _, one: one,
    "binary": _binary,
    "json": _json,
}
