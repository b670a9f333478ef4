"""Null keys beside null values, and null headers: legal for a broker, refused by kafka-python's producer."""

from __future__ import annotations

from typing import Any, Final

from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.serializer import Serializer


class _Null(bytes):
    """Stands for null until the producer has looked at it; a class of its own, so that no empty bytes are it."""


NULL: Final = _Null()

_append_as_is = DefaultRecordBatchBuilder.append


def null_if_absent(content: bytes | None) -> bytes:
    """The content, or what a producer with SendsNulls sends as null, as a key or as a header."""
    return NULL if content is None else content


class SendsNulls(Serializer):  # type: ignore[misc]  # kafka-python ships no types
    """For a producer's `key_serializer`.

    kafka-python 3.0.12 refuses null headers, and a null key with a null value, before it serializes, while what writes
    the records takes both.
    """

    def __init__(self) -> None:
        DefaultRecordBatchBuilder.append = _append_with_nulls

    def serialize(self, topic: str, headers: Any, data: bytes | None) -> bytes | None:  # noqa: ARG002  # the base's
        """The key to send."""
        return None if data is NULL else data


def _append_with_nulls(
    builder: Any, offset: int, timestamp: int, key: Any, value: Any, headers: list[tuple[str, Any]]
) -> Any:
    # Not earlier: what is between measures each header's content.
    nulls = [(name, None if content is NULL else content) for name, content in headers]
    return _append_as_is(builder, offset, timestamp, key, value, nulls)
