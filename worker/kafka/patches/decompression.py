"""Compressed batches that would fill the memory: a broker accepts them, kafka-python's consumer inflates them whole.

Upstream: dpkp/kafka-python has no issue for it, nor for a fetcher that asks an exhausted generator for records without
end (searched in November 2026). tests/unit/worker/kafka/patches/test_decompression.py says when the patch can go.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import lz4.frame
import snappy
import zstandard
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError, KafkaError
from kafka.record import default_records, legacy_records

from worker.kafka.patches.replacement import Replacement

_LEAST_LIMIT_BYTES: Final = 64 * 1024 * 1024
_EVENTS: Final = 4
_STEP_BYTES: Final = 1024 * 1024
_CHUNK_BYTES: Final = 32 * 1024
_GZIP: Final = 16 + zlib.MAX_WBITS
_ZSTD_WINDOW_BYTES: Final = 1 << 27  # zstd's own default; all of it may be taken before a byte comes out
_XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES: Final = 16

Decode = Callable[[Any, int], bytes]
"""Decompresses a batch; raises DecompressedTooLarge as soon as that gives more bytes than the limit."""

_UNPACK: Final = Replacement(
    Fetcher.PartitionRecords, "_unpack_records", "d91ccce28d83483f1b029fb2d5198d63fb1ed0f0fcea0c6f1edc32f548415544"
)


class DecompressedTooLarge(Exception):
    """A compressed batch holds more bytes than allowed."""


class OversizedBatch(KafkaError):  # type: ignore[misc]  # kafka-python ships no types
    """A compressed batch that holds more than `limit_bytes`, at `offset` of a partition; `next_offset` is after it."""

    def __init__(self, topic: str, partition: int, offset: int, next_offset: int, limit_bytes: int) -> None:
        super().__init__(f"topic {topic}, partition {partition}, offset {offset}: more than {limit_bytes} bytes")
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.next_offset = next_offset
        self.limit_bytes = limit_bytes


def apply(event_max_bytes: int) -> None:
    """Make kafka-python stop at a compressed batch that grows beyond what a worker with this largest event takes.

    The poll that meets one raises OversizedBatch, and so does each poll after it; whatever else goes wrong with a batch
    is raised again by each poll, too. Without it 1 MB of gzip becomes 1 GB, and anyone who may write one record makes
    the kernel kill every worker, again and again.
    """
    limit_bytes = decompression_limit_bytes(event_max_bytes)
    for (_, name), replacement in _DECODE.items():
        replacement.install(_bounded(_DECODERS[name], limit_bytes))

    def unpack(rows: Any, at: Any, batches: Any, *deserializers: Any) -> Iterator[Any]:
        watched = _Watched(batches)

        def readable() -> Iterator[Any]:
            try:
                yield from _UNPACK.upstream(rows, at, watched, *deserializers)
            except DecompressedTooLarge:
                watched.error = _oversized(at, watched.last, limit_bytes)
            except CorruptRecordError as error:
                where = f"partition {at.partition}, offset {rows.next_fetch_offset}"
                watched.error = CorruptRecordError(f"{where}: {error}")
            except Exception as error:  # noqa: BLE001  # raised below, each time that a record is asked for
                watched.error = error

        return chain(readable(), _End(watched))

    _UNPACK.install(unpack)


def decompression_limit_bytes(event_max_bytes: int) -> int:
    """The most bytes that one compressed batch may hold: far above what is ever sent, far below a machine's memory."""
    return max(_LEAST_LIMIT_BYTES, _EVENTS * event_max_bytes)


def _oversized(at: Any, batch: Any, limit_bytes: int) -> OversizedBatch:
    first = batch.base_offset
    # A batch of the old format has the offset of its last record only.
    after = batch.next_offset if batch.magic == 2 else first + 1
    return OversizedBatch(at.topic, at.partition, first, after, limit_bytes)


class _Watched:
    """Batches, the last one handed out, and the error if it could not be read."""

    def __init__(self, batches: Any) -> None:
        self._batches = batches
        self.last: Any = None
        self.error: Exception | None = None

    def next_batch(self) -> Any:
        self.last = self._batches.next_batch()
        return self.last


@dataclass(frozen=True, slots=True)
class _End:
    """The end of the readable records: raises StopIteration, or the batch's error, each time it is asked.

    A generator ends with its first error, and kafka-python 3.0.12 then asks it for records in an endless loop.
    """

    watched: _Watched

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        raise self.watched.error or StopIteration


def _bounded(decode: Decode, limit_bytes: int) -> Callable[[Any], bytes]:
    def decode_bounded(compressed: Any) -> bytes:
        try:
            return decode(compressed, limit_bytes)
        except (zlib.error, zstandard.ZstdError, snappy.UncompressError, RuntimeError, EOFError, ValueError) as error:
            # The library's error would not say where, and would not count as a corrupt record.
            raise CorruptRecordError(f"the compressed batch cannot be decompressed ({error})") from error

    return decode_bounded


class _Inflated:
    """The bytes decompressed so far, and how many more are allowed."""

    def __init__(self, limit_bytes: int) -> None:
        self.left_bytes = limit_bytes
        self._parts: list[bytes] = []

    def add(self, part: bytes) -> None:
        self.left_bytes -= len(part)
        if self.left_bytes < 0:
            raise DecompressedTooLarge
        if part:
            self._parts.append(part)

    def joined(self) -> bytes:
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


def _chunks(compressed: Any) -> Iterator[bytes]:
    # The libraries copy the rest of what they were given, at each end of a member and at each step: given all at once,
    # 3 MB of tiny members take longer than a poll may.
    for at in range(0, len(compressed), _CHUNK_BYTES):
        yield bytes(compressed[at : at + _CHUNK_BYTES])


def _gunzip(compressed: Any, limit_bytes: int) -> bytes:
    inflated = _Inflated(limit_bytes)
    member = zlib.decompressobj(_GZIP)
    for chunk in _chunks(compressed):
        rest = chunk
        while rest := rest.lstrip(b"\x00") if member.eof else rest:  # zeros may follow a member
            if member.eof:
                member = zlib.decompressobj(_GZIP)
            inflated.add(member.decompress(rest, _STEP_BYTES))
            rest = member.unused_data or member.unconsumed_tail
    if len(compressed) and not member.eof:
        raise EOFError("truncated")
    return inflated.joined()


def _unlz4(compressed: Any, limit_bytes: int) -> bytes:
    # Data after the first frame is skipped, as in Kafka's own client and in kafka-python.
    inflated = _Inflated(limit_bytes)
    frame = lz4.frame.LZ4FrameDecompressor()
    for chunk in _chunks(compressed):
        inflated.add(frame.decompress(chunk, max_length=_STEP_BYTES))
        while not (frame.eof or frame.needs_input):
            inflated.add(frame.decompress(b"", max_length=_STEP_BYTES))
        if frame.eof:
            return inflated.joined()
    raise EOFError("truncated")


def _unzstd(compressed: Any, limit_bytes: int) -> bytes:
    # Frames that ask for a larger window are refused by the library, as if they were damaged.
    if zstandard.get_frame_parameters(compressed).window_size > _ZSTD_WINDOW_BYTES:
        raise DecompressedTooLarge
    inflated = _Inflated(limit_bytes)
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(compressed), read_across_frames=True) as reader:
        while part := reader.read(_STEP_BYTES):
            inflated.add(part)
    return inflated.joined()


def _unsnappy(compressed: bytes, limit_bytes: int) -> bytes:
    if compressed[: len(_XERIAL_MAGIC)] != _XERIAL_MAGIC:
        return _unsnappy_block(compressed, limit_bytes)
    inflated = _Inflated(limit_bytes)
    at = _XERIAL_HEADER_BYTES
    while at < len(compressed):
        start = at + 4
        at = start + int.from_bytes(compressed[at:start], "big")
        inflated.add(_unsnappy_block(compressed[start:at], inflated.left_bytes))
    return inflated.joined()


def _unsnappy_block(compressed: bytes, limit_bytes: int) -> bytes:
    # The library takes as much memory as the block says that it needs, before it looks at anything else of it.
    size = 0
    for place, byte in enumerate(compressed[:5]):
        size |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            break
    if size > limit_bytes:
        raise DecompressedTooLarge
    content: bytes = snappy.decompress(compressed)
    return content


_DECODERS: Final[dict[str, Decode]] = {
    "gzip_decode": _gunzip,
    "lz4_decode": _unlz4,
    "snappy_decode": _unsnappy,
    "zstd_decode": _unzstd,
}
_SHA256: Final = {
    "gzip_decode": "bc87302301f47d1898f7be6d6f0d5b44157c7118c3b340342410e6bbc0512768",
    "lz4_decode": "2ec0a173da80b69bafd823dba6d1d1c4a37b872a13b2b706589d2f0616190415",
    "snappy_decode": "7e5b23efbfad6a18174359e5218f126abd571b9b254dbcd158089c9667d24141",
    "zstd_decode": "12bbebe89d5049225ec9b4e26c01949f6f595aa1b6b9b1d79002069a8effbd54",
}
_DECODE: Final = {
    (module, name): Replacement(module, name, _SHA256[name])
    for module in (default_records, legacy_records)
    for name in _DECODERS
    if hasattr(module, name)  # the legacy format knows no zstd
}
REPLACEMENTS: Final = (_UNPACK, *_DECODE.values())
