"""The AsyncAPI 3 document of the topics, generated from the classes that read and write them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from schemas.events import (
    ASSIGNED_TYPE,
    CONTENT_TYPE,
    OBSERVED_TYPE,
    SEGMENT_ERASED_TYPE,
    USER_ERASED_TYPE,
    SegmentAssigned,
    SegmentErased,
    TombstoneHeader,
    UserErased,
    UserEvent,
)
from schemas.formats.cloudevents import CLOUDEVENTS
from schemas.formats.input_format import InputFormat
from schemas.formats.json_schema import conditions_schema, profile_schema, value_schema
from schemas.formats.mapped import Mapped
from schemas.formats.where import Where
from schemas.parsing import load_json
from schemas.rejected import RejectedHeader, RejectReason

_SCHEMAS = "#/components/schemas/{model}"


def asyncapi_document(
    profile_class: type[BaseModel],
    input_topic: str,
    output_topic: str,
    rejected_topic: str,
    version: str,
    current_topic: str | None = None,
    input_format: InputFormat = CLOUDEVENTS,
) -> dict[str, Any]:
    """The AsyncAPI 3.0 document, ready for JSON: what the worker reads and what it publishes, topic by topic."""
    mapped = input_format if isinstance(input_format, Mapped) else None
    input_class = profile_class if mapped else UserEvent[profile_class]  # type: ignore[valid-type]  # known at run time
    input_classes: list[type[BaseModel]] = [input_class] if mapped else [input_class, UserErased]
    names, definitions = models_json_schema(
        [
            *((each, "validation") for each in dict.fromkeys([*input_classes, profile_class])),
            (SegmentAssigned, "serialization"),
            (SegmentErased, "serialization"),
        ],
        by_alias=False,
        ref_template=_SCHEMAS,
    )
    schemas = definitions["$defs"]
    profile = names[(profile_class, "validation")]["$ref"].rpartition("/")[2]
    schemas[profile] = profile_schema(schemas[profile], profile_class)
    user_id = {"type": "string", "description": "The user's id."}
    result_headers = {
        "type": "object",
        "properties": {"content-type": {"type": "string", "const": CONTENT_TYPE}, **_TRACE_CONTEXT},
        "required": ["content-type"],
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Stream segmentation",
            "version": version,
            "description": "Assigns users to segments as their events arrive: for each input record exactly one result "
            "or one rejected record, visible to read_committed consumers.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            "input": _channel(
                input_topic,
                "User profiles as upstream applications observed them, and erasures.",
                *(("observed",) if mapped else ("observed", "erased")),
            ),
            "output": _channel(
                output_topic, "One assignment for each accepted event, or its erasure.", "assigned", "segmentErased"
            ),
            "rejected": _channel(
                rejected_topic, "Dead letters: invalid events, byte for byte, with the reason.", "rejected"
            ),
            **({"current": _channel(current_topic, _CURRENT, "assigned", "tombstone")} if current_topic else {}),
        },
        "operations": {
            "readEvents": _operation("receive", "input", "Read, validate and assign events."),
            "publishAssignments": _operation("send", "output", "Results, in input order within each partition."),
            "publishRejected": _operation(
                "send", "rejected", "Rejected records, in one transaction with results and offsets."
            ),
            **(
                {"publishCurrent": _operation("send", "current", "Each result once more, in the same transaction.")}
                if current_topic
                else {}
            ),
        },
        "components": {
            "messages": {
                **(
                    {"observed": _mapped(mapped, names[(input_class, "validation")])}
                    if mapped
                    else {
                        "observed": {
                            "name": OBSERVED_TYPE,
                            "title": "A user's profile was observed",
                            **_under_conditions(input_format.where, _MODES, names[(input_class, "validation")]),
                            "contentType": CONTENT_TYPE,
                            "bindings": {"kafka": {"key": user_id}},
                        },
                        "erased": {
                            "name": USER_ERASED_TYPE,
                            "title": "A user must be forgotten",
                            # It need not have data.
                            **_under_conditions(
                                input_format.where.apart_from("data"), _TOMBSTONES, names[(UserErased, "validation")]
                            ),
                            "contentType": CONTENT_TYPE,
                            "bindings": {"kafka": {"key": user_id}},
                        },
                    }
                ),
                "assigned": {
                    "name": ASSIGNED_TYPE,
                    "title": "A user was assigned to a segment",
                    "contentType": CONTENT_TYPE,
                    "headers": result_headers,
                    "payload": names[(SegmentAssigned, "serialization")],
                    "bindings": {"kafka": {"key": user_id}},
                },
                "segmentErased": {
                    "name": SEGMENT_ERASED_TYPE,
                    "title": "A user has no segment any more",
                    "contentType": CONTENT_TYPE,
                    "headers": result_headers,
                    "payload": names[(SegmentErased, "serialization")],
                    "bindings": {"kafka": {"key": user_id}},
                },
                **({"tombstone": _tombstone(user_id)} if current_topic else {}),
                "rejected": {
                    "name": "user.event.rejected",
                    "title": "An event was rejected",
                    "summary": "The original key, value and headers, trace context included, and the headers below.",
                    "contentType": "application/octet-stream",
                    "headers": _rejected_headers(),
                    "payload": {"description": "The original value, any bytes."},
                },
            },
            "schemas": schemas,
        },
    }


_MODES = "Here in structured mode; binary mode has the attributes in headers (ce_…), and the data in the value."
_TOMBSTONES = "In a compacted topic, a record with a key and without a value says the same."
_OTHERS_IGNORED = "Records that do not match are ignored."


def _under_conditions(where: Where, summary: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": f"{summary} {_OTHERS_IGNORED}" if where.headers or where.values else summary,
        "headers": _input_headers(where),
        "payload": {"allOf": [payload, conditions_schema(where.values)]} if where.values else payload,
    }


def _input_headers(where: Where) -> dict[str, Any]:
    conditions = {name: {"type": "string", "const": content.decode()} for name, content in where.headers}
    required = {"required": [*conditions]} if conditions else {}
    return {"type": "object", "properties": {**_TRACE_CONTEXT, **conditions}, **required}


def _mapped(of: Mapped, profile: dict[str, Any]) -> dict[str, Any]:
    places = ", ".join(f"{meaning} {of.names[part] or 'the whole object'}" for part, meaning in _PARTS.items())
    return {
        "name": "profile",
        "title": "A user's profile was observed",
        "summary": f"The topic's own format. The worker reads: {places}. {_OTHERS_IGNORED}"
        + ("" if of.load is load_json else " Here as the object that is decoded with the writer's schema."),
        "contentType": "application/json" if of.load is load_json else "avro/binary",
        "headers": _input_headers(of.where),
        "payload": value_schema(of, profile),
    }


_PARTS = {"subject": "user", "time": "time", "id": "event id", "data": "profile"}
_CURRENT = "The last assignment of each user, or a tombstone once the user is erased; compacted."


def _tombstone(user_id: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "tombstone",
        "title": "A user was erased",
        "headers": _tombstone_headers(),
        "payload": {"type": "null"},
        "bindings": {"kafka": {"key": user_id}},
    }


def _tombstone_headers() -> dict[str, Any]:
    meanings = {
        TombstoneHeader.TOPIC: "The topic of the erasure.",
        TombstoneHeader.PARTITION: "Its partition, a decimal number.",
        TombstoneHeader.OFFSET: "Its offset, a decimal number.",
    }
    properties = {str(header): {"type": "string", "description": text} for header, text in meanings.items()}
    return {"type": "object", "properties": properties, "required": [*properties]}


def _channel(topic: str, description: str, *messages: str) -> dict[str, Any]:
    return {
        "address": topic,
        "description": description,
        "messages": {message: {"$ref": f"#/components/messages/{message}"} for message in messages},
    }


def _operation(action: str, channel: str, summary: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}


_TRACE_CONTEXT = {
    "traceparent": {"type": "string", "description": "W3C Trace Context: the same in an event and in its result."},
    "tracestate": {"type": "string", "description": "W3C Trace Context; up to 512 bytes are carried over."},
}


def _rejected_headers() -> dict[str, Any]:
    meanings = {
        RejectedHeader.REASON: "Why it was rejected: the first reason that applies.",
        RejectedHeader.DETAIL: "Which field breaks which rule, never the value; at most 1,000 bytes.",
        RejectedHeader.TOPIC: "The topic the event was read from.",
        RejectedHeader.PARTITION: "The partition it was read from, a decimal number.",
        RejectedHeader.OFFSET: "The offset it was read at, a decimal number.",
        RejectedHeader.TIMESTAMP: "The original record's timestamp, milliseconds since 1970.",
        RejectedHeader.AT: "When it was rejected, RFC 3339.",
        RejectedHeader.BY: "Which worker rejected it.",
        RejectedHeader.NULLS: "What was null and is now empty: key, value, header:INDEX (from 0); comma-separated.",
        RejectedHeader.TRUNCATED: "1 when parts were left out because the record was too large for the topic.",
        RejectedHeader.LEFT_OUT: "Which parts: value, headers, key; comma-separated.",
        RejectedHeader.SHA256: "SHA-256 of the original value, when it was left out.",
    }
    always = [header for header in meanings if header not in _ONLY_SOMETIMES]
    properties: dict[str, Any] = {
        str(header): {"type": "string", "description": text} for header, text in meanings.items()
    }
    properties[RejectedHeader.REASON]["enum"] = [str(reason) for reason in RejectReason]
    return {"type": "object", "properties": properties, "required": [str(header) for header in always]}


_ONLY_SOMETIMES = (
    RejectedHeader.NULLS,
    RejectedHeader.TRUNCATED,
    RejectedHeader.LEFT_OUT,
    RejectedHeader.SHA256,
)
