"""Records are written as kafka-python writes them, and a null header reaches the record."""

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from worker.kafka.patches.record_builder import _APPEND, NULL, SendsNulls, null_if_absent


class Unconnected(KafkaProducer):  # type: ignore[misc]  # kafka-python ships no types
    """A producer that only looks at what it is given."""

    def __init__(self) -> None:
        self._closed, self.config = False, {"api_version": (2, 8)}

    def __del__(self) -> None:
        pass


CONTENT = st.one_of(st.none(), st.binary(max_size=80), st.sampled_from([b"x" * 63, b"x" * 64, b"x" * 8192]))
HEADERS = st.lists(st.tuples(st.text(max_size=70), CONTENT), max_size=4)
TIMES = st.one_of(st.none(), st.integers(0, 2**53))
RECORDS = st.lists(st.tuples(TIMES, CONTENT, CONTENT, HEADERS), min_size=1, max_size=8)


@given(RECORDS, st.sampled_from([1, 200, 10_000, 1_000_000]))
def test_records_are_written_as_kafka_python_writes_them(
    records: list[tuple[int | None, bytes | None, bytes | None, list[tuple[str, bytes | None]]]], batch_size: int
) -> None:
    ours, upstream = (DefaultRecordBatchBuilder(2, 0, 1, 7, 3, 5, batch_size) for _ in range(2))
    with patch("time.time", return_value=1_800_000_000.25):
        for timestamp, key, value, headers in records:
            offset = ours._num_records
            written = ours.append(offset, timestamp, key, value, headers)
            # Its default argument is the clock as it was at the start.
            given_time = 1_800_000_000_250 if timestamp is None else timestamp
            expected = _APPEND.upstream(upstream, offset, given_time, key, value, headers)
            assert (written is None) == (expected is None)
            if written is not None:
                assert [getattr(written, name) for name in ("offset", "size", "timestamp")] == [
                    getattr(expected, name) for name in ("offset", "size", "timestamp")
                ]
    assert ours.build() == upstream.build()


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
