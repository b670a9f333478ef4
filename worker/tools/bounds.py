"""Which part of a topic a command reads: by offset, per partition, and by time."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from schemas.counting import counted
from worker.errors import ExitStatus, StopProcessError


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where to start and where to stop; a record must satisfy all bounds that are given."""

    since_ms: int | None = None
    """Milliseconds since 1970: from each partition's first record of this time or later."""
    until_ms: int | None = None
    """Up to, and without, each partition's first record of this time or later."""
    from_offsets: Mapping[int, int] = field(default_factory=dict)
    """The first offset, by partition."""
    to_offsets: Mapping[int, int] = field(default_factory=dict)
    """The first offset that is left out, by partition."""

    def within(
        self, partition: int, span: range, since: Mapping[int, int] | None, until: Mapping[int, int] | None
    ) -> range:
        """The part of a partition's offsets within the bounds.

        `since` and `until` have each partition's first offset of that time or later, if there is one; None without such
        a bound.
        """
        start = max(span.start, self.from_offsets.get(partition, 0))
        end = min(span.stop, self.to_offsets.get(partition, span.stop))
        if since is not None:
            start = max(start, since.get(partition, end))
        if until is not None:
            end = min(end, until.get(partition, end))
        return range(start, max(start, end))

    @property
    def begin_later(self) -> bool:
        """Whether records at the beginning of the topic are left out on purpose."""
        return self.since_ms is not None or bool(self.from_offsets)

    @property
    def given(self) -> bool:
        """Whether there are any bounds."""
        return self.begin_later or self.until_ms is not None or bool(self.to_offsets)

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that are named."""
        return frozenset({*self.from_offsets, *self.to_offsets})

    def begin_at(self, partition: int, offset: int, time_ms: int | None) -> bool:
        """Whether everything in a partition before this offset, all of it older than this time, is left out."""
        by_time = self.since_ms is not None and time_ms is not None and self.since_ms >= time_ms
        return by_time or self.from_offsets.get(partition, 0) >= offset


def require_partitions(topic: str, partitions: int, named: Iterable[int], flags: str) -> None:
    """Raise StopProcessError when a named partition does not exist; `flags` are the ones that name partitions."""
    if wrong := sorted(number for number in named if number >= partitions):
        raise StopProcessError(
            f"topic {topic} has {counted(partitions, 'partition')}, and {', '.join(map(str, wrong))} does not exist; "
            f"check {flags}",
            ExitStatus.ACT_FIRST,
        )


def time_ms(text: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 time with its zone, as an argument of a command."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; give one like 2026-11-24T12:00:00Z") from error
    if given.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no time zone; give one like 2026-11-24T12:00:00Z")
    return int(given.timestamp() * 1000)


def partition_offset(text: str) -> tuple[int, int]:
    """Partition and offset from PARTITION:OFFSET, as an argument of a command."""
    partition, separator, offset = text.partition(":")
    if not separator or not (partition.isascii() and partition.isdecimal() and offset.isascii() and offset.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not PARTITION:OFFSET; give it like 3:12000")
    return int(partition), int(offset)


def add_bounds(parser: argparse.ArgumentParser, records: str) -> None:
    """Add the flags for bounds to a command; `records` is what the help calls the records."""
    group = parser.add_argument_group("bounds", "Default: everything.")
    group.add_argument(
        "--since", type=time_ms, metavar="TIME", help=f"start at the first {records} at or after this time"
    )
    group.add_argument(
        "--until", type=time_ms, metavar="TIME", help=f"stop before the first {records} at or after this time"
    )
    for flag, meaning in (
        ("--from-offset", "start this partition at this offset; may be repeated"),
        ("--to-offset", "stop this partition before this offset; may be repeated"),
    ):
        group.add_argument(
            flag, type=partition_offset, action="append", default=[], metavar="PARTITION:OFFSET", help=meaning
        )


def bounds_of(arguments: argparse.Namespace) -> Bounds:
    """The bounds that a command was given."""
    return Bounds(arguments.since, arguments.until, dict(arguments.from_offset), dict(arguments.to_offset))
