"""A null header reaches the record, whatever the producer thinks of it."""

from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from worker.kafka.patches.null_fields import NULL, SendsNulls, null_if_absent


class Unconnected(KafkaProducer):  # type: ignore[misc]  # kafka-python ships no types
    """A producer that only looks at what it is given."""

    def __init__(self) -> None:
        self._closed, self.config = False, {"api_version": (2, 8)}

    def __del__(self) -> None:
        pass


def test_null_stands_in_the_record_where_it_was_sent_as_a_header_and_empty_bytes_stay_empty() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1_000)
    builder.append(0, 0, b"k", b"v", [("null", null_if_absent(None)), ("empty", null_if_absent(b""))])
    (record,) = DefaultRecordBatch(bytes(builder.build()))
    assert record.headers == [("null", None), ("empty", b"")]


def test_a_null_key_is_sent_as_null() -> None:
    assert SendsNulls().serialize("topic", [], NULL) is None
    assert SendsNulls().serialize("topic", [], b"") == b""


@pytest.mark.parametrize(
    ("sent", "error"),
    [({"value": None, "key": None}, ValueError), ({"value": b"v", "headers": [("h", None)]}, TypeError)],
)
def test_kafka_python_still_refuses_nulls(sent: dict[str, Any], error: type[Exception]) -> None:
    """When this fails, upstream sends them, and the patch can go."""
    with pytest.raises(error):
        Unconnected().send("topic", **sent)
