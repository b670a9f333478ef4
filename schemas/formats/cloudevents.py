"""CloudEvents 1.0 as its Kafka protocol binding says: structured mode in JSON, and binary mode with JSON data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from pydantic import BaseModel

from schemas.events import IDENTIFIER_MAX, OBSERVED_TYPE, USER_ERASED_TYPE, UserEvent
from schemas.formats.input_format import IGNORED, NO_ATTRIBUTES, Attributes, Ignored, Layout, Load, Tombstones
from schemas.formats.leaves import Expected, Leaf
from schemas.formats.parts import ATTRIBUTE, ATTRIBUTE_TIME, IDENTIFIER, RFC_3339, Part, text_or_bytes
from schemas.formats.pointers import find
from schemas.formats.records import HEADERS_MOST, Headers, InputRecords
from schemas.formats.where import Condition, Scalar, Where
from schemas.parsing import load_json
from schemas.rejected import Rejection, RejectReason

_DATA: Final = "data"
_SPEC_VERSION: Final = "1.0"
_CONTENT_TYPE: Final = "content-type"
# The attribute that this header has in binary mode.
_DATA_CONTENT_TYPE: Final = "datacontenttype"
# Header names of attributes in binary mode.
_PREFIX: Final = "ce_"
# What a content type of structured mode begins with, and of the mode with several events in a record.
_STRUCTURED: Final = b"application/cloudevents"
_BATCHED: Final = b"application/cloudevents-batch"
_JSON: Final = b"application/cloudevents+json"
# The attributes of the specification: all of them are texts. Those of extensions may be integers or booleans.
_TEXTS: Final = frozenset({"specversion", "type", "source", "subject", "id", "time", _DATA_CONTENT_TYPE, "dataschema"})
# Other attributes that many events have.
_KNOWN: Final = (_DATA_CONTENT_TYPE, "dataschema", "traceparent", "tracestate")


def _attributes(headers: Headers) -> Attributes | Rejection | None:
    """The attributes of binary mode; why another mode is rejected; None in structured mode."""
    found = dict(headers[:HEADERS_MOST])
    content_type = found.get(_CONTENT_TYPE)
    mode = (content_type or b"").lower()
    if mode.startswith(_STRUCTURED):
        return None if mode.partition(b";")[0].rstrip() == _JSON else _wrong_mode(mode)
    attributes = {
        name.removeprefix(_PREFIX): text_or_bytes(content)
        for name, content in found.items()
        if name.startswith(_PREFIX) and content is not None
    }
    if not attributes:
        # A producer that sets no content type sends events in structured mode.
        return None
    if content_type is not None:
        attributes[_DATA_CONTENT_TYPE] = text_or_bytes(content_type)
    return attributes


def _wrong_mode(content_type: bytes) -> Rejection:
    rule = (
        "batched mode is not supported; send one event per record"
        if content_type.startswith(_BATCHED)
        else f"in structured mode only {_JSON.decode()} is supported"
    )
    return Rejection(RejectReason.INVALID_ENVELOPE, f"{_CONTENT_TYPE}: {rule}")


def _in_header(name: str, value: Scalar) -> str | None:
    """The value of an attribute as CloudEvents writes it into a header; None for one that it cannot have there."""
    if isinstance(value, str):
        return value
    if value is None or name in _TEXTS:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if value == value // 1 else str(value)


@dataclass(frozen=True, slots=True)
class CloudEvents:
    """Profiles as `user.profile.observed.v1` events."""

    where: Where = field(default_factory=Where)
    tombstones: Tombstones = Tombstones.REJECTED

    def of_compacted_topic(self) -> CloudEvents:
        """The same where tombstones erase: the key of an event is its user."""
        return replace(self, tombstones=Tombstones.ERASURES)

    @property
    def load(self) -> Load:
        """They are JSON."""
        return load_json

    @property
    def layouts(self) -> Sequence[Layout]:
        """Structured mode and binary mode."""
        structured = Layout(
            parts={
                "subject": Part(IDENTIFIER, (("subject",),)),
                "time": Part(RFC_3339, (("time",),)),
                "id": Part(IDENTIFIER, (("id",),)),
            },
            data=(_DATA,),
            required=(
                Leaf(("specversion",), Literal[_SPEC_VERSION]),
                Leaf(("type",), Literal[OBSERVED_TYPE]),
                Leaf(("source",), IDENTIFIER.msgspec),
            ),
            known=tuple(Leaf((name,), str | None, None) for name in _KNOWN),
            expected=tuple(Expected(each.places[0], each.expected, each.accepts) for each in self.where.values),
            ignores=lambda document: not self._matches(document),
        )
        binary = Layout(
            parts={
                "subject": Part(ATTRIBUTE),
                "time": Part(ATTRIBUTE_TIME),
                "id": Part(ATTRIBUTE),
            },
            data=(),
            expected=tuple(Expected(each.places[0][1:], each.expected, each.accepts) for each in self._on_data),
            ignores=lambda document: not _all_hold(self._on_data, {_DATA: document}),
        )
        return structured, binary

    def rows(self, records: InputRecords, rows: Sequence[int]) -> Sequence[Mapping[int, Attributes]]:
        """Those in structured mode, and those in binary mode with the attributes of an event."""
        if not any(records.headers):
            return dict.fromkeys(rows, NO_ATTRIBUTES), {}
        structured: dict[int, Attributes] = {}
        binary: dict[int, Attributes] = {}
        before: Headers | None = None
        attributes: Attributes | Rejection | None = None
        for row in rows:
            headers = records.headers[row]
            # Neighbours often have the same.
            if headers != before:
                before, attributes = headers, _attributes(headers)
            if attributes is None:
                structured[row] = NO_ATTRIBUTES
            elif not isinstance(attributes, Rejection) and self._may_be_event(attributes):
                binary[row] = attributes
        return structured, binary

    def event_class(self, profile_class: type[BaseModel]) -> type[BaseModel]:
        """The class of events."""
        return UserEvent[profile_class]  # type: ignore[valid-type]  # known at run time only

    def ignores_by_headers(self, headers: Headers) -> bool:
        """Where a condition on headers does not hold, or in binary mode one on an attribute."""
        if not self.where.headers_match(headers):
            return True
        attributes = _attributes(headers) if headers and self._on_attributes else None
        return isinstance(attributes, Mapping) and not self._headers_match(attributes)

    def attributes(self, document: Any, records: InputRecords, row: int) -> Any | Rejection | Ignored:
        """The event itself, in binary mode made of the headers and the value."""
        if headers := records.headers[row]:
            attributes = _attributes(headers)
            if isinstance(attributes, Rejection):
                return attributes
            if attributes is not None:
                event = {**attributes, _DATA: document}
                return event if self._data_match(event) else IGNORED
        return document if self._matches(document) else IGNORED

    def is_erasure(self, attributes: Any) -> bool:
        """Whether its type says so."""
        return isinstance(attributes, dict) and attributes.get("type") == USER_ERASED_TYPE

    def place(self, location: Sequence[str | int]) -> str:
        """The names, with dots between them."""
        return ".".join(map(str, location)) or "the event"

    def _matches(self, event: Any) -> bool:
        return _all_hold(self._on_attributes, event) and self._data_match(event)

    def _data_match(self, event: Any) -> bool:
        """Whether the conditions on data hold; an erasure has none."""
        return self.is_erasure(event) or _all_hold(self._on_data, event)

    def _headers_match(self, attributes: Attributes) -> bool:
        """Whether the conditions on attributes hold for these of binary mode, which are texts there."""
        return all(
            any(find(attributes, each.places[0]) == _in_header(each.places[0][0], one) for one in each.expected)
            for each in self._on_attributes
        )

    @property
    def _on_attributes(self) -> Sequence[Condition]:
        return [each for each in self.where.values if each.places[0][0] != _DATA]

    @property
    def _on_data(self) -> Sequence[Condition]:
        return [each for each in self.where.values if each.places[0][0] == _DATA]

    def _may_be_event(self, attributes: Attributes) -> bool:
        source = attributes.get("source")
        return (
            attributes.get("specversion") == _SPEC_VERSION
            and attributes.get("type") == OBSERVED_TYPE
            and isinstance(source, str)
            and 0 < len(source) <= IDENTIFIER_MAX
            and self._headers_match(attributes)
        )


def _all_hold(conditions: Iterable[Condition], document: Any) -> bool:
    return all(condition.holds(document) for condition in conditions)


CLOUDEVENTS: Final = CloudEvents()
