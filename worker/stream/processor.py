"""Turns a batch of records into the messages to publish: pure, without clock, log, network or environment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import accumulate

import numpy as np
from pydantic import BaseModel

from models.store import StoredModel
from schemas.event_columns import EventReader, Events
from schemas.formats.cloudevents import CLOUDEVENTS
from schemas.formats.input_format import InputFormat
from schemas.rejected import Rejection, RejectReason
from schemas.values import NOT_CAUSED_BY_EVENT
from worker.stream.records import Message, Outcome, Records, Verdict
from worker.stream.rejected_records import rejected_record
from worker.stream.results import RecordTime, ResultEncoder, tombstone


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
    result_time: RecordTime = "processing"
    input_format: InputFormat = CLOUDEVENTS

    def process(self, records: Records, now: datetime) -> Outcome:
        """One message per record, unless it is ignored; results and rejected each in input order. Never raises.

        An erasure is a result, too: after it, a reader of the results knows that the user has no segment any more.

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
                return _joined([self.process(records[row : row + 1], now) for row in range(len(records))])
            rejection = Rejection(
                RejectReason.INTERNAL_ERROR, f"the worker failed on this event ({type(error).__name__})"
            )
            return Outcome(
                rejected=(rejected_record(records[0], rejection, now, self.source, self.rejected_max_bytes),),
                reasons=Counter([rejection.reason]),
                verdicts=(rejection.reason,),
                errors=(error,),
            )

    def _scored(self, records: Records, now: datetime) -> Outcome:
        events, rejections, ignored, erasures = self._reader.read(records)
        rejected = tuple(
            rejected_record(records[row], rejection, now, self.source, self.rejected_max_bytes)
            for row, rejection in sorted(rejections.items())
        )
        reasons = Counter(rejection.reason for rejection in rejections.values())
        verdicts: list[Verdict | RejectReason] = [Verdict.ASSIGNED] * len(records)
        for row, rejection in rejections.items():
            verdicts[row] = rejection.reason
        for row in ignored:
            verdicts[row] = Verdict.IGNORED
        erased = {row: self._encoder.erased(records[row], erasure, now) for row, erasure in erasures.items()}
        for row in erased:
            verdicts[row] = Verdict.ERASED
        outcome = Outcome(rejected=rejected, reasons=reasons, verdicts=tuple(verdicts), ignored=len(ignored))
        if events.rows:
            outcome = self._with_results(outcome, records, events, now)
        return _with_erasures(outcome, records, events.rows, erased)

    def _with_results(self, outcome: Outcome, records: Records, events: Events, now: datetime) -> Outcome:
        # An overflow is noticed below; a warning on stderr would not be in the log.
        with np.errstate(over="ignore", invalid="ignore"):
            assigned = self.model.segmentation.assign(events.profile)
        if not np.isfinite(assigned.distance).all():
            raise ArithmeticError("a distance is not finite")
        return replace(
            outcome,
            results=self._encoder.encode(records, events, assigned, now),
            segments=Counter(assigned.segment.tolist()),
            unknown_values=Counter(name for names in assigned.unknown.values() for name in names),
            missing_values={name: len(rows) for name, rows in assigned.missing.items()},
            outliers=int(assigned.outlier.sum()),
        )

    @property
    def one_by_one_because(self) -> str | None:
        """Why events are validated one by one, at half the speed; None where they are validated in columns."""
        return self._reader.one_by_one_because

    @cached_property
    def _reader(self) -> EventReader:
        used = self.model.segmentation.encoder.used
        return EventReader(self.profile_class, self.event_max_bytes, self.input_format, used)

    @cached_property
    def _encoder(self) -> ResultEncoder:
        segmentation = self.model.segmentation
        return ResultEncoder(
            self.source,
            self.cluster_id,
            self.model.manifest.id,
            segmentation.digest,
            segmentation.names,
            self.result_time,
        )


def _with_erasures(outcome: Outcome, records: Records, rows: Sequence[int], erased: Mapping[int, Message]) -> Outcome:
    """The outcome with erasures in their places among the results, which are of these rows."""
    if not erased:
        return outcome
    by_row = {**dict(zip(rows, outcome.results, strict=True)), **erased}
    in_order = sorted(by_row)
    erasures = {at: tombstone(erased[row], records[row]) for at, row in enumerate(in_order) if row in erased}
    return replace(outcome, results=tuple(by_row[row] for row in in_order), erasures=erasures)


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of several batches as that of one."""
    starts = [0, *accumulate(len(each.results) for each in outcomes)]
    return Outcome(
        results=tuple(message for each in outcomes for message in each.results),
        rejected=tuple(message for each in outcomes for message in each.rejected),
        segments=sum((Counter(each.segments) for each in outcomes), Counter()),
        reasons=sum((Counter(each.reasons) for each in outcomes), Counter()),
        unknown_values=sum((Counter(each.unknown_values) for each in outcomes), Counter()),
        missing_values=sum((Counter(each.missing_values) for each in outcomes), Counter()),
        outliers=sum(each.outliers for each in outcomes),
        verdicts=tuple(verdict for each in outcomes for verdict in each.verdicts),
        errors=tuple(error for each in outcomes for error in each.errors),
        ignored=sum(each.ignored for each in outcomes),
        erasures={
            start + at: each.erasures[at]
            for start, each in zip(starts[:-1], outcomes, strict=True)
            for at in each.erasures
        },
    )
