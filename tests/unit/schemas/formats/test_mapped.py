"""Events in any JSON object; that columns agree with the exact way is in tests/fuzz."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

import msgspec
import orjson
import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, Field

from schemas.event_columns import EventReader, Read
from schemas.formats.input_format import InputFormat
from schemas.formats.mapped import PRESETS, Given, mapped
from schemas.formats.times import TimeFormat
from schemas.formats.where import where
from schemas.rejected import RejectReason
from schemas.roles import category, number
from tests.support.reading import read_both_ways
from tests.support.scoring import record
from worker.stream.records import Record, Records

MAX_BYTES = 900_000


class Own(BaseModel):
    history_id_column: ClassVar[str] = "id"
    x: Annotated[float, number("a"), Field(ge=0)]
    label: Annotated[str, category("a")]


GOOD: dict[str, Any] = {"x": 1.5, "label": "a"}


def json_format(numeric_ids: bool = False, **given: Any) -> InputFormat:
    return mapped(PRESETS["json"], Given(**{"user": "/user", **given}), numeric_ids=numeric_ids)


def read(of: InputFormat, *records: Record, profile_class: type[BaseModel] = Own) -> Read:
    """What the records are; the same in columns and in the exact way."""
    together, _ = read_both_ways(EventReader(profile_class, MAX_BYTES, of), records)
    return together


def json_record(value: Any, **other: Any) -> Record:
    return record(orjson.dumps(value), **other)


def rejected(of: InputFormat, one: Record) -> tuple[RejectReason, str]:
    (rejection,) = read(of, one).rejections.values()
    return rejection.reason, rejection.detail


def test_what_is_not_given_is_taken_from_the_record() -> None:
    events, rejections, ignored, _ = read(json_format(), json_record({"user": "u", **GOOD}, offset=7))
    assert (rejections, [*ignored]) == ({}, [])
    assert ([*events.subjects], [*events.ids]) == (["u"], ["user-activity/3/7"])
    assert events.times == [datetime(2025, 11, 24, 16, 0, tzinfo=UTC)]
    assert {name: [*column] for name, column in events.profile.items()} == {"x": [1.5], "label": ["a"]}


def test_each_part_is_where_its_pointer_says() -> None:
    of = json_format(user="/who/id", time="/meta/at", time_format=TimeFormat.SECONDS, id="/meta/id", data="/traits")
    value = {"who": {"id": "u"}, "meta": {"at": 1.5, "id": "e"}, "traits": GOOD, "more": [1]}
    events, *_ = read(of, json_record(value))
    assert ([*events.subjects], [*events.ids]) == (["u"], ["e"])
    assert events.times == [datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)]


@pytest.mark.parametrize(
    ("number", "unit", "moment"),
    [
        (-1, "s", "1969-12-31T23:59:59+00:00"),
        (-62_135_596_800, "s", "0001-01-01T00:00:00+00:00"),
        (253_402_300_799, "s", "9999-12-31T23:59:59+00:00"),
        (1_764_000_000_123, "ms", "2025-11-24T16:00:00.123000+00:00"),
        (1_764_000_000_123_456, "us", "2025-11-24T16:00:00.123456+00:00"),
        (1_764_000_000.123456, "s", "2025-11-24T16:00:00.123456+00:00"),
        (0, "ms", "1970-01-01T00:00:00+00:00"),
    ],
)
def test_a_number_is_the_moment_so_long_after_1970(number: float, unit: str, moment: str) -> None:
    of = json_format(time="/at", time_format=TimeFormat(unit))
    events, *_ = read(of, json_record({"user": "u", "at": number, **GOOD}))
    assert [at.isoformat() for at in events.times] == [moment]


@pytest.mark.parametrize(
    ("at", "written", "detail"),
    [
        (253_402_300_800, "s", "must be in the years 1 to 9999"),
        (-62_135_596_801, "s", "must be in the years 1 to 9999"),
        (1_764_000_000_123, "s", "must be in the years 1 to 9999"),
        (1e300, "us", "must be in the years 1 to 9999"),
        (10**400, "us", "not_json"),
        (2**64, "us", "must be in the years 1 to 9999"),
        ("1764000000", "s", "input should be a number of seconds"),
        (True, "ms", "input should be a number of milliseconds"),
        (1_764_000_000, "rfc3339", "input should be a valid string"),
        ("2016-12-31T23:59:60Z", "rfc3339", "is a leap second"),
        ("2026-11-22 12:00", "rfc3339", "must be an RFC 3339"),
        (None, "ms", "field required"),
    ],
)
def test_an_invalid_time_is_rejected_with_its_pointer_and_the_rule(at: Any, written: str, detail: str) -> None:
    of = json_format(time="/at", time_format=TimeFormat(written))
    value: bytes = b'{"user":"u","at":%b,"x":1.5,"label":"a"}' % (b"%d" % at if type(at) is int else orjson.dumps(at))
    if detail == "not_json":
        value = value.replace(b"%d" % at, b"1e400")
        assert rejected(of, record(value))[0] is RejectReason.NOT_JSON
        return
    reason, said = rejected(of, record(value))
    assert reason is RejectReason.INVALID_ENVELOPE
    assert said.startswith(f"/at: {detail}")


def test_a_record_without_a_time_is_rejected_only_where_its_time_counts() -> None:
    untimed = json_record({"user": "u", "at": 1, **GOOD})._replace(timestamp_ms=-1)
    assert rejected(json_format(), untimed) == (
        RejectReason.INVALID_ENVELOPE,
        "$timestamp: the record has no timestamp",
    )
    assert read(json_format(time="/at", time_format=TimeFormat.SECONDS), untimed).events.rows == [0]
    far = untimed._replace(timestamp_ms=2**62)
    assert rejected(json_format(), far)[1] == "$timestamp: the record's timestamp is after the year 9999"


@pytest.mark.parametrize(
    ("text", "user"),
    [
        (b"7", "7"),
        (b"-0", "0"),
        (b"9007199254740993", "9007199254740993"),
        (b"18446744073709551615", "18446744073709551615"),
        (b"-9223372036854775808", "-9223372036854775808"),
        (b'"x"', "x"),
        (b"18446744073709551616", None),
        (b"7.0", None),
        (b"7e0", None),
        (b"true", None),
        (b"null", None),
        (b'""', None),
    ],
)
def test_an_integer_is_a_user_id_where_that_is_set_and_exact(text: bytes, user: str | None) -> None:
    one = record(b'{"user":%b,"x":1.5,"label":"a"}' % text)
    found = read(json_format(numeric_ids=True), one)
    assert [*found.events.subjects] == ([] if user is None else [user])
    assert [each.reason for each in found.rejections.values()] == [RejectReason.INVALID_ENVELOPE] * (user is None)
    assert ([*read(json_format(), one).events.subjects] == [user]) == (text == b'"x"')


def test_a_user_id_may_be_the_key_and_may_differ_from_it() -> None:
    keys = [b"k", "Zoë".encode(), None, b"", b"\xff", b"x" * 1024, b"x" * 2000, "\ufffd".encode()]
    found = read(json_format(user="$key"), *(json_record(GOOD, key=key) for key in keys))
    assert [*found.events.subjects] == ["k", "Zoë", "x" * 1024, "\ufffd"]
    assert {row: each.detail for row, each in found.rejections.items()} == {
        2: "$key: the record has no key",
        3: "$key: string should have at least 1 character",
        4: "$key: the record's key is not UTF-8",
        6: "$key: string should have at most 1024 characters",
    }
    assert [*read(json_format(), json_record({"user": "u", **GOOD}, key=b"other")).events.subjects] == ["u"]


@pytest.mark.parametrize("user", ["x" * 2000, "", 5, None, ["u"]])
def test_an_invalid_user_id_is_rejected_with_its_pointer(user: Any) -> None:
    reason, detail = rejected(json_format(), json_record({"user": user, **GOOD}))
    assert reason is RejectReason.INVALID_ENVELOPE
    assert detail.startswith("/user: ")


def test_a_mapping_that_matches_nothing_names_every_pointer() -> None:
    of = json_format(user="/a/b", time="/c", time_format=TimeFormat.SECONDS, id="/d", data="/e")
    values: list[Any] = [{"x": 1}, [], 5, None, {"a": "b"}]
    for value in values:
        assert rejected(of, json_record(value)) == (
            RejectReason.INVALID_ENVELOPE,
            "/a/b: field required; /c: field required; /d: field required",
        )


def test_a_field_of_the_profile_is_named_where_the_record_has_it() -> None:
    value = {"user": "u", "a": {"b": {"x": -1, "label": "a"}}}
    assert rejected(json_format(data="/a/b"), json_record(value)) == (
        RejectReason.INVALID_PROFILE,
        "/a/b/x: input should be greater than or equal to 0",
    )
    assert rejected(json_format(), json_record({"user": "u", "x": 1})) == (
        RejectReason.INVALID_PROFILE,
        "/label: field required",
    )
    assert rejected(json_format(data="/a"), json_record({"user": "u", "a": 5})) == (
        RejectReason.INVALID_PROFILE,
        "/a: input should be an object",
    )


def test_pointers_lead_through_arrays_one_by_one() -> None:
    of = json_format(user="/users/0/id", data="/profiles/1")
    assert EventReader(Own, MAX_BYTES, of).one_by_one_because
    events, *_ = read(of, json_record({"users": [{"id": "u"}], "profiles": [0, GOOD]}))
    assert [*events.subjects] == ["u"]


def test_a_pointer_may_go_deep_and_nesting_has_its_limit() -> None:
    deep = "/a" * 32
    value: Any = "u"
    for _ in range(32):
        value = {"a": value}
    assert [*read(json_format(user=deep), json_record({**value, **GOOD})).events.subjects] == ["u"]
    too_deep = b'{"a":' * 2000 + b"1" + b"}" * 2000
    assert rejected(json_format(user=deep), record(too_deep))[0] is RejectReason.NOT_JSON


def test_two_parts_may_be_in_one_place() -> None:
    found = read(json_format(user="/x", id="/x", numeric_ids=True), json_record({**GOOD, "x": 5}))
    assert ([*found.events.subjects], [*found.events.ids]) == (["5"], ["5"])


def test_records_that_do_not_match_are_ignored_and_what_is_not_json_is_not() -> None:
    of = json_format(where=where("/event=profile_updated && header:kind=user"))
    user = (("kind", b"user"),)
    good = json_record({"user": "u", "event": "profile_updated", **GOOD}, headers=user)
    found = read(
        of,
        good,
        json_record({"event": "other"}, headers=user),
        json_record([], headers=user),
        record(b"{", headers=user),
        record(None, headers=user),
        json_record({"event": "profile_updated"}, headers=user),
        good._replace(headers=()),
        record(b"\x00avro"),
        record(None),
    )
    assert found.events.rows == [0]
    assert sorted(found.ignored) == [1, 2, 6, 7, 8]
    assert [(row, each.reason.value) for row, each in sorted(found.rejections.items())] == [
        (3, "not_json"),
        (4, "empty"),
        (5, "invalid_envelope"),
    ]


CALL = {
    "userId": "u",
    "messageId": "m",
    "timestamp": "2026-11-22T12:00:00Z",
    "context": {"ip": "::1"},
    "channel": "web",
}


@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        ({"type": "identify", "traits": GOOD}, "assigned"),
        ({"type": "identify", "context": {"traits": GOOD}}, "assigned"),
        ({"type": "track", "event": "Order Completed", "properties": {}, "context": {"traits": GOOD}}, "assigned"),
        ({"type": "track", "event": "Order Completed", "properties": {"x": 1}}, "ignored"),
        ({"type": "page", "traits": GOOD}, "ignored"),
        ({"type": "identify", "userId": None, "anonymousId": "a", "traits": GOOD}, "ignored"),
        ({"type": "identify", "traits": {"x": 1}}, "/traits/label: field required"),
        ({"type": "identify", "traits": GOOD, "timestamp": 5}, "/timestamp: input should be a valid string"),
        ({"traits": GOOD}, "ignored"),
    ],
)
def test_segment_reads_identify_and_track_calls_with_traits(call: dict[str, Any], outcome: str) -> None:
    found = read(mapped(PRESETS["segment"], Given(), numeric_ids=False), json_record({**CALL, **call}))
    if outcome == "assigned":
        assert ([*found.events.subjects], [*found.events.ids]) == (["u"], ["m"])
    elif outcome == "ignored":
        assert [*found.ignored] == [0]
    else:
        assert [each.detail for each in found.rejections.values()] == [outcome]


ROW = {"customer_id": 42, "updated_at": 1_764_000_000_000_000, **GOOD}


@pytest.mark.parametrize("schema", [True, False])
@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"op": "c", "after": ROW}, "assigned"),
        ({"op": "u", "before": {"x": 9}, "after": ROW}, "assigned"),
        ({"op": "r", "after": ROW}, "assigned"),
        ({"op": "d", "before": ROW, "after": None}, "ignored"),
        ({"op": "t"}, "ignored"),
        ({"op": "u", "after": None}, "rejected"),
        ({"op": "u", "after": {**ROW, "x": -1}}, "rejected"),
    ],
)
def test_debezium_reads_the_row_after_the_change_with_or_without_the_schema(
    schema: bool,
    change: dict[str, Any],
    outcome: str,
) -> None:
    of = mapped(PRESETS["debezium"], Given(user="/customer_id"), numeric_ids=True)
    value = {**change, "source": {"ts_ms": 1_764_000_000_123, "table": "customers"}, "ts_ms": 5}
    found = read(of, json_record({"schema": {}, "payload": value} if schema else value))
    assert [*found.events.subjects] == ["42"] * (outcome == "assigned")
    assert [at.isoformat() for at in found.events.times] == ["2025-11-24T16:00:00.123000+00:00"] * len(
        found.events.rows
    )
    assert [*found.ignored] == [0] * (outcome == "ignored")
    assert len(found.rejections) == (outcome == "rejected")


def test_of_a_debezium_topic_tombstones_are_ignored_and_a_column_may_be_the_time() -> None:
    given = Given(user="/customer_id", time="/updated_at", time_format=TimeFormat.MICROSECONDS, where=where("/x=1.5"))
    of = mapped(PRESETS["debezium"], given, numeric_ids=True)
    found = read(
        of,
        record(None),
        json_record({"op": "c", "after": ROW}),
        json_record({"op": "c", "after": {**ROW, "x": 2}}),
        record(b""),
    )
    assert sorted(found.ignored) == [0, 2]
    assert [*found.rejections] == [3]
    assert [*found.events.times] == [datetime(2025, 11, 24, 16, tzinfo=UTC)]


@pytest.mark.parametrize("start", ["/payload/after", "/after"])
@pytest.mark.parametrize(
    ("row", "detail"),
    [
        ({**ROW, "x": -1}, "{start}/x: input should be greater than or equal to 0"),
        ({"customer_id": 42, "x": 1}, "{start}/label: field required"),
        (GOOD, "{start}/customer_id: field required"),
        ({**ROW, "customer_id": []}, "{start}/customer_id: input should be a valid string"),
        (None, "{start}/customer_id: field required"),
    ],
)
def test_a_detail_names_the_place_where_this_record_has_it(start: str, row: Any, detail: str) -> None:
    of = mapped(PRESETS["debezium"], Given(user="/customer_id"), numeric_ids=True)
    value = {"op": "u", "after": row, "source": {"ts_ms": 1}}
    _, said = rejected(of, json_record({"payload": value} if start == "/payload/after" else value))
    assert said == detail.format(start=start)


def test_the_traits_that_count_are_named() -> None:
    of = mapped(PRESETS["segment"], Given(), numeric_ids=False)
    bad = {"x": 1}
    for call, place in (
        ({"context": {"traits": bad}}, "/context/traits"),
        ({"traits": None, "context": {"traits": bad}}, "/context/traits"),
        ({"traits": bad, "context": {"traits": GOOD}}, "/traits"),
    ):
        assert rejected(of, json_record({**CALL, "type": "track", **call}))[1] == f"{place}/label: field required"


class Sparse(BaseModel):
    history_id_column: ClassVar[str] = "id"
    x: Annotated[float | None, number("a")] = None
    label: Annotated[str | None, category("a")] = None
    other: Annotated[str | None, category("a")] = None


def test_a_profile_of_which_too_little_is_known_is_named_where_it_is() -> None:
    of = mapped(PRESETS["debezium"], Given(user="$key"), numeric_ids=False)
    one = json_record({"op": "u", "after": {"x": 1}, "source": {"ts_ms": 1}})
    reader = EventReader(Sparse, MAX_BYTES, of, used=("x", "label", "other"))
    (rejection,) = reader.read(Records.of([one])).rejections.values()
    assert rejection.reason is RejectReason.TOO_LITTLE_KNOWN
    assert rejection.detail.startswith("/after: ")


class Aliased(BaseModel):
    history_id_column: ClassVar[str] = "id"
    x: Annotated[float, number("a"), Field(validation_alias=AliasPath("stats", "x"))]
    label: Annotated[str, category("a"), Field(validation_alias=AliasPath("labels", "first", "text"))]
    other: Annotated[str | None, category("a"), Field(validation_alias="Other")] = None


def test_fields_are_where_the_aliases_of_the_class_say_and_are_read_in_columns() -> None:
    of = json_format(data="/data")
    assert EventReader(Aliased, MAX_BYTES, of).one_by_one_because is None
    data = {"stats": {"x": 2, "y": 3}, "labels": {"first": {"text": "a"}}, "x": 9}
    found = read(
        of,
        json_record({"user": "u", "data": data}),
        json_record({"user": "v", "data": {**data, "Other": "b"}}),
        json_record({"user": "w", "data": {**data, "stats": {}}}),
        profile_class=Aliased,
    )
    assert {name: [*column] for name, column in found.events.profile.items()} == {
        "x": [2, 2],
        "label": ["a", "a"],
        "other": [None, "b"],
    }
    assert [each.detail for each in found.rejections.values()] == ["/data/stats/x: field required"]


class InArray(Own):
    x: Annotated[float, number("a"), Field(validation_alias=AliasPath("all", 0))]


class Choices(Own):
    x: Annotated[float, number("a"), Field(validation_alias=AliasChoices("y", "x"))]


@pytest.mark.parametrize(("of", "data"), [(InArray, {"all": [2.5], "label": "a"}), (Choices, {"y": 2.5, "label": "a"})])
def test_aliases_that_columns_cannot_follow_are_followed_one_by_one(of: type[BaseModel], data: dict[str, Any]) -> None:
    assert EventReader(of, MAX_BYTES, json_format()).one_by_one_because
    found = read(json_format(), json_record({"user": "u", **data}), profile_class=of)
    assert [*found.events.profile["x"]] == [2.5]


def test_a_field_that_is_also_a_condition_or_a_part_counts_as_both() -> None:
    of = json_format(user="/label", where=where("/label=a && /x=1.5"))
    found = read(of, json_record(GOOD), json_record({**GOOD, "x": 2}), json_record({**GOOD, "label": "b"}))
    assert ([*found.events.subjects], sorted(found.ignored)) == (["a"], [1, 2])


def test_names_that_values_have_besides_are_learned_and_read_in_columns_from_then_on() -> None:
    reader = EventReader(Own, MAX_BYTES, json_format(data="/who/traits"))
    value = {"user": "u", "page": {"path": ["/", 1.5, None]}, "who": {"traits": {**GOOD, "more": True}, "plan": "x"}}
    first = reader._decoders[0]._objects
    reader.read(Records.of([json_record(value)]))
    first.closed(orjson.dumps(value))
    with pytest.raises(msgspec.ValidationError):
        first.closed(orjson.dumps({**value, "page": {"path": [[[[[1]]]]]}}))
    for turn in range(200):
        deep = {"page": {"path": [[[[[turn]]]]]}, f"name{turn}": 0, 'quo"ted': 1, "\n": 2}
        assert [*reader.read(Records.of([json_record({**value, **deep})])).events.rows] == [0]
    assert first._may_learn == 0


@pytest.mark.parametrize(
    "more",
    [b"1" * 400, b"[" + b"1" * 400 + b"]", b"1e400", b'"\xff"', b'{"a":{"\xff":1}}', rb'"\ud800"', b"01", b"[" * 1_100],
)
def test_what_is_not_json_is_rejected_under_a_learned_name_too(more: bytes) -> None:
    reader = EventReader(Own, MAX_BYTES, json_format())
    known = json_record({"user": "u", "more": {"a": {"b": 1}}, **GOOD})
    bad = record(b'{"user":"u","x":1.5,"label":"a","more":%b}' % more)
    found = reader.read(Records.of([known, known, bad, known]))
    assert [*found.events.rows] == [0, 1, 3]
    assert found.rejections[2].reason is RejectReason.NOT_JSON


@pytest.mark.parametrize("integer", [2**63, 2**64 - 1, -(2**63)])
def test_a_condition_may_be_on_any_integer_of_64_bits(integer: int) -> None:
    of = json_format(where=where(f"/a={integer}"))
    found = read(of, json_record({"user": "u", "a": integer, **GOOD}), json_record({"user": "u", "a": 1, **GOOD}))
    assert ([*found.events.rows], [*found.ignored]) == ([0], [1])
