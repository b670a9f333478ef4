"""Reading values as a worker reads them, without a worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from schemas.event_columns import EventReader, Events, Read
from schemas.events import UserEvent
from schemas.formats.cloudevents import CLOUDEVENTS
from schemas.formats.input_format import IGNORED, parse_record
from schemas.rejected import Rejection
from tests.support.scoring import record
from worker.stream.records import Record, Records


def records_of(values: Sequence[bytes | None]) -> Records:
    """Records with these values, one after the other in one partition."""
    return Records.of([record(value, offset) for offset, value in enumerate(values)])


def read_events(reader: EventReader, values: Sequence[bytes | None]) -> tuple[Events, dict[int, Rejection]]:
    """The events among these values, and why the others are rejected; none is ignored."""
    found = reader.read(records_of(values))
    assert not found.ignored
    return found.events, dict(found.rejections)


def read_both_ways(reader: EventReader, records: Sequence[Record]) -> tuple[Read, Read]:
    """What the records are: in columns, and in the exact way, which agrees but for the profiles."""
    together = reader.read(Records.of(records))
    reader._decoders = ()
    exact = reader.read(Records.of(records))
    assert (together.rejections, sorted(together.ignored)) == (exact.rejections, sorted(exact.ignored))
    for name in ("rows", "ids", "subjects", "times"):
        assert [*getattr(together.events, name)] == [*getattr(exact.events, name)]
    return together, exact


def parse_event(value: bytes | None, profile_class: type[BaseModel], max_bytes: int = 900_000) -> Any | Rejection:
    """The event that a value is, in the exact way, or why it is rejected."""
    event_class = UserEvent[profile_class]  # type: ignore[valid-type]  # known at run time only
    parsed = parse_record(CLOUDEVENTS, event_class, records_of([value]), 0, max_bytes)
    assert parsed is not IGNORED
    return parsed
