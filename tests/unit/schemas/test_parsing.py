import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from schemas import UserProfile
from schemas.events import UserEvent
from schemas.parsing import DETAIL_MAX_BYTES, MAX_VALUES
from schemas.rejected import Rejection, RejectReason
from tests.support.events import ENVELOPE, PROFILE, event_bytes
from tests.support.reading import parse_event

MAX_BYTES = 900_000


def parse(value: bytes | None) -> UserEvent[UserProfile] | Rejection:
    return parse_event(value, UserProfile, MAX_BYTES)


def rejection(value: bytes | None) -> Rejection:
    found = parse(value)
    assert isinstance(found, Rejection), "was accepted"
    return found


def test_an_event_is_parsed_into_values() -> None:
    event = parse(event_bytes())
    assert isinstance(event, UserEvent)
    assert event.subject == "user-1042"
    assert event.time == datetime(2026, 11, 22, 12, 0, 0, 123_000, UTC)
    assert event.data.likes_and_reactions == 5640
    assert event.data.top_interests == ("Digital Marketing",)


@pytest.mark.parametrize(
    "value",
    [
        event_bytes({"likes_and_reactions": 5640.0}),
        event_bytes({"top_interests": []}),
        event_bytes({"gender": "never seen in training"}),
        event_bytes({"weekday_hours_online": 24, "click_through_rate": 1}),
        event_bytes({"added_by_upstream_first": {"any": "thing"}}, datacontenttype="application/json", traceparent="x"),
        event_bytes(time="2026-11-22T12:00:00+05:30"),
        event_bytes().replace(b'"age":"25-34"', b'"age":5,"age":"25-34"'),
    ],
    ids=["whole float", "no interests", "new category", "at the bounds", "unknown fields", "offset", "last one counts"],
)
def test_unusual_but_valid_events_are_accepted(value: bytes) -> None:
    assert isinstance(parse(value), UserEvent)


REJECTED: list[tuple[str, bytes | None, RejectReason, str]] = [
    ("null", None, RejectReason.EMPTY, "no value"),
    ("no bytes", b"", RejectReason.EMPTY, "no bytes"),
    ("2 MB", b"x" * 2_000_000, RejectReason.TOO_LARGE, "2,000,000 bytes, at most 900,000 are allowed"),
    ("not UTF-8", b"\xff\xfe", RejectReason.NOT_JSON, "UTF-8"),
    ("byte-order mark", b"\xef\xbb\xbf" + event_bytes(), RejectReason.NOT_JSON, "BOM"),
    ("not JSON", b"{'a': 1}", RejectReason.NOT_JSON, "line 1 column 2"),
    ("two documents", event_bytes() + event_bytes(), RejectReason.NOT_JSON, "after document"),
    ("NaN", event_bytes().replace(b"5640", b"NaN"), RejectReason.NOT_JSON, "unexpected"),
    ("NaN in an unknown field", event_bytes({"extra": 77}).replace(b"77", b"NaN"), RejectReason.NOT_JSON, "unexpected"),
    ("Infinity", event_bytes().replace(b"5640", b"Infinity"), RejectReason.NOT_JSON, "unexpected"),
    ("1e999", event_bytes().replace(b"5640", b"1e999"), RejectReason.NOT_JSON, "infinity"),
    ("10,000 brackets", b"[" * 10_000, RejectReason.NOT_JSON, "depth"),
    ("nested 1,100 deep", event_bytes(x=77).replace(b"77", b"[" * 1100 + b"]" * 1100), RejectReason.NOT_JSON, "depth"),
    ("a list of a million", b"[" + b"0," * 400_000 + b"0]", RejectReason.TOO_LARGE, "10,000 commas"),
    ("lone surrogate", event_bytes().replace(b"Female", b"\\ud800"), RejectReason.NOT_JSON, "surrogate"),
    ("an array", b"[]", RejectReason.INVALID_ENVELOPE, "object"),
    ("a number", b"5", RejectReason.INVALID_ENVELOPE, "object"),
    ("null document", b"null", RejectReason.INVALID_ENVELOPE, "object"),
    ("wrong specversion", event_bytes(specversion="0.3"), RejectReason.INVALID_ENVELOPE, "specversion"),
    ("time without zone", event_bytes(time="2026-11-22T12:00:00"), RejectReason.INVALID_ENVELOPE, "time zone"),
    ("time as a number", event_bytes(time=1_764_000_000), RejectReason.INVALID_ENVELOPE, "time"),
    ("time as digits", event_bytes(time="1764000000"), RejectReason.INVALID_ENVELOPE, "time zone"),
    (
        "leap second",
        event_bytes(time="2016-12-31T23:59:60Z"),
        RejectReason.INVALID_ENVELOPE,
        "time: is a leap second",
    ),
    ("year 0", event_bytes(time="0000-01-01T00:00:00Z"), RejectReason.INVALID_ENVELOPE, "time: must be a valid date"),
    (
        "zone of a day",
        event_bytes(time="2026-11-22T12:00:00+24:00"),
        RejectReason.INVALID_ENVELOPE,
        "time: must be a valid date",
    ),
    ("UTF-16", event_bytes().decode().encode("utf-16"), RejectReason.NOT_JSON, "UTF-8"),
    (
        "two surrogates astray",
        event_bytes(subject="@").replace(b"@", b"\\udc00\\ud800"),
        RejectReason.NOT_JSON,
        "surrogate",
    ),
    ("10,000 digits", event_bytes().replace(b"5640", b"1" * 10_000), RejectReason.NOT_JSON, "infinity"),
    (
        "no such day",
        event_bytes(time="2026-02-30T12:00:00Z"),
        RejectReason.INVALID_ENVELOPE,
        "time: must be a valid date",
    ),
    ("empty subject", event_bytes(subject=""), RejectReason.INVALID_ENVELOPE, "subject"),
    ("subject too long to repeat", event_bytes(subject="x" * 1025), RejectReason.INVALID_ENVELOPE, "subject"),
    ("type is a number", event_bytes(type=5), RejectReason.INVALID_ENVELOPE, "type"),
    ("empty type", event_bytes(type=""), RejectReason.INVALID_ENVELOPE, "type"),
    ("wrong type and wrong time", event_bytes(type="a.b", time="x"), RejectReason.INVALID_ENVELOPE, "time"),
    ("wrong type name", event_bytes(type="user.profile.observed.v2"), RejectReason.UNKNOWN_TYPE, "observed.v1"),
    ("wrong type, other data", event_bytes(type="a.b", data=None), RejectReason.UNKNOWN_TYPE, "observed.v1"),
    ("data missing", event_bytes(without="data"), RejectReason.INVALID_PROFILE, "data: field required"),
    ("data is no object", event_bytes(data=[]), RejectReason.INVALID_PROFILE, "data: input should be an object"),
    (
        "number as a string",
        event_bytes({"followed_accounts": "190"}),
        RejectReason.INVALID_PROFILE,
        "followed_accounts",
    ),
    (
        "boolean as a number",
        event_bytes({"followed_accounts": True}),
        RejectReason.INVALID_PROFILE,
        "followed_accounts",
    ),
    ("half a count", event_bytes({"likes_and_reactions": 5640.5}), RejectReason.INVALID_PROFILE, "multiple of 1"),
    ("negative count", event_bytes({"likes_and_reactions": -1}), RejectReason.INVALID_PROFILE, "greater"),
    ("25 hours a day", event_bytes({"weekend_hours_online": 25}), RejectReason.INVALID_PROFILE, "weekend_hours_online"),
    ("rate above one", event_bytes({"conversion_rate": 1.01}), RejectReason.INVALID_PROFILE, "conversion_rate"),
    ("category is a number", event_bytes({"gender": 1}), RejectReason.INVALID_PROFILE, "gender"),
    ("empty category", event_bytes({"gender": ""}), RejectReason.INVALID_PROFILE, "gender"),
    ("interests are a string", event_bytes({"top_interests": "a,b"}), RejectReason.INVALID_PROFILE, "be an array"),
    ("an interest is null", event_bytes({"top_interests": ["a", None]}), RejectReason.INVALID_PROFILE, "interests.1"),
]


@pytest.mark.parametrize(("value", "reason", "detail"), [row[1:] for row in REJECTED], ids=[row[0] for row in REJECTED])
def test_an_invalid_event_gets_the_first_reason_that_applies(
    value: bytes | None, reason: RejectReason, detail: str
) -> None:
    found = rejection(value)
    assert found.reason is reason
    assert detail.lower() in found.detail.lower()


@pytest.mark.parametrize("name", sorted(ENVELOPE))
def test_every_attribute_of_the_envelope_is_required(name: str) -> None:
    found = rejection(event_bytes(without=name))
    assert (found.reason, found.detail) == (RejectReason.INVALID_ENVELOPE, f"{name}: field required")


@pytest.mark.parametrize("name", sorted(PROFILE))
def test_every_field_of_the_profile_is_required_under_its_own_name_not_its_csv_header(name: str) -> None:
    header = UserProfile.model_fields[name].alias
    assert header is not None
    found = rejection(event_bytes({header: PROFILE[name]}, without=name))
    assert (found.reason, found.detail) == (RejectReason.INVALID_PROFILE, f"data.{name}: field required")


def test_the_detail_never_quotes_the_value_and_is_bounded() -> None:
    secret = "secret-of-user-1042"
    spoilt = {name: [secret] * 50 if name == "gender" else {secret: secret} for name in PROFILE}
    found = rejection(event_bytes(spoilt))
    assert secret not in found.detail
    many = rejection(orjson.dumps({**ENVELOPE, "data": {}, "id": 5, "source": 5, "subject": "x" * 5000}))
    assert len(many.detail.encode()) <= DETAIL_MAX_BYTES


def test_errors_cost_little_compared_with_reading_even_for_large_values() -> None:
    # A reader that makes an object of each error's input would make twenty of these lists, one for each field missing.
    value = orjson.dumps({"unknown": [[]] * 4_000, "data": {"unknown": [[]] * 900}})
    found = rejection(value)
    assert found.reason is RejectReason.INVALID_ENVELOPE
    assert "subject: field required" in found.detail
    assert least_s(lambda: rejection(value)) < 20 * least_s(lambda: orjson.loads(value))


def least_s(call: Callable[[], object]) -> float:
    """Processor time of the fastest of some calls."""
    took = []
    for _ in range(9):
        began = time.thread_time()
        call()
        took.append(time.thread_time() - began)
    return min(took)


def test_the_maximum_number_of_values_is_read_and_one_more_is_not() -> None:
    most = b"[" + b"0," * (MAX_VALUES - 1) + b"0]"
    assert rejection(most).detail == "the event: input should be an object"
    assert rejection(most.replace(b"0", b"0,0", 1)).reason is RejectReason.TOO_LARGE
    assert rejection(most.replace(b"0", b"[]", 1)).reason is RejectReason.TOO_LARGE
    assert rejection(most.replace(b"0", b"{}", 1)).reason is RejectReason.TOO_LARGE


def test_a_long_text_in_an_unknown_field_is_accepted() -> None:
    text = "of words, [brackets] and {braces} among many others that fill a text of this kind, as texts do. " * 1_000
    assert isinstance(parse(event_bytes({"comment": text}, summary=text)), UserEvent)


@pytest.mark.parametrize(
    ("raised", "detail"),
    [
        (ValueError("secret"), "data.label: breaks a rule of the profile class"),
        (PydanticCustomError("own", "secret"), "data.label: breaks a rule of the profile class"),
        (KeyError("secret"), "data: the profile class failed (KeyError)"),
        (TypeError("secret"), "data: the profile class failed (TypeError)"),
        (ZeroDivisionError("secret"), "data: the profile class failed (ZeroDivisionError)"),
    ],
)
def test_any_error_of_a_profile_class_is_a_rejection(raised: Exception, detail: str) -> None:
    def fail(value: object) -> object:
        raise raised

    class Own(BaseModel):
        label: Annotated[str, BeforeValidator(fail)]

    found = parse_event(event_bytes(data={"label": "secret"}), Own, MAX_BYTES)
    assert found == Rejection(RejectReason.INVALID_PROFILE, detail)


@pytest.mark.parametrize("raised", [OSError("disk"), MemoryError()])
def test_errors_of_the_machine_are_not_rejections(raised: Exception) -> None:
    def fail(value: object) -> object:
        raise raised

    class Own(BaseModel):
        label: Annotated[str, BeforeValidator(fail)]

    with pytest.raises(type(raised)):
        parse_event(event_bytes(data={"label": "x"}), Own, MAX_BYTES)


def test_no_validation_message_quotes_the_value() -> None:
    class Tagged(BaseModel):
        kind: Literal["a"]

    class Other(BaseModel):
        kind: Literal["b"]

    class Own(BaseModel):
        user: uuid.UUID
        items: list[Annotated[Tagged | Other, Field(discriminator="kind")]]

    found = parse_event(event_bytes(data={"user": "secret", "items": [{"kind": "secret"}]}), Own, MAX_BYTES)
    assert isinstance(found, Rejection)
    assert (
        found.detail
        == "data.user: breaks a rule of the profile class; data.items.0: breaks a rule of the profile class"
    )


names = st.sampled_from([*PROFILE, *ENVELOPE, "data", "unknown"])


@given(
    st.lists(st.tuples(names, st.sampled_from([*map(orjson.dumps, (None, 1, "a", [], {}, 0.5, PROFILE))])), max_size=6)
)
def test_the_last_of_repeated_names_counts_as_for_other_readers(given_again: list[tuple[str, bytes]]) -> None:
    again = b"".join(b',"%s":%s' % (name.encode(), raw) for name, raw in given_again)
    for value in (event_bytes()[:-1] + again + b"}", event_bytes()[:-2] + again + b"}}"):
        once = orjson.dumps(json.loads(value))
        assert parse(value) == parse(once)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_a_rejection(value: bytes) -> None:
    assert isinstance(parse(value), Rejection)


@given(st.sampled_from([*PROFILE, *ENVELOPE, "data"]), json_values)
def test_any_json_in_any_field_is_an_event_or_a_rejection_with_a_bounded_detail(name: str, given_value: Any) -> None:
    profile = {**PROFILE, name: given_value} if name in PROFILE else PROFILE
    event = {**ENVELOPE, "data": profile, **({} if name in PROFILE else {name: given_value})}
    try:
        value = orjson.dumps(event)
    except orjson.JSONEncodeError:  # integers beyond 64 bits and lone surrogates cannot be written
        return
    found = parse(value)
    if isinstance(found, Rejection):
        assert found.reason in {
            RejectReason.INVALID_ENVELOPE,
            RejectReason.UNKNOWN_TYPE,
            RejectReason.INVALID_PROFILE,
        }
        assert 0 < len(found.detail.encode()) <= DETAIL_MAX_BYTES
    else:
        assert name in event or name in profile
