"""A compressed batch is decompressed up to a limit; one that holds more is an error with its place."""

import gzip
import random
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import lz4.frame
import pytest
import snappy
import zstandard
from kafka.codec import gzip_encode, lz4_decode, lz4_encode, snappy_encode, zstd_encode
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError, UnsupportedCodecError
from kafka.record import default_records, legacy_records
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder
from kafka.structs import TopicPartition

from worker.kafka.patches import decompression
from worker.kafka.patches.decompression import DecompressedTooLarge, OversizedBatch, decompression_limit_bytes

MIB = 1024 * 1024
CODECS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "gzip": (1, gzip_encode),
    "snappy": (2, snappy_encode),
    "snappy without frame": (2, snappy.compress),
    "lz4": (3, lz4_encode),
    "zstd": (4, zstd_encode),
}


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
    assert decompression_limit_bytes(900_000) == 64 * MIB
    assert decompression_limit_bytes(50 * MIB) == 200 * MIB


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


XERIAL = snappy_encode(b"x")[:16]


def xerial_block(content: bytes) -> bytes:
    return struct.pack(">i", len(content)) + content


def lz4_of_blocks(content: bytes, count: int) -> bytes:
    # The library makes no block of nothing; of literals only, one is its length in the upper half of a byte, and they.
    block = bytes([len(content) << 4]) + content
    begin: bytes = lz4.frame.LZ4FrameCompressor().begin()
    return begin + (struct.pack("<I", len(block)) + block) * count + bytes(4)


PIECES: dict[str, tuple[str, Callable[[bytes, int], bytes]]] = {
    "gzip members": ("gzip_decode", lambda content, count: gzip.compress(content) * count),
    "gzip members with zeros behind": (
        "gzip_decode",
        lambda content, count: (gzip.compress(content) + bytes(9)) * count,
    ),
    "lz4 blocks": ("lz4_decode", lz4_of_blocks),
    "zstd frames": ("zstd_decode", lambda content, count: zstandard.compress(content) * count),
    "xerial blocks": (
        "snappy_decode",
        lambda content, count: XERIAL + xerial_block(snappy.compress(content)) * count,
    ),
}


def least_cpu_s(name: str, compressed: bytes) -> float:
    """The processor time that it takes to inflate this, at best of three times."""
    took_s: list[float] = []
    for _ in range(3):
        begun_s = time.process_time()
        getattr(default_records, name)(compressed)
        took_s.append(time.process_time() - begun_s)
    return min(took_s)


@pytest.mark.parametrize("kind", PIECES)
@pytest.mark.parametrize("content", [b"ab", b""], ids=["that hold little", "that hold nothing"])
def test_time_and_memory_for_many_pieces_grow_with_their_number_and_no_faster(kind: str, content: bytes) -> None:
    name, compress = PIECES[kind]
    few, many = compress(content, 8_000), compress(content, 64_000)
    assert getattr(default_records, name)(many) == content * 64_000
    took_s = least_cpu_s(name, many)
    assert took_s < 16 * least_cpu_s(name, few)
    assert took_s < 1.0  # less than 2 MB, of which a broker accepts 1 MB by default
    tracemalloc.start()
    try:
        getattr(default_records, name)(many)
        assert tracemalloc.get_traced_memory()[1] < 10 * MIB
    finally:
        tracemalloc.stop()


def test_pieces_may_begin_and_end_anywhere() -> None:
    # Where the end of one falls on a boundary of what is inflated at a time, it is to be seen all the same.
    for size in range(32_720, 32_780):
        content = bytes(random.Random(size).randbytes(size))
        stored = gzip.compress(content, 0)
        for behind in (b"", b"\x00", bytes(40_000), gzip.compress(b"second")):
            inflated = default_records.gzip_decode(memoryview(stored + behind))
            assert inflated == content + (b"second" if behind[:1] == b"\x1f" else b"")
        assert default_records.lz4_decode(lz4.frame.compress(content)) == content


@pytest.mark.parametrize("cut", [1, 8, 9, 20, 30_000])
def test_a_last_member_that_is_truncated_is_corrupt(cut: int) -> None:
    whole = gzip.compress(b"first") + gzip.compress(bytes(random.Random(1).randbytes(100_000)))
    with pytest.raises(CorruptRecordError, match="truncated"):
        default_records.gzip_decode(memoryview(whole[:-cut]))


@pytest.mark.parametrize("damage", [b"\x01", b"\x00\x00\x01", b"\x1f\x8b\x00"])
def test_bytes_after_a_member_that_are_not_a_member_are_corrupt(damage: bytes) -> None:
    with pytest.raises(CorruptRecordError, match="cannot be decompressed"):
        default_records.gzip_decode(memoryview(gzip.compress(b"first") + damage))


@pytest.mark.parametrize("length", [-1, -(2**31), -9, 0, 2**31 - 1])
def test_a_block_with_an_impossible_length_is_corrupt(length: int) -> None:
    block = xerial_block(snappy.compress(b"good"))
    with pytest.raises(CorruptRecordError, match="cannot be decompressed"):
        default_records.snappy_decode(XERIAL + block * 1_000 + struct.pack(">i", length) + b"x" * 9)


def test_what_stands_behind_an_lz4_frame_is_passed_over_as_without_a_limit() -> None:
    twice = lz4.frame.compress(b"first") + lz4.frame.compress(b"second")
    assert default_records.lz4_decode(twice) == lz4_decode(twice) == b"first"
    skipped = struct.pack("<II", 0x184D2A50, 0)
    assert default_records.lz4_decode(skipped + twice) == lz4_decode(skipped + twice) == b""


def test_frames_of_zstd_that_are_to_be_skipped_are_skipped() -> None:
    skipped = struct.pack("<II", 0x184D2A50, 3) + b"any"
    assert default_records.zstd_decode(skipped * 50_000 + zstd_encode(b"first") + skipped * 50_000) == b"first"


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_a_batch_that_holds_too_much_is_an_error_that_says_where_it_is(codec: int) -> None:
    bomb = batch(codec, bytes(40 * MIB), bytes(30 * MIB))
    assert len(bomb) < 5 * MIB
    rows = read(placed(batch(codec, b"good"), 6), placed(bomb, 7))
    assert next(rows).value == b"good"
    with pytest.raises(OversizedBatch) as raised:
        next(rows)
    error = raised.value
    assert (error.topic, error.partition, error.offset, error.next_offset) == ("user-activity", 3, 7, 9)
    assert error.limit_bytes == 64 * MIB


def test_each_reading_after_it_meets_it_again_and_none_goes_on_behind_it() -> None:
    stored = placed(batch(1, b"good"), 0) + placed(batch(1, bytes(70 * MIB)), 1) + placed(batch(1, b"behind"), 2)
    rows = Fetcher.PartitionRecords(0, TopicPartition("user-activity", 3), MemoryRecords(stored))
    assert [row.value for row in rows.take(10)] == [b"good"]
    for _ in range(3):
        with pytest.raises(OversizedBatch, match="offset 1: "):
            rows.take(10)
    assert rows.next_fetch_offset == 1


class Unforeseen:
    """A deserializer with a defect that shows at one value."""

    def deserialize(self, topic: str, _headers: Any, content: bytes) -> bytes:
        if content == b"odd":
            raise ZeroDivisionError(f"no one thought of this at {topic}")
        return content


def test_an_unexpected_error_is_raised_at_each_reading_too() -> None:
    # Read as empty instead, kafka-python asks again without an end, and no deadline of its own ends that.
    stored = placed(batch(1, b"good"), 0) + placed(batch(1, b"odd"), 1) + placed(batch(1, b"behind"), 2)
    at = TopicPartition("user-activity", 3)
    rows = Fetcher.PartitionRecords(0, at, MemoryRecords(stored), value_deserializer=Unforeseen())
    assert [row.value for row in rows.take(10)] == [b"good"]
    for _ in range(3):
        with pytest.raises(ZeroDivisionError, match="no one thought of this"):
            rows.take(10)
    assert rows
    assert rows.next_fetch_offset == 1


def test_a_batch_whose_codec_is_unknown_is_refused_at_each_reading() -> None:
    stored = bytearray(batch(1, b"good"))
    stored[22] |= 7
    struct.pack_into(">I", stored, 17, default_records.calc_crc32c(memoryview(stored)[21:]))
    rows = Fetcher.PartitionRecords(0, TopicPartition("user-activity", 3), MemoryRecords(bytes(stored)))
    for _ in range(3):
        with pytest.raises(UnsupportedCodecError):
            rows.take(10)


def test_a_batch_of_the_old_format_is_bounded_too() -> None:
    good = batch(1, b"good", magic=1)
    assert [row.value for row in read(good)] == [b"good"]
    bomb = batch(1, bytes(40 * MIB), bytes(30 * MIB), magic=1)
    with pytest.raises(OversizedBatch) as raised:
        next(read(placed(bomb, 1)))
    assert raised.value.next_offset == 2


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
        with pytest.raises(DecompressedTooLarge):
            getattr(default_records, name)(bomb)
        assert tracemalloc.get_traced_memory()[1] < 100 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("damage", ["cut", "noise"])
def test_a_damaged_batch_is_corrupt_at_its_offset(codec: str, damage: str) -> None:
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


def test_a_first_batch_that_is_too_short_is_corrupt_at_its_offset() -> None:
    with pytest.raises(CorruptRecordError, match="partition 3, offset 0: "):
        list(read(struct.pack(">qi", 0, 1) + b"x" * 20))


def test_kafka_python_still_decompresses_without_a_limit() -> None:
    """When this fails, upstream has a limit of its own, and the decoders here can go."""
    bomb = gzip.compress(bytes(decompression_limit_bytes(0) + 1), 1)
    upstream = decompression._DECODE[default_records, "gzip_decode"].upstream
    assert len(upstream(bomb)) > decompression_limit_bytes(0)


def test_kafka_python_still_ends_a_partition_at_its_first_error() -> None:
    """When this fails, upstream raises the error at each reading, and `_End` can go."""

    class Damaged:
        def next_batch(self) -> Any:
            raise CorruptRecordError("once")

    rows = Fetcher.PartitionRecords(0, TopicPartition("user-activity", 3), MemoryRecords(b""))
    records = decompression._UNPACK.upstream(rows, rows.topic_partition, Damaged(), None, None)
    with pytest.raises(CorruptRecordError):
        next(records)
    assert list(records) == []
