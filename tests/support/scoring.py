"""A model without files, the scoring of a worker that has it, and records for it."""

from __future__ import annotations

from typing import Any

from models.manifest import Manifest
from models.store import StoredModel
from schemas import UserProfile
from tests.support.fitted import fit, segmentation
from worker.stream.processor import Scoring
from worker.stream.records import Record

MODEL = StoredModel(
    Manifest(**dict(fit()), format=1, id="20261124T120000Z-00000000", next_number=4, files={}),
    segmentation(left_out=frozenset({"language"})),
)
SCORING = Scoring(
    model=MODEL,
    profile_class=UserProfile,
    cluster_id="cluster-1",
    source="segment-worker-a",
    event_max_bytes=900_000,
    rejected_max_bytes=965_536,
)


def record(value: bytes | None, offset: int = 0, key: bytes | None = b"user-1042", **other: Any) -> Record:
    """An input record of partition 3."""
    return Record("user-activity", 3, offset, 1_764_000_000_000, key, value, **other)
