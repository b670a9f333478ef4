"""What `try` says of records, and what to do where none of them is an event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from schemas import UserProfile
from schemas.event_columns import EventReader
from schemas.formats.records import Headers
from schemas.rejected import RejectReason
from tests.support.avro import record_schema, wire
from tests.support.events import ENVELOPE, PROFILE, event_bytes
from tests.support.schema_registry import schema_registry
from tests.support.scoring import MODEL, record
from worker.settings import Settings
from worker.settings_loading import load_settings
from worker.stream.records import Records, Verdict
from worker.tools.trial.judgement import Tried, conclusion, event_reader, remedies, tried

JSON = {"worker_input_format": "json", "worker_input_user": "/user"}


def try_out(
    values: list[Any], flags: dict[str, str] | None = None
) -> tuple[tuple[Tried, ...], Records, EventReader, Settings]:
    settings = load_settings(flags or {})
    given = [each if isinstance(each, bytes) else orjson.dumps(each) for each in values]
    records = Records.of([record(value, offset) for offset, value in enumerate(given)])
    reader = event_reader(settings, UserProfile, records)
    return tried(records, reader, MODEL.segmentation), records, reader, settings


def test_each_record_is_named_with_its_segment_or_the_reason_in_order() -> None:
    flags = {**JSON, "worker_input_where": "/event=x"}
    values = [{"event": "y"}, {"event": "x", "user": "u", **PROFILE}, b"{", {"event": "x", **PROFILE}]
    found, *_ = try_out(values, flags)
    assert [each.verdict for each in found] == [
        Verdict.IGNORED,
        Verdict.ASSIGNED,
        RejectReason.NOT_JSON,
        RejectReason.INVALID_ENVELOPE,
    ]
    number = MODEL.segmentation.assign({name: [value] for name, value in PROFILE.items()}).segment[0]
    assert found[1].text.startswith(f"segment {number} (Segment {number}), user u, time 2025-11-24T16:00:00Z, id ")
    assert found[3].text == "/user: field required"
    assert (
        conclusion(found) == "4 records: 1 assigned, 0 erased, 1 ignored, 2 rejected (1 not_json, 1 invalid_envelope)"
    )


def test_an_erasure_is_an_event_too() -> None:
    erased = {**ENVELOPE, "type": "user.erased.v1"}
    found, records, reader, settings = try_out([erased])
    assert found == (Tried(Verdict.ERASED, "user user-1042, time 2026-11-22T12:00:00.123000Z, id 6f9c"),)
    assert [*remedies(found, records, reader, settings)] == []


def test_where_one_record_is_an_event_there_is_nothing_to_do() -> None:
    assert [*remedies(*try_out([event_bytes(), b"{"]))] == []
    assert [*remedies(*try_out([]))] == []


@pytest.mark.parametrize(
    ("values", "flags", "named"),
    [
        ([{"user": "u"}], {}, ["WORKER_INPUT_FORMAT=cloudevents", "WORKER_INPUT_FORMAT=json"]),
        ([b"\x00avro"], JSON, ["WORKER_INPUT_TOPIC", "WORKER_INPUT_FORMAT"]),
        ([{"id": 5}], JSON, ["WORKER_INPUT_USER", "WORKER_INPUT_NUMERIC_IDS"]),
        ([{"id": 5}], JSON, ["WORKER_INPUT_TIME_FORMAT"]),
        ([{"user": "u", "traits": PROFILE}], JSON, ["PROFILE_CLASS", "WORKER_INPUT_DATA"]),
        ([event_bytes(data={})], {}, ["PROFILE_CLASS"]),
        ([{"event": "y"}] * 9, {**JSON, "worker_input_where": "/event=x"}, ["WORKER_INPUT_WHERE=/event=x"]),
        ([{"event": "y"}] * 9 + [{"event": "x"}], {**JSON, "worker_input_where": "/event=x"}, ["WORKER_INPUT_USER"]),
        ([{"event": "y"}], {**JSON, "worker_input_where": "/event=x"}, ["--count"]),
        ([{"type": "page"}], {"worker_input_format": "segment"}, ["WORKER_INPUT_FORMAT=segment", "WORKER_INPUT_TOPIC"]),
    ],
)
def test_where_none_is_an_event_the_settings_to_correct_are_named(
    values: list[Any], flags: dict[str, str], named: list[str]
) -> None:
    first, *_ = remedies(*try_out(values, flags))
    assert all(name in first for name in named), first


def test_a_setting_that_the_format_does_not_take_is_no_remedy() -> None:
    change = {"op": "u", "after": {"id": "u"}, "source": {"ts_ms": 1}}
    first, *_ = remedies(*try_out([change], {"worker_input_format": "debezium", "worker_input_user": "/id"}))
    assert "PROFILE_CLASS" in first
    assert "WORKER_INPUT_DATA" not in first


def test_what_the_records_have_is_named_as_pointers_and_never_its_values() -> None:
    value = {"a/b": {"c": {"d": {"e": "secret"}}, "f": ["secret"]}, "\x1b[2J": 1, "x" * 100: 2}
    *_, places = remedies(*try_out([value], JSON))
    assert "/a~1b/c/d, /a~1b/f, /\\x1b[2J, /xxx" in places
    assert "secret" not in places
    assert "x" * 90 not in places
    *_, places = remedies(*try_out([{str(number): 0 for number in range(25)}], JSON))
    assert places.endswith(" and 5 more")
    assert len([*remedies(*try_out([b"{", b"[]"], JSON))]) == 1


def test_where_conditions_are_on_headers_the_headers_are_named() -> None:
    flags = {**JSON, "worker_input_where": "header:kind=user"}
    found, records, reader, settings = try_out([{"user": "u"}] * 2, flags)
    kinds: tuple[Headers, ...] = ((("kind", b"secret"),), (("ki\x1bnd", None), ("kind", b"")))
    _, headers, _ = remedies(found, replace(records, headers=kinds), reader, settings)
    assert headers == "these records have the headers: kind, ki\\x1bnd"
    assert "these records have no headers" in [*remedies(found, records, reader, settings)]


def test_a_registry_that_fails_once_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = record_schema(user="string")
    with schema_registry() as registry:
        registry.register(7, schema)
        registry.fail_until_waited_for(monkeypatch)
        flags = {**JSON, "worker_input_format": "avro", "schema_registry_url": registry.url}
        (found, *_), *_ = try_out([wire(7, schema, {"user": "u"})], flags)
    assert found.verdict is RejectReason.INVALID_PROFILE


@pytest.mark.parametrize("envelope", [True, False])
def test_pointers_are_named_from_where_those_of_the_settings_begin(envelope: bool) -> None:
    flags = {"worker_input_format": "debezium", "worker_input_user": "/after/customer_id"}
    change = {"op": "u", "after": {"customer_id": "u", "age": 5}, "source": {"ts_ms": 1}}
    *_, places = remedies(*try_out([{"payload": change} if envelope else change], flags))
    assert places == "pointers begin in /payload/after or /after, where these records have: /customer_id, /age"
    *_, places = remedies(*try_out([{"op": "x", "before": {"a": 1}}], flags))
    assert places.startswith("pointers begin in /payload/after or /after, where these records have nothing")
    assert places.endswith("/op, /before/a")


def test_a_terminal_gets_no_control_characters_of_a_record() -> None:
    found, *_ = try_out([{"user": "\x1b[31m" + "u" * 1000, **PROFILE}], JSON)
    assert found[0].verdict is Verdict.ASSIGNED
    assert "\x1b" not in found[0].text
    assert len(found[0].text) < 250
