"""A header name that is not UTF-8 is read, not the end of the consumer."""

import pytest
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from worker.kafka_headers import accept_any_header_name


class Latin1(str):
    """A header name that kafka-python sends in another encoding than UTF-8."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return super().encode("latin-1")


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DefaultRecordBatch, "_read_msg", DefaultRecordBatch._read_msg)


Sent = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]


def read(*records: Sent) -> list[tuple[object, ...]]:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 100_000)
    for offset, (key, value, headers) in enumerate(records):
        builder.append(offset, 1_700_000_000_000 + offset, key, value, headers)
    batch = DefaultRecordBatch(bytes(builder.build()))
    assert batch.validate_crc()
    return [(record.offset, record.key, record.value, record.headers) for record in batch]


def test_each_byte_that_is_not_utf8_reads_as_a_question_mark() -> None:
    accept_any_header_name()
    assert read((b"k", b"v", [(Latin1("trÿceþ"), b"1")])) == [(0, b"k", b"v", [("tr?ce?", b"1")])]


def test_everything_around_such_a_name_is_as_it_was_sent() -> None:
    accept_any_header_name()
    records: list[Sent] = [
        (None, b"first", []),
        (b"key", None, [("before", b"\xff"), (Latin1("Ã"), None), ("naïve", b"")]),
        (b"", b"x" * 300, [("after", None)]),
    ]
    assert read(*records) == [
        (0, None, b"first", []),
        (1, b"key", None, [("before", b"\xff"), ("?", None), ("naïve", b"")]),
        (2, b"", b"x" * 300, [("after", None)]),
    ]


def test_accepting_twice_is_accepting_once() -> None:
    accept_any_header_name()
    accept_any_header_name()
    assert read((b"k", b"v", [(Latin1("ÿ"), b"1")])) == [(0, b"k", b"v", [("?", b"1")])]
