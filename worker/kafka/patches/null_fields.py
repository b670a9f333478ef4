"""Null keys beside null values, and null headers: a broker accepts them, kafka-python's producer does not.

Upstream: dpkp/kafka-python has no issue for its producer (searched in November 2026; #2004 is the same for its
consumer, and merged). tests/unit/worker/kafka/patches/test_null_fields.py says when the patch can go.
"""

from __future__ import annotations

from typing import Any, Final

from kafka.record.default_records import DefaultRecordBatchBuilder
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
    """Make kafka-python write NULL as a null header."""
    _APPEND.install(_append_with_nulls)


def _append_with_nulls(
    builder: Any, offset: int, timestamp: int, key: Any, value: Any, headers: list[tuple[str, Any]]
) -> Any:
    # Not earlier: the steps before measure each header's content.
    nulls = [(name, None if content is NULL else content) for name, content in headers]
    return _APPEND.upstream(builder, offset, timestamp, key, value, nulls)
