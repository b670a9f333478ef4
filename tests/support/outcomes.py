"""Outcomes of the worker as the demo reads them."""

from __future__ import annotations

import uuid

from demo.kafka.client import StoredRecord
from demo.outcomes import Outcomes
from schemas.events import SegmentAssigned


def assigned(user: str, segment: int, partition: int, offset: int) -> StoredRecord:
    event = SegmentAssigned.model_validate_json(
        f"""{{"specversion": "1.0", "type": "user.segment.assigned.v1", "source": "s", "id": "{uuid.uuid4()}",
        "subject": "{user}", "time": "2026-11-24T12:00:00Z", "data": {{"segment": {segment},
        "segment_name": "Segment {segment}", "distance": 1.5, "margin": 0.5, "outlier": false, "unknown_values": [],
        "missing_values": [], "out_of_range": [],
        "model": {{"version": "v", "digest": "{"0" * 64}"}},
        "input": {{"id": "i", "topic": "in", "partition": {partition}, "offset": {offset},
        "time": "2026-11-24T12:00:00Z"}}}}}}"""
    )
    return StoredRecord("out", 0, 0, 0, user.encode(), event.model_dump_json().encode(), {})


def rejected(reason: str, partition: int, offset: int) -> StoredRecord:
    headers = {"rejected.reason": reason, "rejected.partition": str(partition), "rejected.offset": str(offset)}
    return StoredRecord("bad", 0, 0, 0, None, b"", {name: value.encode() for name, value in headers.items()})


def outcomes(*records: StoredRecord) -> Outcomes:
    found = Outcomes("bad")
    found.add(records)
    return found
