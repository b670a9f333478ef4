"""A header name that is not UTF-8 is read, not the end of the consumer."""

import pytest
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from schemas.formats.records import HEADERS_MOST
from worker.kafka.patches.headers import _READ


class Latin1(str):
    """A header name that kafka-python sends in another encoding than UTF-8."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return super().encode("latin-1")


Sent = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]


def read(*records: Sent) -> list[tuple[object, ...]]:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 100_000_000)
    for offset, (key, value, headers) in enumerate(records):
        builder.append(offset, 1_700_000_000_000 + offset, key, value, headers)
    batch = DefaultRecordBatch(bytes(builder.build()))
    assert batch.validate_crc()
    return [(record.offset, record.key, record.value, record.headers) for record in batch]


def test_each_byte_that_is_not_utf8_reads_as_a_question_mark() -> None:
    assert read((b"k", b"v", [(Latin1("trÿceþ"), b"1")])) == [(0, b"k", b"v", [("tr?ce?", b"1")])]


def test_everything_around_such_a_name_is_as_it_was_sent() -> None:
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


def test_of_very_many_headers_in_a_large_batch_the_first_are_read_and_all_around_as_it_was_sent() -> None:
    many: list[tuple[str, bytes | None]] = [(Latin1("ÿ"), b"1"), ("null", None), ("", b"")]
    many += [(f"h{number}", b"%d" % number) for number in range(400_000)]
    found = read((b"k", None, many), (None, b"v", many), (b"last", b"v", [("a", b"1")]))
    first = [("?", b"1"), *many[1 : HEADERS_MOST + 1]]
    assert found == [(0, b"k", None, first), (1, None, b"v", first), (2, b"last", b"v", [("a", b"1")])]


def test_headers_in_an_ordinary_batch_are_all_read() -> None:
    many: list[tuple[str, bytes | None]] = [("h", b"1")] * (2 * HEADERS_MOST)
    assert read((b"k", b"v", many)) == [(0, b"k", b"v", many)]


def test_a_record_with_very_many_headers_that_ends_behind_its_batch_is_corrupt() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 100_000)
    builder.append(0, 0, b"k", b"v", [("h", b"1" * 100)] * 50_000)
    stored = bytes(builder.build())[:-1]
    with pytest.raises(CorruptRecordError):
        next(iter(DefaultRecordBatch(stored)))


def test_kafka_python_still_refuses_a_name_that_is_not_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails, upstream reads such names; the patch can go once it also reads no headers by the million."""
    monkeypatch.setattr(DefaultRecordBatch, "_read_msg", _READ.upstream)
    with pytest.raises(CorruptRecordError):
        read((b"k", b"v", [(Latin1("ÿ"), b"1")]))


def test_kafka_python_still_reads_every_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails, upstream has a limit, and `_with_first_headers` can go."""
    monkeypatch.setattr(DefaultRecordBatch, "_read_msg", _READ.upstream)
    many: list[tuple[str, bytes | None]] = [("h", b"1" * 100)] * 50_000
    ((_, _, _, found),) = read((b"k", b"v", many))
    assert found == many
