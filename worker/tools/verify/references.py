"""Which input record a result or a rejected event belongs to."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, NamedTuple

import orjson

from schemas.events import TombstoneHeader
from schemas.rejected import RejectedHeader
from worker.stream.records import Record

_NUMBER: Final = re.compile(rb"[0-9]{1,19}")


class RecordReference(NamedTuple):
    """One record of a topic."""

    topic: str
    partition: int
    offset: int


def answered_by_result(record: Record) -> RecordReference | None:
    """The input record that a record of the output topic names, or None when it does not name one."""
    # The one field, not the whole event: a check of millions of records has to be quick.
    try:
        given = orjson.loads(record.value or b"")["data"]["input"]
        topic, partition, offset = given["topic"], given["partition"], given["offset"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    if not isinstance(topic, str) or type(partition) is not int or type(offset) is not int:
        return None
    return _reference(topic, partition, offset)


def assigned_ms(record: Record) -> int:
    """When a result was assigned, in milliseconds since 1970; the record's time where the value does not say it."""
    try:
        return int(datetime.fromisoformat(orjson.loads(record.value or b"")["time"]).timestamp() * 1000)
    except (KeyError, OverflowError, TypeError, ValueError):
        return record.timestamp_ms


def answered_by_rejected(record: Record) -> RecordReference | None:
    """The input record that a record of the dead-letter topic names, or None when it does not name one."""
    return _in_headers(record, RejectedHeader.TOPIC, RejectedHeader.PARTITION, RejectedHeader.OFFSET)


def answered_by_tombstone(record: Record) -> RecordReference | None:
    """The erasure that a tombstone of the current topic names, or None when it does not name one."""
    return _in_headers(record, TombstoneHeader.TOPIC, TombstoneHeader.PARTITION, TombstoneHeader.OFFSET)


def _in_headers(record: Record, *names: str) -> RecordReference | None:
    headers = {name: content or b"" for name, content in record.headers}
    topic, partition, offset = (headers.get(name, b"") for name in names)
    if not (topic and _NUMBER.fullmatch(partition) and _NUMBER.fullmatch(offset)):
        return None
    return _reference(topic.decode(errors="replace"), int(partition), int(offset))


def _reference(topic: str, partition: int, offset: int) -> RecordReference | None:
    # Larger numbers than brokers have would not fit into an array either.
    if not (0 <= partition < 2**31 and 0 <= offset < 2**63):
        return None
    return RecordReference(topic, partition, offset)
