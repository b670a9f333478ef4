"""What must hold for every record with any bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from typing import Any, Final

import jsonschema
import orjson
from pydantic import BaseModel

from models.manifest import Manifest
from models.segmentation import Segmentation
from models.store import StoredModel
from schemas import UserProfile
from schemas.asyncapi import asyncapi_document
from schemas.events import SegmentAssigned, SegmentErased, TombstoneHeader
from schemas.formats.records import HEADERS_MOST
from schemas.parsing import DETAIL_MAX_BYTES
from schemas.rejected import RejectReason
from tests.support.fitted import fit, segmentation
from tests.support.mutants import CANARY
from worker.stream.processor import Scoring
from worker.stream.records import Message, Outcome, Record, Records, Verdict

NOW: Final = datetime(2026, 11, 24, 15, 30, 0, 250_000, UTC)
EVENT_MAX_BYTES: Final = 900_000
REJECTED_MAX_BYTES: Final = EVENT_MAX_BYTES + 65_536
_REASONS: Final = frozenset(RejectReason)


class Violated(AssertionError):
    """A promise for every record is broken for this one."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(what)
        self.number = number
        """The record's number, which is also its offset."""


def scoring(
    profile_class: type[BaseModel] = UserProfile,
    model: Segmentation = segmentation(left_out=frozenset({"language"})),  # noqa: B008  # a value
) -> Scoring:
    """A worker's scoring, with a model made by hand."""
    manifest = Manifest(**dict(fit()), format=1, id="20261124T120000Z-00000000", next_number=4, files={})
    return Scoring(
        model=StoredModel(manifest, model),
        profile_class=profile_class,
        cluster_id="cluster-1",
        source="/segment-worker/fuzz",
        event_max_bytes=EVENT_MAX_BYTES,
        rejected_max_bytes=REJECTED_MAX_BYTES,
    )


def processed(by: Scoring, records: Sequence[Record]) -> Outcome:
    """The outcome of these records; raises Violated if `process` raises."""
    try:
        return by.process(Records.of(records), NOW)
    except Exception as error:
        raise Violated(records[0].offset, f"process raised {error!r}") from error


def one_by_one(by: Scoring) -> Scoring:
    """The same scoring, where no event is checked in columns: each is parsed as its class says."""
    other = Scoring(**{each.name: getattr(by, each.name) for each in fields(Scoring)})
    other._reader._decoders = ()
    return other


def check_agreement(exact: Scoring, records: Sequence[Record], outcome: Outcome) -> None:
    """Raise Violated where events that are parsed one by one have another outcome, reasons and details included."""
    expected = processed(exact, records)
    for record, alone, together in zip(records, _answers(expected), _answers(outcome), strict=True):
        if alone != together:
            raise Violated(record.offset, "parsed one by one it has another outcome")
    if expected.erasures != outcome.erasures:
        raise Violated(records[0].offset, "parsed one by one, the batch has other tombstones")
    if expected.unknown_values != outcome.unknown_values:
        raise Violated(records[0].offset, "parsed one by one, the batch has other unknown values")


def _answers(outcome: Outcome) -> Sequence[tuple[Verdict | RejectReason, Message | None]]:
    """What became of each record, and its message; an ignored record has none."""
    results, rejected = iter(outcome.results), iter(outcome.rejected)
    return [
        (
            verdict,
            None if verdict is Verdict.IGNORED else next(rejected if isinstance(verdict, RejectReason) else results),
        )
        for verdict in outcome.verdicts
    ]


def check(records: Sequence[Record], outcome: Outcome) -> Mapping[int, Message]:
    """The one message of each record, by its offset; raises Violated where a promise is broken."""
    number = records[0].offset
    if len(outcome.verdicts) != len(records):
        raise Violated(number, f"{len(outcome.verdicts)} verdicts on {len(records)} records")
    judged = [*zip(records, outcome.verdicts, strict=True)]
    accepted = [(record, verdict) for record, verdict in judged if verdict in {Verdict.ASSIGNED, Verdict.ERASED}]
    refused = [record for record, verdict in judged if isinstance(verdict, RejectReason)]
    if len(outcome.results) != len(accepted) or len(outcome.rejected) != len(refused):
        raise Violated(number, f"{len(outcome.results)} results for {len(accepted)} accepted records")
    # One by one in input order: a message out of order fails on its offset.
    reasons = [verdict for verdict in outcome.verdicts if isinstance(verdict, RejectReason)]
    try:
        for (record, verdict), message in zip(accepted, outcome.results, strict=True):
            number = record.offset
            _check_result(record, message, verdict)
        for record, message, reason in zip(refused, outcome.rejected, reasons, strict=True):
            number = record.offset
            _check_rejected(record, message, reason)
        _check_tombstones(records[0].offset, accepted, outcome)
    except (LookupError, TypeError, ValueError) as error:
        raise Violated(number, f"the message is malformed: {error!r}") from error
    if sum(outcome.segments.values()) != outcome.assigned or sum(outcome.reasons.values()) != len(refused):
        raise Violated(number, "the counts do not match the messages")
    return {
        record.offset: message
        for record, message in (
            *zip((record for record, _ in accepted), outcome.results, strict=True),
            *zip(refused, outcome.rejected, strict=True),
        )
    }


def _check_tombstones(number: int, accepted: Sequence[tuple[Record, Verdict | RejectReason]], outcome: Outcome) -> None:
    erased = {at: record for at, (record, verdict) in enumerate(accepted) if verdict is Verdict.ERASED}
    if erased.keys() != outcome.erasures.keys():
        raise Violated(number, "not each erasure has one tombstone")
    for at, record in erased.items():
        tombstone = outcome.erasures[at]
        place = {name: content.decode() for name, content in tombstone.headers}
        if tombstone.value is not None or tombstone.key != outcome.results[at].key:
            raise Violated(record.offset, "the tombstone has a value, or is of another user")
        if (int(place[TombstoneHeader.PARTITION]), int(place[TombstoneHeader.OFFSET])) != record[1:3]:
            raise Violated(record.offset, f"the tombstone answers {place}")


def _check_result(record: Record, message: Message, verdict: Verdict | RejectReason) -> None:
    kind = SegmentErased if verdict is Verdict.ERASED else SegmentAssigned
    try:
        assigned = kind.model_validate_json(message.value or b"")
        given = _read_by_json(record.value or b"")
    except ValueError as error:
        raise Violated(record.offset, f"a result, or its event, is not valid: {error}") from error
    if (assigned.data.input.partition, assigned.data.input.offset) != (record.partition, record.offset):
        raise Violated(record.offset, f"the result is out of order, it answers offset {assigned.data.input.offset}")
    if (assigned.subject, assigned.data.input.id) != (given["subject"], given["id"]):
        raise Violated(record.offset, "the result is about another subject or id")
    if message.key != assigned.subject.encode():
        raise Violated(record.offset, "the result's key is not the subject")
    if record.offset % 100 == 0:
        try:
            _schema(kind.__name__).validate(orjson.loads(message.value or b""))
        except jsonschema.ValidationError as error:
            raise Violated(record.offset, f"a result does not match the AsyncAPI document: {error.message}") from error


def _read_by_json(value: bytes) -> dict[str, Any]:
    """The event as another reader sees it; the last of repeated names counts there as well."""
    try:
        read: dict[str, Any] = json.loads(value)
    except RecursionError:  # that reader supports fewer levels
        read = orjson.loads(value)
    return read


@cache
def _schema(name: str) -> Any:
    document = asyncapi_document(UserProfile, "in", "out", "rejected", "1")
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema.Draft202012Validator(schema)


def _check_rejected(record: Record, message: Message, verdict: RejectReason) -> None:
    own = {name: content for name, content in message.headers if name.startswith("rejected.")}
    if own["rejected.offset"] != b"%d" % record.offset:
        raise Violated(record.offset, f"the rejected record is out of order, it has offset {own['rejected.offset']!r}")
    reason, detail = own["rejected.reason"].decode(), own["rejected.detail"].decode()
    if reason not in _REASONS or reason != verdict:
        raise Violated(record.offset, f"the reason is {reason!r}, the verdict {verdict!r}")
    if not 0 < len(detail.encode()) <= DETAIL_MAX_BYTES or CANARY in detail:
        raise Violated(record.offset, f"the detail is empty, too long or quotes the value: {detail!r}")
    if message.key is None and message.value is None:
        raise Violated(record.offset, "null key with null value, which no producer can send")
    left_out = own.get("rejected.left_out", b"").decode().split(",")
    if "value" in left_out:
        if own["rejected.sha256"].decode() != sha256(record.value or b"").hexdigest():
            raise Violated(record.offset, "the hash does not match the value left out")
    elif (message.value or b"") != (record.value or b""):
        raise Violated(record.offset, "the value was changed")
    if "key" not in left_out and (message.key or b"") != (record.key or b""):
        raise Violated(record.offset, "the key was changed")
    _check_headers(record, message, kept="headers" not in left_out)
    size = len(message.key or b"") + len(message.value or b"")
    size += sum(len(name.encode()) + len(content) + 10 for name, content in message.headers)
    if size > REJECTED_MAX_BYTES:
        raise Violated(record.offset, f"{size} bytes are too large for the rejected topic")


def _check_headers(record: Record, message: Message, *, kept: bool) -> None:
    others = [(name, content) for name, content in message.headers if not name.startswith("rejected.")]
    given = [(name, content or b"") for name, content in record.headers if not name.startswith("rejected.")]
    if kept and others != given:
        raise Violated(record.offset, "the headers were changed")
    if not kept and (others or (len(record.headers) <= HEADERS_MOST and sum(len(c) for _, c in given) < 60_000)):
        raise Violated(record.offset, "headers were left out that could have been sent")
