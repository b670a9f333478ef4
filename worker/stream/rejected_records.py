"""The record for the dead-letter topic: the original, byte for byte, with the reason in added headers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from schemas.formats.records import HEADERS_MOST
from schemas.rejected import RejectedHeader, Rejection
from worker.stream.records import Message, Record, trace_context

# Overhead of a record, without its key, value and headers, and of a header, without name and value; rounded up.
_RECORD_OVERHEAD_BYTES = 128
_HEADER_OVERHEAD_BYTES = 10
# Room for this program's own headers and the trace context: detail, topic and tracestate are the long ones.
_HEADERS_RESERVED_BYTES = 4096
_OWN_NAMES = frozenset(map(str, RejectedHeader))


def rejected_record(record: Record, rejection: Rejection, now: datetime, source: str, max_bytes: int) -> Message:
    """The original record plus the reason, in at most `max_bytes`; changes to it are listed in headers.

    `source` is the worker that rejects it, `now` the time of rejection.
    """
    carried, notes = _carried(record, max_bytes)
    own = {
        RejectedHeader.REASON: rejection.reason,
        RejectedHeader.DETAIL: rejection.detail,
        RejectedHeader.TOPIC: record.topic,
        RejectedHeader.PARTITION: str(record.partition),
        RejectedHeader.OFFSET: str(record.offset),
        RejectedHeader.TIMESTAMP: str(record.timestamp_ms),
        RejectedHeader.AT: now.isoformat().replace("+00:00", "Z"),
        RejectedHeader.BY: source,
        **notes,
    }
    return carried._replace(headers=(*carried.headers, *((str(name), text.encode()) for name, text in own.items())))


def _carried(record: Record, max_bytes: int) -> tuple[Message, dict[RejectedHeader, str]]:
    """As much of the record as can be sent, and notes about the rest."""
    key, value = record.key, record.value
    notes: dict[RejectedHeader, str] = {}
    nulls, left_out = [], []
    if key is None and value is None:
        key, value = b"", b""
        nulls += ["key", "value"]
    # The headers of an earlier rejection are dropped.
    original = [(name, content) for name, content in record.headers[:HEADERS_MOST] if name not in _OWN_NAMES]
    if len(record.headers) > HEADERS_MOST:
        original = [*trace_context(record.headers)]
        left_out.append("headers")
    null_headers = [f"header:{index}" for index, (_, content) in enumerate(original) if content is None]
    headers = [(name, content or b"") for name, content in original]
    # The list of null headers can be longer than the headers themselves; it is left out with them.
    listed_bytes = len(",".join(null_headers))
    room = max_bytes - _RECORD_OVERHEAD_BYTES - _HEADERS_RESERVED_BYTES - listed_bytes
    if _bytes(key, value, headers) > room and value:
        notes[RejectedHeader.SHA256] = sha256(value).hexdigest()
        value = b""
        left_out.append("value")
    if _bytes(key, value, headers) > room and headers:
        headers, null_headers = [*trace_context(record.headers)], []
        room += listed_bytes
        left_out.append("headers")
    if _bytes(key, value, headers) > room:
        key = b""
        left_out.append("key")
    if nulls or null_headers:
        notes[RejectedHeader.NULLS] = ",".join((*nulls, *null_headers))
    if left_out:
        notes[RejectedHeader.TRUNCATED] = "1"
        notes[RejectedHeader.LEFT_OUT] = ",".join(left_out)
    return Message(key, value, tuple(headers)), notes


def _bytes(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> int:
    header_bytes = sum(len(name.encode()) + len(content) + _HEADER_OVERHEAD_BYTES for name, content in headers)
    return len(key or b"") + len(value or b"") + header_bytes
