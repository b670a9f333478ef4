"""Encodes results: the bytes that orjson would give for the whole event, at a third of its time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha1
from itertools import repeat
from typing import Final, Literal

import numpy as np
import orjson

from models.encoding import Floats, Rows
from models.segmentation import Assignments
from schemas.event_columns import Events
from schemas.events import ASSIGNED_TYPE, ASSIGNMENT_NAMESPACE, CONTENT_TYPE
from worker.stream.records import Message, Records, trace_context

RecordTime = Literal["processing", "event"]
"""Which time a result's record has: that of sending it, or that of its event."""

# More digits than are meaningful after scaling, and fewer than those that depend on the size of a batch.
_DECIMALS: Final = 6
# Without it a receiver assumes binary mode and looks for the attributes in headers.
_HEADERS: Final = (("content-type", CONTENT_TYPE.encode()),)
_VARIANT: Final = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
_NOTHING_NOTED: Final = b'"unknown_values":[],"missing_values":[],"out_of_range":[]'


class ResultEncoder:
    """Encodes the results of one model as `user.segment.assigned.v1` events."""

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
        self._id_prefix = ASSIGNMENT_NAMESPACE.bytes + cluster_id.encode() + b"/"
        self._begin = b'{"specversion":"1.0","type":%b,"source":%b,"id":"' % (_json(ASSIGNED_TYPE), _json(source))
        self._segments = {
            number: b'"segment":%d,"segment_name":%b' % (number, _json(name)) for number, name in names.items()
        }
        self._model = _json({"version": model_version, "digest": model_digest})

    def encode(self, records: Records, events: Events, assigned: Assignments, now: datetime) -> tuple[Message, ...]:
        """One message per event, in order; `now` is the time of the assignments, with a time zone."""
        at, dumps, id_prefix = events.rows, orjson.dumps, self._id_prefix
        partitions, offsets, headers = records.partitions, records.offsets, records.headers
        if len(at) < len(records):
            partitions, offsets, headers = (
                [partitions[row] for row in at],
                [offsets[row] for row in at],
                [headers[row] for row in at],
            )
        # Bytes between the columns: the same in each result of the batch.
        topic = _json(records.topic)
        until_subject = b'","subject":'
        until_segment = b',"time":%b,"data":{' % _time(now)
        until_input = b',"model":%b,"input":{"id":' % self._model
        template = (
            self._begin.replace(b"%", b"%%")
            + b"%b"
            + until_subject
            + b"%b"
            + until_segment.replace(b"%", b"%%")
            + b'%b,"distance":%b,"margin":%b,"outlier":%b,%b'
            + until_input.replace(b"%", b"%%")
            + b'%b,"topic":'
            + topic.replace(b"%", b"%%")
            + b',"partition":%d,"offset":%d,"time":%b}}}'
        )
        names = [b"%s/%d/%d" % (records.topic.encode(), *each) for each in zip(partitions, offsets, strict=True)]
        columns = zip(
            [_uuid(sha1(id_prefix + name, usedforsecurity=False).hexdigest()) for name in names],
            map(dumps, events.subjects),
            map(self._segments.__getitem__, assigned.segment.tolist()),
            _floats(assigned.distance),
            _floats(assigned.margin),
            [b"true" if outlier else b"false" for outlier in assigned.outlier.tolist()],
            _notes(assigned),
            map(dumps, events.ids),
            partitions,
            offsets,
            _times(events.times),
            strict=True,
        )
        return tuple(
            map(
                Message._make,
                zip(
                    map(str.encode, events.subjects),
                    map(template.__mod__, columns),
                    [(*_HEADERS, *trace_context(each)) if each else _HEADERS for each in headers],
                    repeat(None, len(at)) if self._record_time == "processing" else _stamps(events.times, now),
                    strict=True,
                ),
            )
        )


def _notes(assigned: Assignments) -> list[bytes]:
    """For each row, its fields with a value that is unknown, missing, or out of range."""
    notes = [_NOTHING_NOTED] * len(assigned.segment)
    if assigned.unknown or assigned.missing or assigned.out_of_range:
        missing, far = _by_row(assigned.missing), _by_row(assigned.out_of_range)
        for row in {*assigned.unknown, *missing, *far}:
            lists = assigned.unknown.get(row, ()), missing.get(row, ()), far.get(row, ())
            notes[row] = b'"unknown_values":%b,"missing_values":%b,"out_of_range":%b' % (*map(orjson.dumps, lists),)
    return notes


def _by_row(rows_of: Mapping[str, Rows]) -> Mapping[int, list[str]]:
    fields: dict[int, list[str]] = {}
    for name, rows in rows_of.items():
        for row in rows.tolist():
            fields.setdefault(row, []).append(name)
    return fields


def _json(value: object) -> bytes:
    return orjson.dumps(value)


def _time(time: datetime) -> bytes:
    return orjson.dumps(time, option=orjson.OPT_UTC_Z)


def _times(times: Sequence[datetime]) -> list[bytes]:
    return orjson.dumps(times, option=orjson.OPT_UTC_Z)[1:-1].split(b",")


def _stamps(times: Sequence[datetime], now: datetime) -> list[int]:
    """Record times that brokers take, in milliseconds: not in the future, which they refuse, nor before 1970."""
    latest = now.timestamp()
    return [max(1, int(min(time.timestamp(), latest) * 1000)) for time in times]


def _floats(column: Floats) -> list[bytes]:
    return orjson.dumps(np.round(column, _DECIMALS).tolist())[1:-1].split(b",")


def _uuid(digits: str) -> bytes:
    """As uuid.UUID of version 5 writes 40 hexadecimal digits of SHA-1."""
    variant = _VARIANT[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}".encode()
