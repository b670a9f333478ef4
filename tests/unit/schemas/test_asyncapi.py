"""asyncapi-3.0.0.schema.json is 3.0.0-without-$id.json of the npm package @asyncapi/specs 6.11.1 (Apache-2.0)."""

import json
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field

from schemas import UserProfile
from schemas.asyncapi import asyncapi_document
from schemas.formats.cloudevents import CloudEvents
from schemas.formats.mapped import PRESETS, Given, mapped
from schemas.formats.times import TimeFormat
from schemas.formats.where import where
from schemas.rejected import RejectedHeader
from tests.support.events import PROFILE, event_bytes

PUBLISHED = json.loads((Path(__file__).parent / "asyncapi-3.0.0.schema.json").read_text())
DOCUMENT = json.loads(json.dumps(asyncapi_document(UserProfile, "in", "out", "bad", version="0.1.0")))


def payload_problem(message: str, payload: object) -> str | None:
    schema = DOCUMENT["components"]["messages"][message]["payload"]
    validator = jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]})
    problem = jsonschema.exceptions.best_match(validator.iter_errors(payload))
    return None if problem is None else str(problem.message)


def test_results_have_the_content_type_of_cloudevents_and_the_trace_context_of_their_input() -> None:
    messages = DOCUMENT["components"]["messages"]
    headers = messages["assigned"]["headers"]
    assert headers["required"] == ["content-type"]
    assert headers["properties"]["content-type"]["const"] == "application/cloudevents+json"
    assert {"traceparent", "tracestate"} <= headers["properties"].keys() & messages["observed"]["headers"][
        "properties"
    ].keys()


def test_a_current_topic_has_the_assignments_of_the_output_topic_and_tombstones() -> None:
    document = asyncapi_document(UserProfile, "in", "out", "bad", "0.1.0", "now")
    jsonschema.Draft7Validator(PUBLISHED).validate(json.loads(json.dumps(document)))
    channels = document["channels"]
    assert channels["current"]["address"] == "now"
    assert channels["current"]["messages"]["assigned"] == channels["output"]["messages"]["assigned"]
    tombstone = document["components"]["messages"]["tombstone"]
    assert tombstone["payload"] == {"type": "null"}
    assert tombstone["headers"]["required"] == ["input.topic", "input.partition", "input.offset"]
    assert "current" not in DOCUMENT["channels"]


def test_the_document_is_asyncapi_3() -> None:
    jsonschema.Draft7Validator(PUBLISHED).validate(DOCUMENT)


def test_the_published_schema_refuses_a_document_with_a_mistake() -> None:
    spoilt = {**DOCUMENT, "operations": {"readEvents": {"action": "consume", "channel": {"$ref": "#/channels/input"}}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(PUBLISHED).validate(spoilt)


def test_every_reference_resolves() -> None:
    references: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            references.extend(value for name, value in node.items() if name == "$ref")
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(DOCUMENT)
    assert len(references) > 10
    for reference in references:
        node = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_the_document_has_the_given_topic_names() -> None:
    assert {name: channel["address"] for name, channel in DOCUMENT["channels"].items()} == {
        "input": "in",
        "output": "out",
        "rejected": "bad",
    }


@pytest.mark.parametrize(
    ("profile", "problem"),
    [
        ({}, None),
        ({"likes_and_reactions": 5640.0, "top_interests": [], "unknown_field": 1}, None),
        ({"likes_and_reactions": 5640.5}, "not a multiple of 1"),
        ({"likes_and_reactions": "5640"}, "is not of type 'number'"),
        ({"click_through_rate": 1.5}, "maximum of 1"),
    ],
)
def test_its_input_schema_accepts_what_the_parser_accepts(profile: dict[str, Any], problem: str | None) -> None:
    found = payload_problem("observed", json.loads(event_bytes(profile)))
    assert (found is None) if problem is None else (found is not None and problem in found)


def test_its_input_schema_has_the_field_names_of_events() -> None:
    properties = DOCUMENT["components"]["schemas"]["UserProfile"]["properties"]
    assert list(properties) == list(PROFILE)


class Elsewhere(BaseModel):
    age: Annotated[float, Field(validation_alias=AliasPath("stats", "age"))]
    visits: Annotated[float | None, Field(validation_alias=AliasPath("stats", "visits"))] = None
    name: Annotated[str, Field(validation_alias=AliasChoices("full_name", "name"))]
    score: Annotated[float, Field(validation_alias=AliasPath("scores", 0))]
    plain: float


@pytest.mark.parametrize(
    ("row", "valid"),
    [
        ({"stats": {"age": 5}, "full_name": "a", "plain": 1}, True),
        ({"stats": {"age": 5, "visits": 1}, "full_name": "a", "plain": 1}, True),
        ({"stats": {"age": 5, "visits": "x"}, "full_name": "a", "plain": 1}, False),
        ({"stats": {}, "full_name": "a", "plain": 1}, False),
        ({"age": 5, "full_name": "a", "plain": 1}, False),
        ({"stats": {"age": 5}, "name": "a", "plain": 1}, True),
        ({"stats": {"age": 5}, "full_name": 1, "plain": 1}, False),
    ],
)
def test_a_field_is_where_events_have_it(row: dict[str, Any], valid: bool) -> None:
    document = document_of("json", Elsewhere, user="$key")
    jsonschema.Draft7Validator(PUBLISHED).validate(json.loads(json.dumps(document)))
    payload = document["components"]["messages"]["observed"]["payload"]
    validator = jsonschema.Draft202012Validator({**payload, "components": document["components"]})
    assert validator.is_valid(row) == valid


def test_a_class_that_takes_both_names_is_described_by_those_of_its_fields() -> None:
    class Both(Elsewhere):
        model_config = ConfigDict(validate_by_name=True)

    assert [*document_of("json", Both, user="$key")["components"]["schemas"]["Both"]["properties"]] == [
        *Both.model_fields
    ]


def test_every_header_of_a_rejected_record_is_described() -> None:
    headers = DOCUMENT["components"]["messages"]["rejected"]["headers"]
    assert set(headers["properties"]) == {str(header) for header in RejectedHeader}
    assert "rejected.reason" in headers["required"]
    assert "rejected.nulls" not in headers["required"]


def document_of(preset: str, profile_class: type[BaseModel] = UserProfile, **given: Any) -> Any:
    of = mapped(PRESETS[preset], Given(**given), numeric_ids=True)
    document = asyncapi_document(profile_class, "in", "out", "bad", "0.1.0", input_format=of)
    return json.loads(json.dumps(document))


def test_the_conditions_on_cloudevents_are_in_their_headers_and_payload() -> None:
    of = CloudEvents(where("/data/location=Urban && /source=/app && header:tenant=eu"))
    document = json.loads(json.dumps(asyncapi_document(UserProfile, "in", "out", "bad", "0.1.0", input_format=of)))
    jsonschema.Draft7Validator(PUBLISHED).validate(document)
    for message in (document["components"]["messages"][name] for name in ("observed", "erased")):
        assert message["headers"]["required"] == ["tenant"]
        assert message["headers"]["properties"]["tenant"]["const"] == "eu"
        assert message["summary"].endswith("Records that do not match are ignored.")
        assert "ignored" not in DOCUMENT["components"]["messages"]["observed"]["summary"]
    schema = {**document["components"]["messages"]["observed"]["payload"], "components": document["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    event = {**json.loads(event_bytes({**PROFILE, "location": "Urban"})), "source": "/app"}
    assert validator.is_valid(event)
    assert not validator.is_valid({**event, "source": "/other"})
    assert not validator.is_valid({**event, "data": {**event["data"], "location": "Rural"}})
    erased = {**document["components"]["messages"]["erased"]["payload"], "components": document["components"]}
    without_data = {**event, "type": "user.erased.v1"}
    del without_data["data"]
    assert jsonschema.Draft202012Validator(erased).is_valid(without_data)
    assert not jsonschema.Draft202012Validator(erased).is_valid({**without_data, "source": "/other"})


CALL = {"type": "identify", "userId": "u", "messageId": "m", "timestamp": "2026-11-22T12:00:00Z"}
ROW = {"id": 7, **PROFILE}


@pytest.mark.parametrize(
    ("preset", "given", "good", "bad"),
    [
        (
            "json",
            {
                "user": "/user",
                "time": "/at",
                "time_format": TimeFormat.MILLISECONDS,
                "where": where("/event=x && header:kind=user"),
            },
            [{"user": "u", "at": 5, "event": "x", **PROFILE}, {"user": 7, "at": 5, "event": "x", **PROFILE}],
            [{"user": "u", "at": "5", "event": "x", **PROFILE}, {"user": "u", "at": 5, "event": "y", **PROFILE}, {}],
        ),
        (
            "json",
            {"user": "/users/0", "data": "/a/traits"},
            [{"users": ["u"], "a": {"traits": PROFILE}}],
            [{"a": {"traits": {}}}, {"a": {}}],
        ),
        (
            "segment",
            {},
            [{**CALL, "traits": PROFILE}, {**CALL, "type": "track", "context": {"traits": PROFILE}}],
            [CALL, {**CALL, "type": "page", "traits": PROFILE}],
        ),
        (
            "debezium",
            {"user": "/id"},
            [
                {"op": "c", "source": {"ts_ms": 5}, "after": ROW},
                {"payload": {"op": "c", "source": {"ts_ms": 5}, "after": ROW}},
            ],
            [{"op": "d", "source": {"ts_ms": 5}, "after": None}],
        ),
    ],
)
def test_the_document_describes_the_values_that_the_format_reads(
    preset: str, given: dict[str, Any], good: list[Any], bad: list[Any]
) -> None:
    document = document_of(preset, **given)
    jsonschema.Draft7Validator(PUBLISHED).validate(document)
    payload = document["components"]["messages"]["observed"]["payload"]
    validator = jsonschema.Draft202012Validator({**payload, "components": document["components"]})
    assert [validator.is_valid(value) for value in good] == [True] * len(good)
    assert [validator.is_valid(value) for value in bad] == [False] * len(bad)


def test_a_format_of_the_users_own_is_named_with_its_pointers() -> None:
    message = document_of("json", user="$key", where=where("header:kind=user"))["components"]["messages"]["observed"]
    assert "user $key, time $timestamp, event id $offset, profile the whole object" in message["summary"]
    assert message["headers"]["properties"]["kind"] == {"type": "string", "const": "user"}
