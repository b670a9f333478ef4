"""Turns a batch of records into the messages to publish: pure, without clock, log, network or environment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import sha1
from operator import attrgetter

import numpy as np
import orjson
from pydantic import BaseModel

from models.encoding import Columns
from models.segmentation import Assignments
from models.store import StoredModel
from schemas.events import ASSIGNED_TYPE, ASSIGNMENT_NAMESPACE, CONTENT_TYPE, UserEvent
from schemas.parsing import parse_event
from schemas.rejected import Rejection, RejectReason
from schemas.roles import ProfileField, profile_fields
from schemas.values import NOT_CAUSED_BY_EVENT, BadValue, plain_values
from worker.stream.records import Message, Outcome, Record, trace_context
from worker.stream.rejected_records import rejected_record

# More digits than are meaningful after scaling, and fewer than those that depend on the size of a batch.
_DECIMALS = 6
# Without it a receiver assumes binary mode and looks for the attributes in headers.
_RESULT_HEADERS = (("content-type", CONTENT_TYPE.encode()),)
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))

Event = UserEvent[BaseModel]


@dataclass(frozen=True)
class Scoring:
    """Everything that turns records into messages: the model, the profile class, and the names in messages."""

    model: StoredModel
    profile_class: type[BaseModel]
    cluster_id: str
    """Identifies an input record, with topic, partition and offset; the id of its result is derived from them."""
    source: str
    """The `source` of results and the `rejected.by` of rejected records."""
    event_max_bytes: int
    rejected_max_bytes: int
    """The largest record that the rejected topic accepts, including headers."""

    @cached_property
    def event_class(self) -> type[Event]:
        """The class of the input events."""
        return UserEvent[self.profile_class]  # type: ignore[name-defined]  # the class is known at run time only

    def process(self, records: Sequence[Record], now: datetime) -> Outcome:
        """Exactly one message per record, results and rejected each in input order; never raises for any bytes.

        If the model or this program fails on a batch, its records are processed one by one, and those that fail
        are rejected as `internal_error`, with the exceptions in the outcome. `now` is the time of the assignments,
        with a time zone.
        """
        try:
            return self._scored(records, now)
        except NOT_CAUSED_BY_EVENT:
            raise
        except Exception as error:  # noqa: BLE001  # one event must not stop its partition for good
            if len(records) > 1:
                return _joined([self.process([record], now) for record in records])
            rejection = Rejection(
                RejectReason.INTERNAL_ERROR, f"the worker failed on this event ({type(error).__name__})"
            )
            return Outcome(
                rejected=(rejected_record(records[0], rejection, now, self.source, self.rejected_max_bytes),),
                reasons=Counter([rejection.reason]),
                verdicts=(rejection.reason,),
                errors=(error,),
            )

    def _scored(self, records: Sequence[Record], now: datetime) -> Outcome:
        parsed, assigned = self._assigned(
            [parse_event(record.value, self.event_class, self.event_max_bytes) for record in records]
        )
        accepted: list[tuple[Record, Event]] = []
        rejected: list[Message] = []
        verdicts: list[RejectReason | None] = []
        for record, event in zip(records, parsed, strict=True):
            if isinstance(event, Rejection):
                rejected.append(rejected_record(record, event, now, self.source, self.rejected_max_bytes))
                verdicts.append(event.reason)
            else:
                accepted.append((record, event))
                verdicts.append(None)
        reasons = Counter(verdict for verdict in verdicts if verdict is not None)
        if assigned is None:
            return Outcome(rejected=tuple(rejected), reasons=reasons, verdicts=tuple(verdicts))
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
                (*_RESULT_HEADERS, *trace_context(record.headers)) if record.headers else _RESULT_HEADERS,
            )
            for row, (record, event) in enumerate(accepted)
        )
        unknown = Counter(name for names in assigned.unknown.values() for name in names)
        return Outcome(results, tuple(rejected), Counter(segments), reasons, unknown, sum(outliers), tuple(verdicts))

    def _assigned(self, parsed: Sequence[Event | Rejection]) -> tuple[Sequence[Event | Rejection], Assignments | None]:
        """Each event, or its rejection if a value cannot be used, and the segments of the accepted events.

        A profile class may return anything, but nearly always returns what its annotations say. So whole columns are
        tried first, at the speed of numpy, and single values are checked only if that fails.
        """
        profiles = [event.data for event in parsed if not isinstance(event, Rejection)]
        if not profiles:
            return parsed, None
        try:
            assigned = self._assign({field.name: [*map(attrgetter(field.name), profiles)] for field in self._fields})
            # A value that is not a string counts as an unknown label.
            for row, names in assigned.unknown.items():
                self._require_usable(profiles[row], names)
        except NOT_CAUSED_BY_EVENT:
            raise
        except BaseException:  # noqa: BLE001  # the class's own code may run, as in `float(value)`, and raise anything
            return self._assigned_exactly(parsed)
        return parsed, assigned

    def _require_usable(self, profile: BaseModel, names: Sequence[str]) -> None:
        if isinstance(plain_values(profile, [field for field in self._fields if field.name in names]), BadValue):
            raise TypeError(names)

    def _assigned_exactly(
        self, parsed: Sequence[Event | Rejection]
    ) -> tuple[Sequence[Event | Rejection], Assignments | None]:
        checked: list[Event | Rejection] = []
        rows = []
        for event in parsed:
            values = event if isinstance(event, Rejection) else plain_values(event.data, self._fields)
            if isinstance(values, BadValue):
                checked.append(Rejection(RejectReason.INVALID_PROFILE, f"data.{values.field}: {values.rule}"))
                continue
            checked.append(event)
            if not isinstance(values, Rejection):
                rows.append(values)
        if not rows:
            return checked, None
        return checked, self._assign({field.name: [row[field.name] for row in rows] for field in self._fields})

    def _assign(self, columns: Columns) -> Assignments:
        # Overflows are detected below; a warning on stderr would not be in the log.
        with np.errstate(over="ignore", invalid="ignore"):
            assigned = self.model.segmentation.assign(columns)
        if not np.isfinite(assigned.distance).all():
            raise ArithmeticError("a distance is not finite")
        return assigned

    @cached_property
    def _fields(self) -> tuple[ProfileField, ...]:
        return profile_fields(self.profile_class)

    @cached_property
    def _id_prefix(self) -> bytes:
        return ASSIGNMENT_NAMESPACE.bytes + self.cluster_id.encode() + b"/"

    def _id(self, record: Record) -> str:
        """As uuid.uuid5(ASSIGNMENT_NAMESPACE, "cluster/topic/partition/offset"), in a third of its 3 µs per event."""
        name = f"{record.topic}/{record.partition}/{record.offset}"
        digits = sha1(self._id_prefix + name.encode(), usedforsecurity=False).hexdigest()
        variant = _VARIANT[digits[16]]
        return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of several batches as that of one."""
    return Outcome(
        results=tuple(message for each in outcomes for message in each.results),
        rejected=tuple(message for each in outcomes for message in each.rejected),
        segments=sum((Counter(each.segments) for each in outcomes), Counter()),
        reasons=sum((Counter(each.reasons) for each in outcomes), Counter()),
        unknown_values=sum((Counter(each.unknown_values) for each in outcomes), Counter()),
        outliers=sum(each.outliers for each in outcomes),
        verdicts=tuple(verdict for each in outcomes for verdict in each.verdicts),
        errors=tuple(error for each in outcomes for error in each.errors),
    )
