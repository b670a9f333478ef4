"""Which part of a topic a command looks at: offsets of single partitions, and times."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from worker.errors import ExitStatus, StopProcessError


@dataclass(frozen=True, slots=True)
class Bounds:
    """From where to where; a record must lie within all that are given."""

    since_ms: int | None = None
    """Milliseconds since 1970: from the first record of each partition that is this old or younger."""
    until_ms: int | None = None
    """Up to, and without, the first record of each partition that is this old or younger."""
    from_offsets: Mapping[int, int] = field(default_factory=dict)
    """Of each partition named, the first offset."""
    to_offsets: Mapping[int, int] = field(default_factory=dict)
    """Of each partition named, the first offset that is not looked at any more."""

    def within(
        self, partition: int, span: range, since: Mapping[int, int] | None, until: Mapping[int, int] | None
    ) -> range:
        """The part of a partition's offsets that lies within.

        `since` and `until` have the first offset of that time or later of each partition that has one; None without
        such a bound.
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
        """Whether something from the beginning of the topic is left out on purpose."""
        return self.since_ms is not None or bool(self.from_offsets)

    @property
    def given(self) -> bool:
        """Whether there are any."""
        return self.begin_later or self.until_ms is not None or bool(self.to_offsets)

    @property
    def partitions(self) -> frozenset[int]:
        """Those that are named."""
        return frozenset({*self.from_offsets, *self.to_offsets})

    def begin_at(self, partition: int, offset: int, time_ms: int | None) -> bool:
        """Whether nothing of a partition before this offset is meant, where all of it is older than this time."""
        by_time = self.since_ms is not None and time_ms is not None and self.since_ms >= time_ms
        return by_time or self.from_offsets.get(partition, 0) >= offset


def require_partitions(topic: str, partitions: int, named: Iterable[int], flags: str) -> None:
    """Raise StopProcessError when one that is named does not exist; `flags` are those that name them."""
    if wrong := sorted(number for number in named if number >= partitions):
        raise StopProcessError(
            f"topic {topic} has {partitions} partitions, and none with number {', '.join(map(str, wrong))}; "
            f"check {flags}",
            ExitStatus.ACT_FIRST,
        )


def time_ms(text: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 time with its zone, as an argument of a command."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; give one like 2026-11-24T12:00:00Z") from error
    if given.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no time zone; give one like 2026-11-24T12:00:00Z")
    return int(given.timestamp() * 1000)


def partition_offset(text: str) -> tuple[int, int]:
    """Partition and offset from PARTITION:OFFSET, as an argument of a command."""
    partition, separator, offset = text.partition(":")
    if not separator or not (partition.isascii() and partition.isdecimal() and offset.isascii() and offset.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no PARTITION:OFFSET; give one like 3:12000")
    return int(partition), int(offset)


def add_bounds(parser: argparse.ArgumentParser, records: str) -> None:
    """Let a command take bounds for records of this name."""
    group = parser.add_argument_group("bounds", "Without any: all that is there.")
    group.add_argument("--since", type=time_ms, metavar="TIME", help=f"from the first {records} of this time on")
    group.add_argument("--until", type=time_ms, metavar="TIME", help=f"up to the first {records} of this time")
    for flag, meaning in (
        ("--from-offset", f"the first {records} of this partition; may be given for several"),
        ("--to-offset", f"the first {records} of this partition that is left out; may be given for several"),
    ):
        group.add_argument(
            flag, type=partition_offset, action="append", default=[], metavar="PARTITION:OFFSET", help=meaning
        )


def bounds_of(arguments: argparse.Namespace) -> Bounds:
    """The bounds that a command was given."""
    return Bounds(arguments.since, arguments.until, dict(arguments.from_offset), dict(arguments.to_offset))
