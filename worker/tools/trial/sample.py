"""Some records to try: the newest of a topic, or the first of a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import orjson

from worker.errors import ExitStatus, StopProcessError
from worker.kafka.topic_reader import TopicReader
from worker.stream.records import Record

# Transaction markers and aborted records take offsets, too: where a span has too few records, a longer one is read.
_LONGER: Final = 8
_STDIN: Final = "-"


def newest(reader: TopicReader, topic: str, partitions: int, count: int) -> tuple[Record, ...]:
    """So many of the newest records that a read_committed reader sees, evenly from all partitions, in their order."""
    logs = reader.logs(topic, partitions)
    ends = reader.stable_ends(logs)
    each = -(-count // partitions)
    spans = {at: range(max(log.start, ends[at] - each), ends[at]) for at, log in logs.items()}
    found: dict[tuple[str, int], list[Record]] = {at: [] for at in logs}
    while spans:
        for at in spans:
            found[at] = []
        for at, _, records in reader.read(spans):
            found[at] = [*found[at], *records][-each:]
        spans = {
            at: range(max(logs[at].start, span.stop - _LONGER * len(span)), span.stop)
            for at, span in spans.items()
            if span.start > logs[at].start and len(found[at]) < each
        }
    return tuple(record for at in sorted(found) for record in found[at])[:count]


def first_of_file(path: str, topic: str, count: int, max_bytes: int) -> tuple[Record, ...]:
    """A record for each of the first lines of a file; `-` is standard input.

    A file that is one JSON document is one record, and one that is a JSON array has a record in each element.
    They have neither keys nor headers, and the time of now. Raises StopProcessError where the file cannot be read.
    """
    try:
        if path == _STDIN:
            return _records(_values(sys.stdin.buffer.read(count * max_bytes), count), topic)
        with Path(path).open("rb") as file:
            return _records(_values(file.read(count * max_bytes), count), topic)
    except OSError as error:
        raise StopProcessError(
            f"{path} cannot be read ({error.strerror or error}); give a file with one record in each line",
            ExitStatus.ACT_FIRST,
        ) from error


def _values(content: bytes, count: int) -> Iterator[bytes]:
    lines = [line for line in content.splitlines() if line.strip()]
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        return islice(lines, count)
    if isinstance(document, list):
        return islice(map(orjson.dumps, document), count)
    # A document in one line is tried byte for byte.
    return iter(lines if len(lines) == 1 else [orjson.dumps(document)])


def _records(values: Iterator[bytes], topic: str) -> tuple[Record, ...]:
    now_ms = int(time.time() * 1000)
    return tuple(Record(topic, 0, number, now_ms, None, value) for number, value in enumerate(values))
