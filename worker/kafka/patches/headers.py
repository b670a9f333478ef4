"""Header names that are not UTF-8, headers by the million: a broker accepts both, kafka-python's consumer does not.

Upstream: dpkp/kafka-python has no issue for either (searched in November 2026).
tests/unit/worker/kafka/patches/test_headers.py says when the patch can go.
"""

from __future__ import annotations

import re
from typing import Any, Final

from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint

from schemas.formats.records import HEADERS_MOST
from worker.kafka.patches.replacement import Replacement

_NOT_UTF8 = re.compile("[\udc80-\udcff]")  # what "surrogateescape" makes of each byte that is not UTF-8
# The headers of a smaller batch fit into memory, however many they are: no need to look at each record twice.
_LARGE_BATCH_BYTES: Final = 4 * 1024 * 1024

_READ: Final = Replacement(
    DefaultRecordBatch, "_read_msg", "b203a6ee5e4f423b6e746cbb4310b123b980a27b6e84d0e1314289a400e2d89b"
)
REPLACEMENTS: Final = (_READ,)


def apply() -> None:
    """Make kafka-python read such names, with "?" for each byte that is not UTF-8, and keep only the first
    HEADERS_MOST + 1 headers of a record that has more.

    Without it the first poll that meets such a name raises CorruptRecordError and the next never returns (3.0.12: the
    fetcher asks an exhausted generator for records, in an endless loop), and a record of 64 MB, which compression makes
    64 kB of, becomes 30 million headers in 2 GB: a single record would stop the worker.
    """
    _READ.install(_read_any)


def _read_any(batch: Any) -> Any:
    if len(batch._buffer) > _LARGE_BATCH_BYTES:  # noqa: SLF001  # names are decoded in no public place
        few = _with_first_headers(batch)
        if few is not None:
            return few
    try:
        return _READ.upstream(batch)
    except UnicodeDecodeError:
        # Nothing has moved yet: a record's position advances when all of it was read.
        _replace_undecodable_names(batch._buffer, batch._pos)  # noqa: SLF001  # see above
        return _READ.upstream(batch)


def _with_first_headers(batch: Any) -> Any:
    """The batch's next record with its first headers, or None when it has no more than HEADERS_MOST."""
    buffer = batch._buffer  # noqa: SLF001  # see above
    length, start = decode_varint(buffer, batch._pos)  # noqa: SLF001  # see above
    later_ms, position = decode_varint(buffer, start + 1)  # behind the attributes
    further, position = decode_varint(buffer, position)
    key, position = _span(buffer, position)
    value, position = _span(buffer, position)
    count, position = decode_varint(buffer, position)
    if count <= HEADERS_MOST:
        return None
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(HEADERS_MOST + 1):
        name, position = _span(buffer, position)
        content, position = _span(buffer, position)
        headers.append((_readable(_bytes(buffer, name) or b""), _bytes(buffer, content)))
    if start + length > len(buffer):
        raise IndexError("the record ends behind its batch")  # kafka-python makes a CorruptRecordError of it
    batch._pos = start + length  # noqa: SLF001  # see above
    log_append_time = batch.timestamp_type == DefaultRecordBatch.LOG_APPEND_TIME
    time_ms = batch.max_timestamp if log_append_time else batch.first_timestamp + later_ms
    offset = batch.base_offset + further
    return DefaultRecord(
        length, offset, time_ms, batch.timestamp_type, _bytes(buffer, key), _bytes(buffer, value), headers
    )


def _replace_undecodable_names(buffer: bytearray, position: int) -> None:
    # In place and in the same length, so that every length and offset around stays right. The batch's checksum was
    # verified before its first record is read.
    _, position = decode_varint(buffer, position)  # length
    position += 1  # attributes
    for _ in range(2):  # timestamp, offset
        _, position = decode_varint(buffer, position)
    for _ in range(2):  # key, value
        _, position = _span(buffer, position)
    count, position = decode_varint(buffer, position)
    for _ in range(count):
        name, position = _span(buffer, position)
        buffer[name] = _readable(buffer[name]).encode()
        _, position = _span(buffer, position)


def _span(buffer: bytearray, position: int) -> tuple[slice, int]:
    """Where the content after a length is, and the position after it; the slice of a null stops before its start."""
    length, start = decode_varint(buffer, position)
    return (slice(start, start + length), start + length) if length >= 0 else (slice(start, start - 1), start)


def _bytes(buffer: bytearray, span: slice) -> bytes | None:
    return None if span.stop < span.start else bytes(buffer[span])


def _readable(name: bytes | bytearray) -> str:
    return _NOT_UTF8.sub("?", name.decode("utf-8", "surrogateescape"))
