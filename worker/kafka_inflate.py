"""Compressed batches that would fill the memory: legal for a broker, taken whole by kafka-python's consumer."""

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
from kafka.errors import CorruptRecordError
from kafka.record import default_records, legacy_records

from worker.errors import ExitStatus, StopProcessError
from worker.settings import Settings

_LEAST_LIMIT_BYTES: Final = 64 * 1024 * 1024
_EVENTS: Final = 4
_STEP_BYTES: Final = 1024 * 1024
_GZIP: Final = 16 + zlib.MAX_WBITS
_ZSTD_WINDOW_BYTES: Final = 1 << 27  # zstd's own default; all of it may be taken before a byte comes out
_XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES: Final = 16

Decode = Callable[[Any, int], bytes]
"""What a compressed batch holds; stops, and raises HoldsTooMuch, where that is more bytes than given."""


class HoldsTooMuch(Exception):
    """More comes out of a compressed batch than is allowed."""


_unpack_unbounded = Fetcher.PartitionRecords._unpack_records  # noqa: SLF001  # the one place that knows the partition


def bound_inflation(settings: Settings) -> None:
    """Make kafka-python stop at a compressed batch that grows beyond what this worker takes. Fine to call twice.

    The poll that meets one raises StopProcessError, and so does each poll after it. Without it 1 MB of gzip becomes
    1 GB, and whoever may write one record ends every worker, again and again, by the kernel's hand.
    """
    limit_bytes = inflation_limit(settings)
    for module in (default_records, legacy_records):
        for name, decode in _DECODERS.items():
            if hasattr(module, name):  # the legacy format knows no zstd
                setattr(module, name, _bounded(decode, limit_bytes))

    def unpack(rows: Any, at: Any, batches: Any, *deserializers: Any) -> Iterator[Any]:
        watched = _Watched(batches)

        def readable() -> Iterator[Any]:
            try:
                yield from _unpack_unbounded(rows, at, watched, *deserializers)
            except HoldsTooMuch:
                watched.refusal = _refusal(at, watched.last, settings)
            except CorruptRecordError as error:
                place = f"partition {at.partition}, offset {rows.next_fetch_offset}"
                watched.refusal = CorruptRecordError(f"{place}: {error}")

        return chain(readable(), _Refused(watched))

    Fetcher.PartitionRecords._unpack_records = unpack  # noqa: SLF001  # see above


def inflation_limit(settings: Settings) -> int:
    """The most bytes that one compressed batch may hold: far above what is ever sent, far below a machine's memory."""
    return max(_LEAST_LIMIT_BYTES, _EVENTS * settings.worker_event_max_bytes)


class _Watched:
    """Batches, which of them was handed out last, and why it could not be read."""

    def __init__(self, batches: Any) -> None:
        self._batches = batches
        self.last: Any = None
        self.refusal: Exception | None = None

    def next_batch(self) -> Any:
        self.last = self._batches.next_batch()
        return self.last


@dataclass(frozen=True, slots=True)
class _Refused:
    """What comes after the last record that can be read: nothing, or the same error however often it is asked for.

    A generator ends with its first error, and kafka-python 3.0.12 then asks it for records in an endless loop.
    """

    watched: _Watched

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        raise self.watched.refusal or StopIteration


def _refusal(at: Any, batch: Any, settings: Settings) -> StopProcessError:
    first = batch.base_offset
    # A batch of the old format says the offset of its last record only.
    after = batch.next_offset if batch.magic == 2 else first + 1
    return StopProcessError(
        f"topic {at.topic}, partition {at.partition}, offset {first}: the compressed batch there holds more than "
        f"{inflation_limit(settings)} bytes (the larger of 64 MiB and 4 x WORKER_EVENT_MAX_BYTES) and is not read; if "
        "such batches are meant, raise that setting; otherwise ask upstream who sent it and what of it is to be sent "
        "again, stop all workers of the group, go past it with kafka-consumer-groups --bootstrap-server "
        f"{settings.kafka_bootstrap_servers} --group {settings.worker_group_id} --topic {at.topic}:{at.partition} "
        f"--reset-offsets --to-offset {after} --execute, then start again (verify and replay: --from-offset "
        f"{at.partition}:{after})",
        ExitStatus.ACT_FIRST,
    )


def _bounded(decode: Decode, limit_bytes: int) -> Callable[[Any], bytes]:
    def decode_bounded(compressed: Any) -> bytes:
        try:
            return decode(compressed, limit_bytes)
        except (zlib.error, zstandard.ZstdError, snappy.UncompressError, RuntimeError, EOFError, ValueError) as error:
            # Raised as it is, it would not say where, and would not be taken for what it is.
            raise CorruptRecordError(f"the compressed batch cannot be read ({error})") from error

    return decode_bounded


def _gunzip(compressed: Any, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    left = limit_bytes
    rest: Any = compressed
    while rest:
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            parts.append(member.decompress(rest, _STEP_BYTES))
            left -= len(parts[-1])
            if left < 0:
                raise HoldsTooMuch
            rest = member.unconsumed_tail
            if not (rest or parts[-1] or member.eof):
                raise EOFError("it ends too early")
        rest = member.unused_data.lstrip(b"\x00")
    return _joined(parts)


def _unlz4(compressed: Any, limit_bytes: int) -> bytes:
    frame = lz4.frame.LZ4FrameDecompressor()
    parts: list[bytes] = []
    left = limit_bytes
    source = compressed
    while not frame.eof:
        part = frame.decompress(source, max_length=_STEP_BYTES)
        source = b""
        left -= len(part)
        if left < 0:
            raise HoldsTooMuch
        if not (part or frame.eof):
            raise EOFError("it ends too early")
        parts.append(part)
    return _joined(parts)


def _unzstd(compressed: Any, limit_bytes: int) -> bytes:
    # Frames that ask for a larger window are refused by the library, as if they were damaged.
    if zstandard.get_frame_parameters(compressed).window_size > _ZSTD_WINDOW_BYTES:
        raise HoldsTooMuch
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(compressed), read_across_frames=True) as reader:
        parts: list[bytes] = []
        left = limit_bytes
        while part := reader.read(_STEP_BYTES):
            left -= len(part)
            if left < 0:
                raise HoldsTooMuch
            parts.append(part)
    return _joined(parts)


def _unsnappy(compressed: bytes, limit_bytes: int) -> bytes:
    if compressed[: len(_XERIAL_MAGIC)] != _XERIAL_MAGIC:
        return _unsnappy_block(compressed, limit_bytes)
    parts: list[bytes] = []
    left = limit_bytes
    at = _XERIAL_HEADER_BYTES
    while at < len(compressed):
        start = at + 4
        at = start + int.from_bytes(compressed[at:start], "big")
        parts.append(_unsnappy_block(compressed[start:at], left))
        left -= len(parts[-1])
    return _joined(parts)


def _unsnappy_block(compressed: bytes, limit_bytes: int) -> bytes:
    # The library takes as much memory as the block says that it needs, before it looks at anything else of it.
    size = 0
    for place, byte in enumerate(compressed[:5]):
        size |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            break
    if size > limit_bytes:
        raise HoldsTooMuch
    content: bytes = snappy.decompress(compressed)
    return content


def _joined(parts: list[bytes]) -> bytes:
    return parts[0] if len(parts) == 1 else b"".join(parts)  # most batches need one step, and then no copy


_DECODERS: Final[dict[str, Decode]] = {
    "gzip_decode": _gunzip,
    "lz4_decode": _unlz4,
    "snappy_decode": _unsnappy,
    "zstd_decode": _unzstd,
}
