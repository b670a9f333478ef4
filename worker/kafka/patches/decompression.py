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
_CHUNK_BYTES: Final = 32 * 1024
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

    The poll that meets one raises StopProcessError, and so does each poll after it; whatever else goes wrong with a
    batch is raised again by each poll too. Without it 1 MB of gzip becomes 1 GB, and whoever may write one record
    ends every worker, again and again, by the kernel's hand.
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
            except Exception as error:  # noqa: BLE001  # raised below, at this and each further ask
                watched.refusal = error

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


class _Inflated:
    """What came out of a compressed batch so far, and how much more may."""

    def __init__(self, limit_bytes: int) -> None:
        self.left_bytes = limit_bytes
        self._parts: list[bytes] = []

    def add(self, part: bytes) -> None:
        self.left_bytes -= len(part)
        if self.left_bytes < 0:
            raise HoldsTooMuch
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
        while rest := rest.lstrip(b"\x00") if member.eof else rest:  # zeros may stand behind a member
            if member.eof:
                member = zlib.decompressobj(_GZIP)
            inflated.add(member.decompress(rest, _STEP_BYTES))
            rest = member.unused_data or member.unconsumed_tail
    if len(compressed) and not member.eof:
        raise EOFError("it ends too early")
    return inflated.joined()


def _unlz4(compressed: Any, limit_bytes: int) -> bytes:
    # What stands behind the first frame is passed over, as Kafka's own client and kafka-python do.
    inflated = _Inflated(limit_bytes)
    frame = lz4.frame.LZ4FrameDecompressor()
    for chunk in _chunks(compressed):
        inflated.add(frame.decompress(chunk, max_length=_STEP_BYTES))
        while not (frame.eof or frame.needs_input):
            inflated.add(frame.decompress(b"", max_length=_STEP_BYTES))
        if frame.eof:
            return inflated.joined()
    raise EOFError("it ends too early")


def _unzstd(compressed: Any, limit_bytes: int) -> bytes:
    # Frames that ask for a larger window are refused by the library, as if they were damaged.
    if zstandard.get_frame_parameters(compressed).window_size > _ZSTD_WINDOW_BYTES:
        raise HoldsTooMuch
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
        raise HoldsTooMuch
    content: bytes = snappy.decompress(compressed)
    return content


_DECODERS: Final[dict[str, Decode]] = {
    "gzip_decode": _gunzip,
    "lz4_decode": _unlz4,
    "snappy_decode": _unsnappy,
    "zstd_decode": _unzstd,
}
