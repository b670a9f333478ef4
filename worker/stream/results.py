"""Encodes results: the bytes that orjson would give for the whole event, in a part of its time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha1
from typing import Final, Literal
from uuid import uuid5

import numpy as np
import orjson

from models.encoding import Floats, Rows
from models.segmentation import Assignments
from schemas.event_columns import Events
from schemas.events import (
    ASSIGNED_TYPE,
    ASSIGNMENT_NAMESPACE,
    CONTENT_TYPE,
    SEGMENT_ERASED_TYPE,
    Erasure,
    TombstoneHeader,
)
from worker.stream.records import Message, Record, Records, trace_context

RecordTime = Literal["processing", "event"]
"""Which time a result's record has: that of sending it, or that of its event."""

# More digits than are meaningful after scaling, and fewer than those that depend on the size of a batch.
_DECIMALS: Final = 6
# Without it a receiver assumes binary mode and looks for the attributes in headers.
_HEADERS: Final = (("content-type", CONTENT_TYPE.encode()),)
# What JSON escapes in a string.
_ESCAPED: Final = re.compile(r'["\\\x00-\x1f]')
_VARIANT: Final = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
_NOTHING_NOTED: Final = '"unknown_values":[],"missing_values":[],"out_of_range":[]'


class ResultEncoder:
    """Encodes the results of one model as `user.segment.assigned.v1` events, and erasures beside them."""

    def __init__(
        self,
        source: str,
        cluster_id: str,
        model_version: str,
        model_digest: str,
        names: Mapping[int, str],
        record_time: RecordTime,
    ) -> None:
        self._record_time = record_time
        self._ids = sha1(ASSIGNMENT_NAMESPACE.bytes + cluster_id.encode() + b"/", usedforsecurity=False)
        self._begin = f'{{"specversion":"1.0","type":{_json(ASSIGNED_TYPE)},"source":{_json(source)},"id":"'
        self._segments = {number: f'"segment":{number},"segment_name":{_json(name)}' for number, name in names.items()}
        self._cluster_id, self._source = cluster_id, source
        self._model = _json({"version": model_version, "digest": model_digest})

    def encode(self, records: Records, events: Events, assigned: Assignments, now: datetime) -> tuple[Message, ...]:
        """One message per event, in order; `now` is the time of the assignments, with a time zone."""
        at = events.rows
        partitions, offsets, headers = records.partitions, records.offsets, records.headers
        if len(at) < len(records):
            partitions, offsets, headers = (
                [partitions[row] for row in at],
                [offsets[row] for row in at],
                [headers[row] for row in at],
            )
        # The same in each result of the batch.
        begin = self._begin
        then_time = f',"time":{_times([now])[0]},"data":{{'
        then_input = f',"model":{self._model},"input":{{"id":'
        then_topic = f',"topic":{_json(records.topic)},"partition":'

        columns = zip(
            self._digits(records.topic, partitions, offsets),
            _strings(events.subjects),
            map(self._segments.__getitem__, assigned.segment.tolist()),
            _floats(assigned.distance),
            _floats(assigned.margin),
            ["true" if outlier else "false" for outlier in assigned.outlier.tolist()],
            _notes(assigned),
            _strings(events.ids),
            partitions,
            offsets,
            _times(events.times),
            strict=True,
        )
        values = [
            # The id as uuid.UUID of version 5 writes 40 hexadecimal digits of SHA-1.
            (
                f"{begin}{sha[:8]}-{sha[8:12]}-5{sha[13:16]}-{_VARIANT[sha[16]]}{sha[17:20]}-{sha[20:32]}"
                f'","subject":{subject}{then_time}{segment},"distance":{distance},"margin":{margin},"outlier":{outlier},'
                f'{notes}{then_input}{event_id}{then_topic}{partition},"offset":{offset},"time":{time}}}}}}}'
            ).encode()
            for sha, subject, segment, distance, margin, outlier, notes, event_id, partition, offset, time in columns
        ]
        return tuple(
            map(
                Message._make,
                zip(
                    map(str.encode, events.subjects),
                    values,
                    [(*_HEADERS, *trace_context(each)) if each else _HEADERS for each in headers],
                    self._record_times(events.times, now),
                    strict=True,
                ),
            )
        )

    def _digits(self, topic: str, partitions: Sequence[int], offsets: Sequence[int]) -> list[str]:
        """The SHA-1 of each record's name, hexadecimal."""
        ids = self._ids.copy()
        ids.update(f"{topic}/".encode())
        digits = []
        for partition, offset in zip(partitions, offsets, strict=True):
            one = ids.copy()
            one.update(b"%d/%d" % (partition, offset))
            digits.append(one.hexdigest())
        return digits

    def erased(self, record: Record, erasure: Erasure, now: datetime) -> Message:
        """The `user.segment.erased.v1` event that answers an erasure."""
        name = f"{self._cluster_id}/{record.topic}/{record.partition}/{record.offset}"
        given = {
            "id": erasure.id,
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "time": erasure.time,
        }
        value = {
            "specversion": "1.0",
            "type": SEGMENT_ERASED_TYPE,
            "source": self._source,
            "id": str(uuid5(ASSIGNMENT_NAMESPACE, name)),
            "subject": erasure.subject,
            "time": now,
            "data": {"input": given},
        }
        (timestamp_ms,) = self._record_times([erasure.time], now)
        headers = (*_HEADERS, *trace_context(record.headers))
        return Message(erasure.subject.encode(), orjson.dumps(value, option=orjson.OPT_UTC_Z), headers, timestamp_ms)

    def _record_times(self, times: Sequence[datetime], now: datetime) -> Sequence[int | None]:
        return [None] * len(times) if self._record_time == "processing" else _stamps(times, now)


def tombstone(erased: Message, record: Record) -> Message:
    """What the current topic gets in place of the event that answers the erasure in this record."""
    of = {
        TombstoneHeader.TOPIC: record.topic,
        TombstoneHeader.PARTITION: str(record.partition),
        TombstoneHeader.OFFSET: str(record.offset),
    }
    return erased._replace(value=None, headers=tuple((name.value, content.encode()) for name, content in of.items()))


def _notes(assigned: Assignments) -> list[str]:
    """For each row, its fields with a value that is unknown, missing, or out of range."""
    notes = [_NOTHING_NOTED] * len(assigned.segment)
    if assigned.unknown or assigned.missing or assigned.out_of_range:
        missing, far = _by_row(assigned.missing), _by_row(assigned.out_of_range)
        for row in {*assigned.unknown, *missing, *far}:
            lists = assigned.unknown.get(row, ()), missing.get(row, ()), far.get(row, ())
            notes[row] = '"unknown_values":{},"missing_values":{},"out_of_range":{}'.format(*map(_json, lists))
    return notes


def _by_row(rows_of: Mapping[str, Rows]) -> Mapping[int, list[str]]:
    fields: dict[int, list[str]] = {}
    for name, rows in rows_of.items():
        for row in rows.tolist():
            fields.setdefault(row, []).append(name)
    return fields


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _strings(texts: Sequence[str]) -> list[str]:
    if _ESCAPED.search("".join(texts)) is None:
        return [f'"{text}"' for text in texts]
    return [*map(_json, texts)]


def _times(times: Sequence[datetime]) -> list[str]:
    return orjson.dumps(times, option=orjson.OPT_UTC_Z).decode()[1:-1].split(",")


def _stamps(times: Sequence[datetime], now: datetime) -> list[int]:
    """Record times that brokers take, in milliseconds: not in the future, which they refuse, nor before 1970."""
    latest = now.timestamp()
    return [max(1, int(min(time.timestamp(), latest) * 1000)) for time in times]


def _floats(column: Floats) -> list[str]:
    return _json(np.round(column, _DECIMALS).tolist())[1:-1].split(",")
