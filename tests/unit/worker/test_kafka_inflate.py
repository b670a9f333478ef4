"""A compressed batch is inflated up to a limit, and one that holds more ends the worker with words."""

import gzip
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import lz4.frame
import pytest
import snappy
import zstandard
from kafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.record import default_records, legacy_records
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder
from kafka.structs import TopicPartition

from worker.errors import ExitStatus, StopProcessError
from worker.kafka_inflate import HoldsTooMuch, bound_inflation, inflation_limit
from worker.settings import Settings

MIB = 1024 * 1024
SETTINGS = Settings(_env_file=None, kafka_bootstrap_servers="kafka:9092")
CODECS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "gzip": (1, gzip_encode),
    "snappy": (2, snappy_encode),
    "snappy without frame": (2, snappy.compress),
    "lz4": (3, lz4_encode),
    "zstd": (4, zstd_encode),
}


@pytest.fixture(autouse=True)
def _bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (default_records, legacy_records):
        for name in ("gzip_decode", "snappy_decode", "lz4_decode", "zstd_decode"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(Fetcher.PartitionRecords, "_unpack_records", Fetcher.PartitionRecords._unpack_records)
    bound_inflation(SETTINGS)


def batch(codec: int, *values: bytes, at: int = 0, magic: int = 2) -> bytes:
    builder = MemoryRecordsBuilder(magic, codec, batch_size=1 << 30, offset=at)
    for value in values:
        assert builder.append(1_764_000_000_000, b"key", value, []) is not None
    builder.close()
    return bytes(builder.buffer())


def placed(stored: bytes, first: int) -> bytes:
    """The same batch as the broker stores it at an offset, which no checksum covers."""
    return struct.pack(">q", first) + stored[8:]


def read(*stored: bytes) -> Iterator[Any]:
    rows = Fetcher.PartitionRecords(0, TopicPartition("user-activity", 3), MemoryRecords(b"".join(stored)))
    while rows:
        yield from rows.take(1)


def test_the_limit_is_above_what_the_largest_event_needs() -> None:
    assert inflation_limit(SETTINGS) == 64 * MIB
    large = Settings(_env_file=None, kafka_bootstrap_servers="kafka:9092", worker_event_max_bytes=50 * MIB)
    assert inflation_limit(large) == 200 * MIB


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [0, 1, 1000, 3 * MIB])
def test_what_was_compressed_is_read_as_it_was_sent(codec: str, size: int) -> None:
    number, encode = CODECS[codec]
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    for module in (default_records, legacy_records):
        name = ("", "gzip_decode", "snappy_decode", "lz4_decode", "zstd_decode")[number]
        if hasattr(module, name):
            assert getattr(module, name)(memoryview(bytes(encode(content))).tobytes()) == content
    assert [row.value for row in read(batch(number, content, b"small"))] == [content, b"small"]


def test_several_members_in_one_are_read_as_one() -> None:
    twice = gzip.compress(b"first") + gzip.compress(b"second") + b"\x00" * 7
    assert default_records.gzip_decode(memoryview(twice)) == b"firstsecond"
    assert default_records.zstd_decode(zstd_encode(b"first") + zstd_encode(b"second")) == b"firstsecond"


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_a_batch_that_holds_too_much_ends_the_worker_and_says_where_and_what_to_do(codec: int) -> None:
    bomb = batch(codec, bytes(40 * MIB), bytes(30 * MIB))
    assert len(bomb) < 5 * MIB
    rows = read(placed(batch(codec, b"good"), 6), placed(bomb, 7))
    assert next(rows).value == b"good"
    with pytest.raises(StopProcessError) as raised:
        next(rows)
    assert raised.value.exit_status is ExitStatus.ACT_FIRST
    assert "topic user-activity, partition 3, offset 7: " in str(raised.value)
    assert f"more than {64 * MIB} bytes" in str(raised.value)
    assert "--topic user-activity:3 --reset-offsets --to-offset 9 --execute" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_each_reading_after_it_meets_it_again_and_none_goes_on_behind_it() -> None:
    stored = placed(batch(1, b"good"), 0) + placed(batch(1, bytes(70 * MIB)), 1) + placed(batch(1, b"behind"), 2)
    rows = Fetcher.PartitionRecords(0, TopicPartition("user-activity", 3), MemoryRecords(stored))
    assert [row.value for row in rows.take(10)] == [b"good"]
    for _ in range(3):
        with pytest.raises(StopProcessError, match="offset 1: "):
            rows.take(10)
    assert rows.next_fetch_offset == 1


def test_a_batch_of_the_old_format_is_bounded_too() -> None:
    good = batch(1, b"good", magic=1)
    assert [row.value for row in read(good)] == [b"good"]
    bomb = batch(1, bytes(40 * MIB), bytes(30 * MIB), magic=1)
    with pytest.raises(StopProcessError, match="--to-offset 2 "):
        next(read(placed(bomb, 1)))


@pytest.mark.parametrize(
    ("name", "bomb"),
    [
        ("gzip_decode", gzip.compress(bytes(200 * MIB), 1)),
        ("lz4_decode", lz4.frame.compress(bytes(200 * MIB))),
        ("zstd_decode", zstandard.compress(bytes(200 * MIB), 1)),
        ("snappy_decode", snappy_encode(bytes(200 * MIB))),
        ("snappy_decode", b"\xff\xff\xff\xff\x0f" + b"says it needs 4 GiB"),
        ("zstd_decode", b"\x28\xb5\x2f\xfd" + b"\x00\xa8" + b"asks for a window of 2 GiB"),
    ],
)
def test_the_memory_for_what_holds_too_much_is_bounded(name: str, bomb: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(HoldsTooMuch):
            getattr(default_records, name)(bomb)
        assert tracemalloc.get_traced_memory()[1] < 100 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("damage", ["cut", "noise"])
def test_what_is_no_compressed_batch_is_told_as_corrupt_with_its_place(codec: str, damage: str) -> None:
    number, encode = CODECS[codec]
    content = bytes(encode(b"".join(b"%d" % number for number in range(1000))))
    damaged = content[: len(content) // 2] if damage == "cut" else b"\x00\x01\x02\x03" * 50
    whole = bytearray(batch(number, b"x" * 1000))
    header = default_records.DefaultRecordBatch.HEADER_STRUCT
    fields = list(header.unpack_from(whole))
    fields[0], fields[1] = 1, header.size - 12 + len(damaged)
    stored = bytearray(header.pack(*fields) + damaged)
    struct.pack_into(">I", stored, 17, default_records.calc_crc32c(memoryview(stored)[21:]))
    with pytest.raises(CorruptRecordError, match="partition 3, offset 1: "):
        list(read(batch(0, b"good"), bytes(stored)))


def test_a_first_batch_that_is_too_short_to_be_one_is_told_as_corrupt_with_its_place() -> None:
    with pytest.raises(CorruptRecordError, match="partition 3, offset 0: "):
        list(read(struct.pack(">qi", 0, 1) + b"x" * 20))
