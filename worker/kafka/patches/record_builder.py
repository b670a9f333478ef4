"""Writing records: null headers, which kafka-python's producer does not send, and in a part of its time.

A broker accepts null headers, and null keys beside null values. Upstream: dpkp/kafka-python has no issue for its
producer (searched in November 2026; #2004 is the same for its consumer, and merged).
tests/unit/worker/kafka/patches/test_record_builder.py says when that part can go.

Upstream writes each byte of a length or difference by a call of its own, which is a third of the cost of sending a
record; there is no issue for that either.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any, Final

from kafka.record.default_records import DefaultRecordBatchBuilder, DefaultRecordMetadata
from kafka.record.util import encode_varint
from kafka.serializer import Serializer

from worker.kafka.patches.replacement import Replacement


class _Null(bytes):
    """Stands for null until the producer has looked at it; a class of its own, so that no empty bytes equal it."""


NULL: Final = _Null()

_APPEND: Final = Replacement(
    DefaultRecordBatchBuilder, "append", "0fefd84960f190b740dd23949d28cd87fdd91566d817e6167644c4ddc54d0242"
)
REPLACEMENTS: Final = (_APPEND,)


def null_if_absent(content: bytes | None) -> bytes:
    """The content, or what a producer with SendsNulls sends as null, as a key or as a header."""
    return NULL if content is None else content


class SendsNulls(Serializer):  # type: ignore[misc]  # kafka-python ships no types
    """For a producer's `key_serializer`.

    kafka-python 3.0.12 refuses null headers, and a null key with a null value, before it serializes, while what writes
    the records takes both.
    """

    def serialize(self, topic: str, headers: Any, data: bytes | None) -> bytes | None:  # noqa: ARG002  # the base's
        """The key to send."""
        return None if data is NULL else data


def apply() -> None:
    """Make kafka-python write records with this module, and NULL as a null header."""
    _APPEND.install(_append)


@lru_cache(16_384)
def _varint(number: int) -> bytes:
    written = bytearray()
    encode_varint(number, written.append)
    return bytes(written)


_NO_BYTES: Final = _varint(-1)
"""The length of null."""


def _append(
    builder: Any, offset: int, timestamp: int | None, key: Any, value: Any, headers: list[tuple[str, Any]]
) -> Any:
    """The same bytes and the same answer as upstream's, whose producer has looked at the types before."""
    if timestamp is None:
        timestamp = int(time.time() * 1000)
    first, buffer = builder._first_timestamp, builder._buffer  # noqa: SLF001  # as a method of the builder
    record = [b"\0", _varint(0 if first is None else timestamp - first), _varint(offset)]
    record += (_NO_BYTES,) if key is None else (_varint(len(key)), key)
    record += (_NO_BYTES,) if value is None else (_varint(len(value)), value)
    record.append(_varint(len(headers)))
    for name, content in headers:
        encoded = name.encode()
        record += (_varint(len(encoded)), encoded)
        record += (_NO_BYTES,) if content is None or content is NULL else (_varint(len(content)), content)
    body = b"".join(record)
    length = _varint(len(body))
    size = len(length) + len(body)
    if first is not None and size + len(buffer) > builder._batch_size:  # noqa: SLF001  # see above
        return None
    if first is None:
        builder._first_timestamp = builder._max_timestamp = timestamp  # noqa: SLF001  # see above
    elif builder._max_timestamp < timestamp:  # noqa: SLF001  # see above
        builder._max_timestamp = timestamp  # noqa: SLF001  # see above
    builder._num_records += 1  # noqa: SLF001  # see above
    builder._last_offset = offset  # noqa: SLF001  # see above
    buffer += length
    buffer += body
    return DefaultRecordMetadata(offset, size, timestamp)
