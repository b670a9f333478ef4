"""Header names that are not UTF-8: legal for a broker, the end of kafka-python's consumer."""

from __future__ import annotations

import re
from typing import Any

from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import decode_varint

_NOT_UTF8 = re.compile("[\udc80-\udcff]")  # what "surrogateescape" makes of each byte that is not UTF-8

_read_strictly = DefaultRecordBatch._read_msg  # noqa: SLF001  # there is no public place where names are decoded


def accept_any_header_name() -> None:
    """Make kafka-python read such names, with "?" for each byte that is not UTF-8. Fine to call twice.

    Without it the first poll that meets one raises CorruptRecordError and the next never returns (3.0.12: the fetcher
    asks an exhausted generator for records, in an endless loop): one record of anybody's would stop the worker.
    """
    DefaultRecordBatch._read_msg = _read_any  # noqa: SLF001  # see above


def _read_any(batch: Any) -> Any:
    try:
        return _read_strictly(batch)
    except UnicodeDecodeError:
        # Nothing has moved yet: a record's position advances when all of it was read.
        _mend_header_names(batch._buffer, batch._pos)  # noqa: SLF001  # see above
        return _read_strictly(batch)


def _mend_header_names(buffer: bytearray, position: int) -> None:
    # In place and in the same length, so that every length and offset around stays right. The batch's checksum was
    # verified before its first record is read.
    _, position = decode_varint(buffer, position)  # length
    position += 1  # attributes
    for _ in range(2):  # timestamp, offset
        _, position = decode_varint(buffer, position)
    for _ in range(2):  # key, value
        length, position = decode_varint(buffer, position)
        position += max(length, 0)
    count, position = decode_varint(buffer, position)
    for _ in range(count):
        length, position = decode_varint(buffer, position)
        name = bytes(buffer[position : position + length]).decode("utf-8", "surrogateescape")
        buffer[position : position + length] = _NOT_UTF8.sub("?", name).encode("utf-8")
        position += length
        length, position = decode_varint(buffer, position)
        position += max(length, 0)
