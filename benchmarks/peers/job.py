"""The complete job on one event or on a batch, as a user of a stream engine would write it.

Events are validated by the project's own classes, one pydantic model per event; the encoding and the nearest centroid
are NumPy; results have the worker's fields. Shared by all peers in Python, so that only their engines differ.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from math import copysign, log1p
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import orjson

from models.encoding import BooleanColumn, NumberColumn, OrderedColumn, SeveralOfColumn
from models.segmentation import Segmentation
from schemas import UserProfile
from schemas.events import ASSIGNED_TYPE, ASSIGNMENT_NAMESPACE, CONTENT_TYPE, UserEvent
from schemas.formats.cloudevents import CLOUDEVENTS
from schemas.parsing import load_json, validate
from schemas.rejected import RejectedHeader, Rejection

INPUT = os.environ.get("WORKER_INPUT_TOPIC", "")
OUTPUT = os.environ.get("WORKER_OUTPUT_TOPIC", "")
REJECTED = os.environ.get("WORKER_REJECTED_TOPIC", "")
BOOTSTRAP_SERVERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "")
GROUP = os.environ.get("WORKER_GROUP_ID", "")
COMMIT_INTERVAL_MS = int(os.environ.get("COMMIT_INTERVAL_MS", "100"))

_EVENT_MAX_BYTES = 900_000
_RESULT_HEADERS = [("content-type", CONTENT_TYPE.encode())]

Event = UserEvent[UserProfile]


def _parsed(value: bytes | None) -> Event | Rejection:
    document = load_json(value, _EVENT_MAX_BYTES)
    return document if isinstance(document, Rejection) else validate(document, Event, CLOUDEVENTS.place)


Headers = list[tuple[str, Any]]


class Incoming(NamedTuple):
    """One input record."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class Outgoing(NamedTuple):
    """One record to send."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


class Nearest(Protocol):
    """Finds the segment of a single profile."""

    def assign(self, profile: UserProfile) -> tuple[int, float, float, bool, Sequence[str], Sequence[str]]:
        """Segment, distance, margin, whether it is an outlier, and the fields that are unknown or out of range."""


@dataclass(frozen=True)
class Job:
    """The job with a model; `source` is the name of the peer."""

    segmentation: Segmentation
    nearest: Nearest
    version: str
    digest: str
    cluster_id: str
    source: str

    @classmethod
    def from_environment(cls, source: str, nearest: Callable[[Segmentation], Nearest] | None = None) -> Job:
        """The job that the driver asks for; for single events `nearest` may replace NumpyNearest."""
        content = Path(os.environ["BENCHMARK_MODEL"], "model.json").read_bytes()
        segmentation = Segmentation.from_json(content)
        return cls(
            segmentation,
            (nearest or NumpyNearest)(segmentation),
            Path(os.environ["BENCHMARK_MODEL"]).name,
            sha256(content).hexdigest(),
            os.environ["CLUSTER_ID"],
            source,
        )

    def one(self, record: Incoming) -> Outgoing:
        """The result of one event, or its dead letter."""
        event = _parsed(record.value)
        if isinstance(event, Rejection):
            return self._rejected(record, event)
        return self._result(record, event, *self.nearest.assign(event.data))

    def batch(self, records: Sequence[Incoming]) -> list[Outgoing]:
        """The same for each event of a batch; the nearest centroids are found at once."""
        outgoing = []
        accepted: list[tuple[Incoming, Event]] = []
        for record in records:
            event = _parsed(record.value)
            if isinstance(event, Rejection):
                outgoing.append(self._rejected(record, event))
            else:
                accepted.append((record, event))
        if not accepted:
            return outgoing
        names = [column.name for column in self.segmentation.encoder.columns]
        columns = {name: [getattr(event.data, name) for _, event in accepted] for name in names}
        found = self.segmentation.assign(columns)
        figures = zip(
            found.segment.tolist(),
            np.round(found.distance, 6).tolist(),
            np.round(found.margin, 6).tolist(),
            found.outlier.tolist(),
            strict=True,
        )
        far = [[name for name, rows in found.out_of_range.items() if row in rows] for row in range(len(accepted))]
        outgoing += [
            self._result(record, event, *assigned, found.unknown.get(row, ()), far[row])
            for row, ((record, event), assigned) in enumerate(zip(accepted, figures, strict=True))
        ]
        return outgoing

    def _result(
        self,
        record: Incoming,
        event: Event,
        segment: int,
        distance: float,
        margin: float,
        outlier: bool,  # noqa: FBT001  # a value of the result
        unknown: Sequence[str],
        far: Sequence[str],
    ) -> Outgoing:
        name = f"{self.cluster_id}/{INPUT}/{record.partition}/{record.offset}"
        result = {
            "specversion": "1.0",
            "type": ASSIGNED_TYPE,
            "source": self.source,
            "id": str(uuid.uuid5(ASSIGNMENT_NAMESPACE, name)),
            "subject": event.subject,
            "time": datetime.now(UTC),
            "data": {
                "segment": segment,
                "segment_name": self.segmentation.names[segment],
                "distance": distance,
                "margin": margin,
                "outlier": outlier,
                "unknown_values": unknown,
                "missing_values": [],  # every field of UserProfile has a value
                "out_of_range": far,
                "model": {"version": self.version, "digest": self.digest},
                "input": {
                    "id": event.id,
                    "topic": INPUT,
                    "partition": record.partition,
                    "offset": record.offset,
                    "time": event.time,
                },
            },
        }
        return Outgoing(OUTPUT, event.subject.encode(), orjson.dumps(result, option=orjson.OPT_UTC_Z), _RESULT_HEADERS)

    def _rejected(self, record: Incoming, rejection: Rejection) -> Outgoing:
        headers = {
            RejectedHeader.REASON: rejection.reason,
            RejectedHeader.DETAIL: rejection.detail,
            RejectedHeader.TOPIC: INPUT,
            RejectedHeader.PARTITION: str(record.partition),
            RejectedHeader.OFFSET: str(record.offset),
            RejectedHeader.TIMESTAMP: str(record.timestamp_ms),
            RejectedHeader.AT: datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            RejectedHeader.BY: self.source,
        }
        return Outgoing(
            REJECTED, record.key, record.value, [(str(name), text.encode()) for name, text in headers.items()]
        )


class NumpyNearest:
    """Segmentation.assign for a single profile, in a tenth of its time for one row."""

    def __init__(self, segmentation: Segmentation) -> None:
        encoder = segmentation.encoder
        self._segments = segmentation.segments
        self._centroids = segmentation.centroids
        self._origin = (-encoder.means / encoder.scales).tolist()
        self._numbers: list[tuple[NumberColumn | BooleanColumn, int, float]] = []
        self._labels: list[tuple[str, bool, dict[str, _Cell], slice]] = []
        starts = {}
        width = 0
        for column in encoder.kept:
            starts[column.name] = width
            width += column.width
        for column in encoder.columns:
            start, scale = starts.get(column.name), column.scale / (column.weight or 1.0)
            if isinstance(column, NumberColumn | BooleanColumn):
                if start is not None:
                    self._numbers.append((column, start, scale))
                continue
            cells: dict[str, _Cell] = dict.fromkeys(column.levels)
            unknown = slice(0)  # an unknown item is ignored
            if start is not None and isinstance(column, OrderedColumn):
                cells = {level: (start, (rank - column.mean) / scale) for rank, level in enumerate(column.levels)}
            elif start is not None:
                cells = {
                    level: (start + at, (1.0 - mean) / scale)
                    for at, (level, mean) in enumerate(zip(column.levels, column.means, strict=True))
                }
            if start is not None and not isinstance(column, SeveralOfColumn):
                unknown = slice(start, start + column.width)  # encoded as the mean
            self._labels.append((column.name, isinstance(column, SeveralOfColumn), cells, unknown))

    def assign(self, profile: UserProfile) -> tuple[int, float, float, bool, list[str], list[str]]:
        """Segment, distance, margin, whether it is an outlier, and the fields that are unknown or out of range."""
        point = self._origin.copy()
        far = []
        for column, start, scale in self._numbers:
            number = getattr(profile, column.name)
            if column.log_unit is not None:
                number = copysign(log1p(abs(number) / column.log_unit), number)
            clipped = min(max(number, column.low), column.high)
            if abs(number - clipped) > column.high - column.low:
                far.append(column.name)
            point[start] = (clipped - column.mean) / scale
        unknown = []
        for name, several, cells, block in self._labels:
            value = getattr(profile, name)
            for label in value if several else (value,):
                if label not in cells:
                    unknown.append(name)
                    point[block] = [0.0] * len(point[block])
                elif (cell := cells[label]) is not None:
                    point[cell[0]] = cell[1]
        difference = self._centroids - point
        squared = np.vecdot(difference, difference).tolist()
        first = min(squared)
        segment = self._segments[squared.index(first)]
        distance = first**0.5
        squared.remove(first)
        margin = 1.0 - distance / min(squared) ** 0.5 if squared else 1.0
        return (
            segment.number,
            round(distance, 6),
            round(margin, 6),
            distance > segment.outlier_distance or bool(far),
            [*dict.fromkeys(unknown)],
            far,
        )


# A coordinate and its value; None where a field does not count in the distance.
_Cell = tuple[int, float] | None
