"""From a batch of records to what is published for it: pure, without clock, log, network or environment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import sha1, sha256
from operator import attrgetter

import numpy as np
import orjson
from pydantic import BaseModel

from models.store import StoredModel
from schemas.events import ASSIGNED_TYPE, ASSIGNMENT_NAMESPACE, UserEvent
from schemas.parsing import parse_event
from schemas.rejected import RejectedHeader, Rejection, RejectReason
from worker.stream.records import HEADERS_MOST, Message, Outcome, Record

# More digits than the scaling carries meaning, fewer than the last bits that depend on the size of a batch.
_DECIMALS = 6
# What a record costs beside its key, value and headers, and each header beside its name and value; both rounded up.
_RECORD_OVERHEAD_BYTES = 128
_HEADER_OVERHEAD_BYTES = 10
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


@dataclass(frozen=True)
class Scoring:
    """All that turns records into messages: the model, the class of the profiles, and how messages are signed."""

    model: StoredModel
    profile_class: type[BaseModel]
    cluster_id: str
    """With topic, partition and offset it names an input record, and so makes the id of its result."""
    source: str
    """The `source` of results and the `rejected.by` of rejected records."""
    event_max_bytes: int
    rejected_max_bytes: int
    """What one record of the rejected topic may take, headers included."""

    @cached_property
    def event_class(self) -> type[UserEvent[BaseModel]]:
        """The class of the input events."""
        return UserEvent[self.profile_class]  # type: ignore[name-defined]  # the class is known at run time only

    def process(self, records: Sequence[Record], now: datetime) -> Outcome:
        """Exactly one message for each record, results and rejected each in input order; never raises for any bytes.

        `now` is the time of the assignments, with a time zone.
        """
        accepted: list[tuple[Record, UserEvent[BaseModel]]] = []
        rejected: list[Message] = []
        verdicts: list[RejectReason | None] = []
        for record in records:
            event = parse_event(record.value, self.event_class, self.event_max_bytes)
            if isinstance(event, Rejection):
                rejected.append(self._rejected(record, event, now))
                verdicts.append(event.reason)
            else:
                accepted.append((record, event))
                verdicts.append(None)
        reasons = Counter(verdict for verdict in verdicts if verdict is not None)
        if not accepted:
            return Outcome(rejected=tuple(rejected), reasons=reasons, verdicts=tuple(verdicts))
        profiles = [event.data for _, event in accepted]
        names = (column.name for column in self.model.segmentation.encoder.columns)
        assigned = self.model.segmentation.assign({name: [*map(attrgetter(name), profiles)] for name in names})
        segments = assigned.segment.tolist()
        distances = np.round(assigned.distance, _DECIMALS).tolist()
        margins = np.round(assigned.margin, _DECIMALS).tolist()
        outliers = assigned.outlier.tolist()
        template = {"specversion": "1.0", "type": ASSIGNED_TYPE, "source": self.source}
        model = {"version": self.model.manifest.id, "digest": self.model.segmentation.digest}
        results = tuple(
            Message(
                event.subject.encode(),
                orjson.dumps(
                    {
                        **template,
                        "id": self._id(record),
                        "subject": event.subject,
                        "time": now,
                        "data": {
                            "segment": segments[row],
                            "segment_name": self.model.segmentation.names[segments[row]],
                            "distance": distances[row],
                            "margin": margins[row],
                            "outlier": outliers[row],
                            "unknown_values": assigned.unknown.get(row, ()),
                            "model": model,
                            "input": {
                                "id": event.id,
                                "topic": record.topic,
                                "partition": record.partition,
                                "offset": record.offset,
                                "time": event.time,
                            },
                        },
                    },
                    option=orjson.OPT_UTC_Z,
                ),
            )
            for row, (record, event) in enumerate(accepted)
        )
        unknown = Counter(name for names in assigned.unknown.values() for name in names)
        return Outcome(results, tuple(rejected), Counter(segments), reasons, unknown, sum(outliers), tuple(verdicts))

    @cached_property
    def _id_prefix(self) -> bytes:
        return ASSIGNMENT_NAMESPACE.bytes + self.cluster_id.encode() + b"/"

    def _id(self, record: Record) -> str:
        """What uuid.uuid5(ASSIGNMENT_NAMESPACE, "cluster/topic/partition/offset") gives, in a third of the time."""
        name = f"{record.topic}/{record.partition}/{record.offset}"
        digits = sha1(self._id_prefix + name.encode(), usedforsecurity=False).hexdigest()
        variant = _VARIANT[digits[16]]
        return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"

    def _rejected(self, record: Record, rejection: Rejection, now: datetime) -> Message:
        """The record as it was, byte for byte, with the reason beside it; what cannot be sent is replaced and named."""
        carried, notes = self._carried(record)
        own = {
            RejectedHeader.REASON: rejection.reason,
            RejectedHeader.DETAIL: rejection.detail,
            RejectedHeader.TOPIC: record.topic,
            RejectedHeader.PARTITION: str(record.partition),
            RejectedHeader.OFFSET: str(record.offset),
            RejectedHeader.TIMESTAMP: str(record.timestamp_ms),
            RejectedHeader.AT: now.isoformat().replace("+00:00", "Z"),
            RejectedHeader.BY: self.source,
            **notes,
        }
        return carried._replace(headers=(*carried.headers, *((str(name), text.encode()) for name, text in own.items())))

    def _carried(self, record: Record) -> tuple[Message, dict[RejectedHeader, str]]:
        """What of the record can be sent to the rejected topic, and what is to be noted of the rest."""
        key, value = record.key, record.value
        notes: dict[RejectedHeader, str] = {}
        nulls, left_out = [], []
        if key is None and value is None:
            key, value = b"", b""
            nulls += ["key", "value"]
        # A record that was rejected before keeps none of its older reasons.
        original = [(name, content) for name, content in record.headers[:HEADERS_MOST] if name not in _OWN_NAMES]
        if len(record.headers) > HEADERS_MOST:
            original = []
            left_out.append("headers")
        null_headers = [f"header:{place}" for place, (_, content) in enumerate(original) if content is None]
        headers = [(name, content or b"") for name, content in original]
        # The list of null headers can be longer than the headers themselves; it goes with them.
        listed_bytes = len(",".join(null_headers))
        room = self.rejected_max_bytes - _RECORD_OVERHEAD_BYTES - _HEADERS_RESERVED_BYTES - listed_bytes
        if _bytes(key, value, headers) > room and value:
            notes[RejectedHeader.SHA256] = sha256(value).hexdigest()
            value = b""
            left_out.append("value")
        if _bytes(key, value, headers) > room and headers:
            headers, null_headers = [], []
            room += listed_bytes
            left_out.append("headers")
        if _bytes(key, value, headers) > room:
            key = b""
            left_out.append("key")
        if nulls or null_headers:
            notes[RejectedHeader.NULLS] = ",".join((*nulls, *null_headers))
        if left_out:
            notes[RejectedHeader.TRUNCATED] = "1"
            notes[RejectedHeader.LEFT_OUT] = ",".join(left_out)
        return Message(key, value, tuple(headers)), notes


_OWN_NAMES = frozenset(map(str, RejectedHeader))
# Room for this program's own headers: detail and topic are the long ones.
_HEADERS_RESERVED_BYTES = 4096


def _bytes(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> int:
    around = sum(len(name.encode()) + len(content) + _HEADER_OVERHEAD_BYTES for name, content in headers)
    return len(key or b"") + len(value or b"") + around
