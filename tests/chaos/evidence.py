"""What readers receive, as the values that are judged."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

import orjson

from demo.errors import ClusterError
from demo.kafka.client import Reader, StoredRecord
from schemas.events import SEGMENT_ERASED_TYPE, TombstoneHeader
from schemas.rejected import RejectedHeader
from tests.chaos.judgement import ERASED, Answer, Commit, Current, Input

EXPECTED_HEADER = "chaos.expected"
"""Of an input record: what has to become of it, as `Input.expected` says."""
_OFFSETS_TOPIC = "__consumer_offsets"
_OFFSET_KEY_VERSIONS = (0, 1)
_READ_S = 120


def inputs(bootstrap_servers: str, topic: str) -> list[Input]:
    """All records of the input topic."""
    with Reader(bootstrap_servers, [topic]) as reader:
        return [
            Input(record.partition, record.offset, record.headers.get(EXPECTED_HEADER, b"").decode())
            for record in reader.read_to_end(_READ_S)
        ]


def answers(bootstrap_servers: str, *topics: str) -> list[Answer]:
    """All outcomes."""
    with Reader(bootstrap_servers, topics) as reader:
        return [*map(_answer, reader.read_to_end(_READ_S))]


def _answer(record: StoredRecord) -> Answer:
    if RejectedHeader.PARTITION in record.headers:
        partition, offset = (int(record.headers[name]) for name in (RejectedHeader.PARTITION, RejectedHeader.OFFSET))
        reason = record.headers[RejectedHeader.REASON].decode()
    else:
        event = orjson.loads(record.value or b"")
        reason = ERASED if event["type"] == SEGMENT_ERASED_TYPE else ""
        partition, offset = _place(event)
    return Answer(record.topic, record.partition, record.offset, record.key, partition, offset, reason)


def current(bootstrap_servers: str, topic: str) -> list[Current]:
    """All that is left in the current topic."""
    with Reader(bootstrap_servers, [topic]) as reader:
        return [*map(_current, reader.read_to_end(_READ_S))]


def _current(record: StoredRecord) -> Current:
    if record.value is None:
        partition, offset = (int(record.headers[name]) for name in (TombstoneHeader.PARTITION, TombstoneHeader.OFFSET))
        return Current(record.key, partition, offset, erased=True)
    return Current(record.key, *_place(orjson.loads(record.value)), erased=False)


def _place(result: Any) -> tuple[int, int]:
    """Partition and offset of the input record that a result answers."""
    given = result["data"]["input"]
    return given["partition"], given["offset"]


def commits(bootstrap_servers: str, group: str) -> list[Commit]:
    """Every offset that the group committed, in the order of the broker's own log."""
    with Reader(bootstrap_servers, [_OFFSETS_TOPIC]) as reader:
        return [*commits_among(reader.read_to_end(_READ_S), group)]


def commits_among(records: Iterable[StoredRecord], group: str) -> Iterator[Commit]:
    """The offsets of one group among records of the log of offsets; the format is Kafka's OffsetCommitKey."""
    for record in records:
        key = record.key or b""
        if int.from_bytes(key[:2]) not in _OFFSET_KEY_VERSIONS or record.value is None:
            continue  # the members of a group, or an offset that was deleted
        name, rest = _text(key[2:])
        _topic, rest = _text(rest)
        if name == group:
            yield Commit(int.from_bytes(rest[:4]), int.from_bytes(record.value[2:10], signed=True))


def _text(data: bytes) -> tuple[str, bytes]:
    end = 2 + int.from_bytes(data[:2])
    return data[2:end].decode(), data[end:]


class Watch:
    """Reads outcomes from the beginning while they are written, on a thread of its own; a context manager."""

    def __init__(self, bootstrap_servers: str, *topics: str) -> None:
        """Begins with the context."""
        self.answers: list[Answer] = []
        self._reader = Reader(bootstrap_servers, topics)
        self._enough = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enough.set()
        self._thread.join()
        with self._reader:
            pass

    def finish(self) -> list[Answer]:
        """Read on to the end, and return all that was received. Raises ClusterError, and what the thread met."""
        self._enough.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        self.answers += map(_answer, self._reader.read_to_end(_READ_S))
        return self.answers

    def _read(self) -> None:
        try:
            while not self._enough.is_set():
                try:
                    self.answers += map(_answer, self._reader.poll(timeout_ms=200))
                except ClusterError:
                    self._enough.wait(0.2)  # the broker is away; the positions stay
        except BaseException as error:  # noqa: BLE001  # raised again by finish
            self._failure = error
