"""Which rejected events go back to the input, and as what records: decided from values, sent elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple

import orjson

from schemas.counting import counted
from schemas.rejected import RejectedHeader
from worker.stream.records import Record
from worker.tools.bounds import Bounds

HOPS_HEADER: Final = "replay.hops"
_OWN_NAMES: Final = frozenset(map(str, RejectedHeader))


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records of the dead-letter topic to send back; empty sets select all."""

    reasons: frozenset[str] = frozenset()
    partitions: frozenset[int] = frozenset()
    bounds: Bounds = field(default_factory=Bounds)

    def digest(self, input_topic: str, rejected_topic: str) -> str:
        """A short name for these topics and this selection, independent of the order of flags."""
        bounds = self.bounds
        given = {
            "topics": [input_topic, rejected_topic],
            "reasons": sorted(self.reasons),
            "partitions": sorted(self.partitions),
            "since_ms": bounds.since_ms,
            "until_ms": bounds.until_ms,
            "from_offsets": sorted(bounds.from_offsets.items()),
            "to_offsets": sorted(bounds.to_offsets.items()),
        }
        return sha256(orjson.dumps(given)).hexdigest()[:12]


class LeftOut(StrEnum):
    """Why a record of the dead-letter topic does not go back."""

    OTHER_REASON = "rejected for another reason"
    FOREIGN = "not rejected from this input topic"
    INCOMPLETE = "truncated when they were rejected"
    TOO_MANY_HOPS = "sent back as often as --max-hops allows"


class Restored(NamedTuple):
    """A rejected event as it was before, and why it was rejected."""

    reason: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    """The original ones, and how often it was sent back."""
    again: bool
    """Whether it was sent back before, and rejected again."""


def restored(record: Record, selection: Selection, input_topic: str, max_hops: int) -> Restored | LeftOut:
    """The event that a record of the dead-letter topic holds, or why it is left out."""
    about = {name: (content or b"").decode(errors="replace") for name, content in record.headers}
    reason = about.get(RejectedHeader.REASON)
    if reason is None or about.get(RejectedHeader.TOPIC) != input_topic:
        return LeftOut.FOREIGN
    if selection.reasons and reason not in selection.reasons:
        return LeftOut.OTHER_REASON
    if RejectedHeader.TRUNCATED in about:
        return LeftOut.INCOMPLETE
    hops = _hops(about.get(HOPS_HEADER, ""))
    if hops >= max_hops:
        return LeftOut.TOO_MANY_HOPS
    nulls = about.get(RejectedHeader.NULLS, "").split(",")
    # Null headers are listed by their index among the event's own headers, an older count of hops included.
    original = [(name, content) for name, content in record.headers if name not in _OWN_NAMES]
    headers = [
        (name, None if f"header:{index}" in nulls else content)
        for index, (name, content) in enumerate(original)
        if name != HOPS_HEADER
    ]
    return Restored(
        reason,
        None if "key" in nulls else record.key,
        None if "value" in nulls else record.value,
        (*headers, (HOPS_HEADER, str(hops + 1).encode())),
        again=hops > 0,
    )


def _hops(text: str) -> int:
    # Anybody may send a header of this name; other values than counts are ignored.
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


class Progress(NamedTuple):
    """How far an earlier run came in one partition."""

    offset: int
    end: int | None
    """Where that run was to end; None where that is not known."""


def spans_to_send(
    found: Mapping[int, range], progress: Mapping[int, Progress], selection: Selection
) -> Mapping[int, range]:
    """What is left to send in each partition: the rest of an unfinished run, or else what has come since the last one.

    `found` is what is there now within the bounds. Records that a run itself causes in the topic come after its end, so
    neither a run nor its continuation sends an event twice.
    """
    selected = {
        number: span for number, span in found.items() if not selection.partitions or number in selection.partitions
    }
    rest = {
        number: _part(span, before.offset, before.end)
        for number, span in selected.items()
        if (before := progress.get(number)) is not None and before.end is not None
    }
    if any(rest.values()):
        # A run ends in all its partitions or in none: what arrived in a finished one belongs to the next run.
        return {number: rest.get(number, range(0)) for number in selected}
    return {
        number: _part(span, progress[number].offset if number in progress else 0, span.stop)
        for number, span in selected.items()
    }


def _part(span: range, start: int, end: int) -> range:
    start = max(span.start, start)
    return range(start, max(start, min(span.stop, end)))


@dataclass(slots=True)
class Counts:
    """What a run did, or would do."""

    sent: Counter[str] = field(default_factory=Counter)
    """By the reason of the rejection."""
    again: int = 0
    """How many of those were sent back before, and rejected again."""
    left_out: Counter[LeftOut] = field(default_factory=Counter)

    def add(self, event: Restored | LeftOut) -> None:
        """Count one record of the dead-letter topic."""
        if isinstance(event, LeftOut):
            self.left_out[event] += 1
        else:
            self.sent[event.reason] += 1
            self.again += event.again


def as_text(counts: Counts, verb: str, input_topic: str) -> str:
    """One line for what was sent, by reason, and one for each kind of what was not; `verb` says whether it was."""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.sent.items()))
    again = f"; sent back before and rejected again: {counts.again:,}" if counts.again else ""
    by_reason = f": {reasons}" if reasons else ""
    lines = [f"{verb} {counted(counts.sent.total(), 'event')} back to topic {input_topic}{by_reason}{again}"]
    lines += [f"left out {counts.left_out[why]:,} {why}" for why in LeftOut if counts.left_out[why]]
    return "\n".join(lines) + "\n"
