"""CloudEvents by their Kafka protocol binding: which mode a record has, and what binary mode reads."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from schemas import UserProfile
from schemas.event_columns import EventReader, Read
from schemas.formats.cloudevents import CloudEvents
from schemas.formats.input_format import ignored_rows
from schemas.formats.where import where
from schemas.rejected import RejectReason
from tests.support.events import ENVELOPE, PROFILE, event_bytes
from tests.support.reading import read_both_ways
from tests.support.scoring import record
from worker.stream.records import Record, Records

Headers = tuple[tuple[str, bytes | None], ...]
MODE: Headers = (("content-type", b"application/json"),)


def binary(value: bytes = orjson.dumps(PROFILE), mode: Headers = MODE, **attributes: Any) -> Record:
    """An event in binary mode with these attributes changed, and without those that are None."""
    given = {**ENVELOPE, **attributes}
    headers = tuple((f"ce_{name}", _bytes(content)) for name, content in given.items() if content is not None)
    return record(value, headers=(*mode, *headers))


def _bytes(content: Any) -> bytes | None:
    return None if content == "null" else content if isinstance(content, bytes) else content.encode()


def read(*records: Record, of: CloudEvents = CloudEvents()) -> Read:  # noqa: B008  # frozen
    """What the records are; the same in columns and in the exact way."""
    reader = EventReader(UserProfile, 900_000, of)
    assert reader.one_by_one_because is None
    together, _ = read_both_ways(reader, records)
    return together


def test_both_modes_give_the_same_event() -> None:
    structured = record(event_bytes(), headers=(("content-type", b"application/cloudevents+json; charset=UTF-8"),))
    events, rejections, *_ = read(structured, binary(), record(event_bytes()), binary(mode=()))
    assert not rejections
    assert [*events.ids] == ["6f9c"] * 4
    assert [*events.subjects] == ["user-1042"] * 4
    assert len(set(events.times)) == 1
    assert [*events.profile["age"]] == ["25-34"] * 4


def test_binary_mode_is_read_in_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schemas.event_columns.parse_record", None)
    more = orjson.dumps({**PROFILE, "more": [1]})
    events, *_ = EventReader(UserProfile, 900_000).read(Records.of([binary(), record(event_bytes()), binary(more)]))
    assert [*events.rows] == [0, 1, 2]


@pytest.mark.parametrize(
    ("one", "detail"),
    [
        (binary(id=None), "id: field required"),
        (binary(id="null"), "id: field required"),
        (binary(id=""), "id: string should have at least 1 character"),
        (binary(id=b"\xff"), "id: input should be a valid string"),
        (binary(source="x" * 1025), "source: string should have at most 1024 characters"),
        (binary(subject=None), "subject: field required"),
        (binary(specversion="0.3"), "specversion: input should be '1.0'"),
        (binary(time="2016-12-31T23:59:60Z"), "time: is a leap second"),
        (binary(time="1764000000"), "time: must be an RFC 3339"),
        (binary(mode=(("content-type", b"application/cloudevents-batch+json"),)), "content-type: batched mode"),
        (binary(mode=(("content-type", b"Application/CloudEvents+Avro"),)), "content-type: in structured mode only"),
    ],
)
def test_an_invalid_envelope_is_rejected_with_the_attribute_and_the_rule(one: Record, detail: str) -> None:
    (rejection,) = read(binary(), one, binary()).rejections.values()
    assert rejection.reason is RejectReason.INVALID_ENVELOPE
    assert rejection.detail.startswith(detail)


def test_a_batch_of_events_is_rejected_with_its_reason() -> None:
    headers = (("content-type", b"application/cloudevents-batch+json"),)
    of = CloudEvents(where("/type=user.profile.observed.v1"))
    found = read(record(b"[" + event_bytes() + b"]", headers=headers), of=of)
    assert "batched mode" in found.rejections[0].detail


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (binary(type="other"), RejectReason.UNKNOWN_TYPE),
        (binary(b""), RejectReason.EMPTY),
        (binary(b"\x00avro"), RejectReason.NOT_JSON),
        (binary(b"{}"), RejectReason.INVALID_PROFILE),
        (binary(event_bytes()), RejectReason.INVALID_PROFILE),
        (record(orjson.dumps(PROFILE)), RejectReason.INVALID_ENVELOPE),
        (record(event_bytes(), headers=(("ce_x", b"1"),)), RejectReason.INVALID_ENVELOPE),
    ],
)
def test_reasons_are_those_of_structured_mode(one: Record, reason: RejectReason) -> None:
    (rejection,) = read(one).rejections.values()
    assert rejection.reason is reason


def test_conditions_hold_for_the_event_in_both_modes() -> None:
    of = CloudEvents(where("/type=user.profile.observed.v1 && /data/age=25-34"))
    young = {"age": "18-24"}
    found = read(
        binary(),
        binary(type="other"),
        binary(orjson.dumps({**PROFILE, **young})),
        binary(orjson.dumps({**PROFILE, "more": 1, **young})),
        record(event_bytes()),
        record(event_bytes(type="other")),
        record(event_bytes(young)),
        of=of,
    )
    assert (found.events.rows, sorted(found.ignored)) == ([0, 4], [1, 2, 3, 5, 6])


@pytest.mark.parametrize("value", [None, b"", b"\x08\x96\x01", b"\x00avro", b"x" * 900_001])
def test_a_condition_on_an_attribute_is_judged_whatever_the_data_in_binary_mode(value: bytes | None) -> None:
    of = CloudEvents(where("/type=user.profile.observed.v1 && /data/age=25-34"))
    other = binary(type="order.placed.v1")._replace(value=value)
    records = (binary(), other, binary()._replace(value=value), binary())
    found = read(*records, of=of)
    assert (found.events.rows, [*found.ignored], [*found.rejections]) == ([0, 3], [1], [2])
    assert ignored_rows(of, Records.of(records), 900_000) == [1]


@pytest.mark.parametrize(
    ("condition", "value", "text"),
    [
        ("/priority=1", 1, "1"),
        ("/priority=-7", -7, "-7"),
        ("/priority=2.0", 2, "2"),
        ("/sampled=true", True, "true"),
        ("/sampled=false", False, "false"),
        ("/tenant=eu", "eu", "eu"),
        ('/tenant="1"', "1", "1"),
    ],
)
def test_a_condition_on_an_attribute_means_the_same_in_both_modes(condition: str, value: Any, text: str) -> None:
    name = condition[1:].partition("=")[0]
    values: list[dict[str, Any]] = [{name: each} for each in (value, "other", None)]
    headers: list[dict[str, Any]] = [{name: each} for each in (text, "other", None, b"\xff")]
    structured, in_headers = [record(event_bytes(**each)) for each in values], [binary(**each) for each in headers]
    found = read(*structured, *in_headers, of=CloudEvents(where(condition)))
    assert (found.events.rows, sorted(found.ignored)) == ([0, 3], [1, 2, 4, 5, 6])


@pytest.mark.parametrize("name", ["id", "subject"])
def test_an_attribute_that_the_specification_makes_a_text_is_no_number_in_either_mode(name: str) -> None:
    seven: dict[str, Any] = {name: "7"}
    records = [record(event_bytes(**seven)), binary(**seven)]
    assert sorted(read(*records, of=CloudEvents(where(f"/{name}=7"))).ignored) == [0, 1]
    assert read(*records, of=CloudEvents(where(f'/{name}="7"'))).events.rows == [0, 1]


def test_null_is_never_an_attribute_in_a_header() -> None:
    of = CloudEvents(where("/tenant=null"))
    found = read(record(event_bytes(tenant=None)), binary(), binary(tenant="null"), of=of)
    assert (found.events.rows, sorted(found.ignored)) == ([0], [1, 2])


def test_the_content_type_is_the_attribute_datacontenttype_in_binary_mode() -> None:
    of = CloudEvents(where("/datacontenttype=application/json"))
    found = read(
        record(event_bytes(datacontenttype="application/json")),
        binary(),
        binary(mode=()),
        binary(mode=(("content-type", b"text/json"),), datacontenttype="application/json"),
        binary(mode=(("content-type", b"\xff"),)),
        of=of,
    )
    assert (found.events.rows, sorted(found.ignored)) == ([0, 1], [2, 3, 4])
