"""Events read in columns are those that are accepted one by one, for every class that is read in columns at all."""

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

import orjson
import pytest
from jsonschema import Draft202012Validator
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, StringConstraints, field_validator

import schemas.event_columns
from schemas import UserProfile
from schemas.event_columns import EventReader
from schemas.formats.input_format import parse_record
from schemas.rejected import Rejection, RejectReason
from schemas.roles import boolean, category, days_since, number, ordered, several_of
from tests.support.events import ENVELOPE, PROFILE, event_bytes
from tests.support.mutants import own_class_mutant
from tests.support.reading import parse_event, read_events
from worker.stream.records import Records

MAX_BYTES = 900_000
GOOD = {"x": 1.5, "label": "a", "tags": ["a", "b"]}


class Own(BaseModel):
    history_id_column: ClassVar[str] = "id"


class Plain(Own):
    x: Annotated[float, number("a"), Field(allow_inf_nan=False)]
    label: Annotated[str, category("a")]
    tags: Annotated[list[str], several_of("a")]


class Bounded(Own):
    model_config = ConfigDict(frozen=True, strict=True)
    x: Annotated[float, number("a"), Field(gt=-5, lt=1e300, multiple_of=0.5)]
    label: Annotated[str, category("a"), Field(min_length=1, max_length=3)]
    tags: Annotated[list[Annotated[str, Field(max_length=3)]], several_of("a"), Field(min_length=1, max_length=2)]


class Whole(Own):
    x: Annotated[int, number("a"), Field(ge=0, le=2**60)] = 3
    label: Annotated[Literal["a", "b"], ordered("a", "a", "b")] = "b"
    tags: Annotated[frozenset[Literal["a", "b"]], several_of("a"), Field(max_length=1)] = frozenset()


class InTuples(Own):
    x: Annotated[float, number("a"), Field(ge=0, multiple_of=3)]
    label: Annotated[str, category("a")]
    tags: Annotated[tuple[str, ...], several_of("a")]


class Folded(Own):
    label: Annotated[
        str, category("a"), StringConstraints(strict=True, strip_whitespace=True, to_lower=True, min_length=1)
    ]


class Switch(Own):
    x: Annotated[bool, boolean("a")]


class Shouted(Own):
    label: Annotated[str, category("a"), StringConstraints(to_upper=True)]


class OneField(Own):
    label: Annotated[str, category("a")]


class WithHoles(Own):
    """One may be absent, one may be null only, and the third has a default of its own."""

    x: Annotated[float | None, number("a"), Field(ge=-5, allow_inf_nan=False)] = None
    label: Annotated[str | None, category("a")]
    tags: Annotated[list[str], several_of("a")] = []


class NothingNeeded(Own):
    x: Annotated[Annotated[int, Field(ge=0)] | None, number("a")] = None
    label: Annotated[Literal["a", "b", ""] | None, ordered("a", "a", "b")] = None
    third: Annotated[float | None, number("a")] = None


class OtherHoles(Own):
    x: Annotated[bool | None, boolean("a")] = None
    label: Annotated[date | None, days_since("a")] = None
    tags: Annotated[list[str], several_of("a")] = []


LABELS: tuple[Any, ...] = ("a", "b", "", " ", None, "gone", 3, "2026-01-31", "2027-01-31")
HOLES = [
    event_bytes(data={key: value for key, value in {"x": x, "label": label, "tags": []}.items() if value != "gone"})
    for x in (1, 2.5, None, "gone", "", "1", True, -7, 1e400)
    for label in LABELS
]


@pytest.mark.parametrize(
    "of", [Plain, Bounded, Whole, InTuples, Folded, Switch, OneField, UserProfile, WithHoles, NothingNeeded, OtherHoles]
)
def test_columns_hold_what_is_accepted_one_by_one_and_the_rest_is_rejected_for_the_same_reason(
    of: type[BaseModel],
) -> None:
    values = [own_class_mutant(3, seed).value for seed in range(3_000)]
    values += [
        *HOLES,
        event_bytes(),
        event_bytes(data=GOOD),
        event_bytes(data={**GOOD, "x": 3}),
        event_bytes(data={"x": True}),
        None,
        b"",
        b"[]",
        b'"data"',
    ]
    reader = EventReader(of, MAX_BYTES)
    assert reader.one_by_one_because is None
    exact = EventReader(of, MAX_BYTES)
    exact._decoders = ()
    for start in range(0, len(values), 40):
        batch = values[start : start + 40]
        events, rejections = read_events(reader, batch)
        expected, expected_rejections = read_events(exact, batch)
        assert rejections == expected_rejections
        assert [*events.rows] == [*expected.rows]
        assert ([*events.ids], [*events.subjects]) == ([*expected.ids], [*expected.subjects])
        assert orjson.dumps(events.times, option=orjson.OPT_UTC_Z) == orjson.dumps(
            expected.times, option=orjson.OPT_UTC_Z
        )
        assert comparable(events.profile) == comparable(expected.profile)


def comparable(profile: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
    """A list, tuple or set of labels counts the same: as the set of its items."""
    return {
        name: [value if isinstance(value, str | float | int | None) else frozenset(value) for value in column]
        for name, column in profile.items()
    }


def test_an_event_that_passes_is_not_parsed_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []

    def noted(of: Any, event_class: Any, records: Records, row: int, max_bytes: int) -> Any:
        parsed.append(records.values[row])
        return parse_record(of, event_class, records, row, max_bytes)

    monkeypatch.setattr(schemas.event_columns, "parse_record", noted)
    bad = event_bytes({"age": None})
    events, rejections = read_events(EventReader(UserProfile, MAX_BYTES), [event_bytes(), bad, event_bytes(id="b")])
    assert (parsed, [*events.rows], [*rejections]) == ([bad], [0, 2], [1])


def test_an_event_without_an_optional_value_is_not_parsed_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas.event_columns, "parse_record", None)
    events = [event_bytes(data={"label": "b", "tags": []}), event_bytes(data={"x": None, "label": "a", "tags": ["a"]})]
    found, _ = read_events(EventReader(WithHoles, MAX_BYTES), events)
    assert found.profile == {"x": (None, None), "label": ("b", "a"), "tags": ([], ["a"])}


def test_empty_text_is_missing_and_no_label() -> None:
    found, rejections = read_events(EventReader(WithHoles, MAX_BYTES), [event_bytes(data={"x": 1.5, "label": ""})])
    assert ([*found.profile["label"]], rejections) == ([None], {})
    _, rejections = read_events(EventReader(Plain, MAX_BYTES), [event_bytes(data={**GOOD, "label": ""})])
    assert rejections[0].reason is RejectReason.INVALID_PROFILE
    assert "data.label" in rejections[0].detail


class Strict(Own):
    x: Annotated[Annotated[str, Field(strict=True, min_length=1)] | None, category("a")] = None
    label: Annotated[Literal["a", "b"] | None, ordered("a", "a", "b")] = None
    day: Annotated[date | None, days_since("a")] = None
    needed: Annotated[Annotated[str, Field(min_length=1)], category("a")]
    needed_day: Annotated[date, days_since("a")]


def test_empty_text_is_missing_however_strict_the_type_of_an_optional_field_is() -> None:
    good = {"x": "a", "label": "a", "day": "2026-01-31", "needed": "a", "needed_day": "2026-01-31"}
    events = [
        event_bytes(data={**good, **dict.fromkeys(empty, "")}) for empty in (["x"], ["label"], ["day"], [*good][:3])
    ]
    reader = EventReader(Strict, MAX_BYTES)
    assert reader.one_by_one_because is None
    found, rejections = read_events(reader, [*events, event_bytes(data=good)])
    assert not rejections
    missing = {name: [value is None for value in column] for name, column in found.profile.items()}
    assert [missing[name] for name in ("x", "label", "day")] == [
        [True, False, False, True, False],
        [False, True, False, True, False],
        [False, False, True, True, False],
    ]
    _, rejections = read_events(reader, [event_bytes(data={**good, name: ""}) for name in ("needed", "needed_day")])
    assert [each.reason for each in rejections.values()] == [RejectReason.INVALID_PROFILE] * 2
    properties = Strict.model_json_schema()["properties"]
    for name, may_be_empty in (("x", True), ("label", True), ("day", True), ("needed", False), ("needed_day", False)):
        accepts_empty = [
            each.get("const") == ""
            or "" in each.get("enum", ())
            or (each["type"] == "string" and not {"minLength", "pattern", "enum", "const"} & each.keys())
            for each in properties[name].get("anyOf", [properties[name]])
        ]
        assert any(accepts_empty) == may_be_empty, name


@pytest.mark.parametrize(
    ("of", "columnar"),
    [
        (Annotated[str, Field(min_length=2, max_length=2)], True),
        (Annotated[str, Field(strict=True, min_length=1, max_length=200)], True),
        (Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True, min_length=2)], True),
        (Annotated[str, Field(min_length=1, pattern="^[A-Z]{2}$")], False),
        (Annotated[str, AfterValidator(lambda label: {"DE": "DE"}[label])], False),
    ],
    ids=["two letters", "as init writes it", "folded", "pattern", "own code"],
)
def test_empty_text_is_a_missing_label_whatever_else_a_label_must_be(of: Any, columnar: bool) -> None:
    class Country(BaseModel):
        history_id_column: ClassVar[None] = None
        code: Annotated[of | None, category("a")]
        x: Annotated[float, number("a")]

    reader = EventReader(Country, MAX_BYTES)
    assert (reader.one_by_one_because is None) == columnar
    found, rejections = read_events(reader, [event_bytes(data={"code": code, "x": 1}) for code in ("DE", "", None)])
    assert not rejections
    assert [*found.profile["code"]] == ["DE", None, None]
    Draft202012Validator(Country.model_json_schema()).validate({"code": "", "x": 1})


def test_an_event_of_which_more_than_half_is_missing_is_rejected_and_its_neighbours_are_not() -> None:
    events = [
        event_bytes(data={"x": 1, "label": "a"}, id="one"),
        event_bytes(data={"x": 1}, id="two"),
        event_bytes(data={"third": 2.0, "label": "b"}, id="three"),
        event_bytes(data={}, id="four"),
        event_bytes(data={"x": 1, "label": ""}, id="five"),
    ]
    found, rejections = read_events(EventReader(NothingNeeded, MAX_BYTES, used=("x", "label", "third")), events)
    assert ([*found.ids], [*found.rows]) == (["one", "three"], [0, 2])
    assert {row: each.reason for row, each in rejections.items()} == dict.fromkeys(
        (1, 3, 4), RejectReason.TOO_LITTLE_KNOWN
    )


@pytest.mark.parametrize(
    "value",
    [
        event_bytes(time="2026-11-22T12:00:00Z\n2026-11-22T12:00:00Z"),
        event_bytes(subject=["user"]),
        event_bytes(specversion=1.0),
        event_bytes(specversion=["1.0"]),
        event_bytes({"likes_and_reactions": True}),
        event_bytes({"likes_and_reactions": 2**53 + 1}),
        event_bytes({"top_interests": "DIY"}),
        event_bytes({"top_interests": {"DIY": 1}}),
        event_bytes({"top_interests": [["DIY"]]}),
        event_bytes(data=list(PROFILE)),
        b'{"a":"',
        b'"}',
        b"[" + event_bytes() + b"]",
        event_bytes() + event_bytes(),
        event_bytes().replace(b'"id"', b'"id":1,"id"'),
        event_bytes().replace(b'{"specversion"', b'{"data":{},"specversion"'),
        event_bytes(id="x" * 10_001),
        event_bytes(comment="x" * 10_001),
        *(
            event_bytes().replace(before, before + extra + b",", 1)
            for before in (b"{", b'"data":{')
            for extra in (
                b'"comment":"\xff"',
                b'"\xed\xa0\x80":1',
                b'"comment":1e400',
                b'"comment":[{"a":[' + b"1" * 400 + b"]}]",
                b'"comment":"\\ud800"',
                b'"datacontenttype":"\xff"',
                b'"datacontenttype":1e400',
                b'"comment":01',
                b'"comment":' + b"[" * 1_100 + b"]" * 1_100,
                b'"comment":"\\u0061\xc3\xa9"',
                b'"comment":null,"comment":{}',
                b'"traceparent":' + b"1" * 400,
                b'"tracestate":' + b"[" * 1_500 + b"]" * 1_500,
            )
        ),
    ],
)
def test_what_hides_among_good_events_has_the_outcome_that_it_has_alone(value: bytes) -> None:
    reader = EventReader(UserProfile, MAX_BYTES)
    others = [event_bytes(id=str(number)) for number in range(5)]
    alone = parse_event(value, UserProfile, MAX_BYTES)
    events, rejections = read_events(reader, [*others[:3], value, *others[3:]])
    if isinstance(alone, Rejection):
        assert rejections == {3: alone}
        assert [*events.ids] == ["0", "1", "2", "3", "4"]
    else:
        assert not rejections
        assert (events.ids[3], events.subjects[3]) == (alone.id, alone.subject)


def test_times_that_columns_read_are_the_same_moments() -> None:
    times = ["2026-11-22T12:00:00.1Z", "2026-11-22T12:00:00+05:30", "0001-01-01T00:00:00-23:59", "2024-02-29T23:59:59Z"]
    bad = [
        "2026-11-22T24:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-11-22T12:00:60Z",
        "2026-11-22",
        "",
        "٢026-11-22T12:00:00Z",
    ]
    given = [*times, *bad, ENVELOPE["time"]]
    events, rejections = read_events(EventReader(UserProfile, MAX_BYTES), [event_bytes(time=time) for time in given])
    assert [*rejections] == [*range(len(times), len(times) + len(bad))]
    assert [each.isoformat() for each in events.times] == [
        "2026-11-22T12:00:00.100000+00:00",
        "2026-11-22T12:00:00+05:30",
        "0001-01-01T00:00:00-23:59",
        "2024-02-29T23:59:59+00:00",
        "2026-11-22T12:00:00.123000+00:00",
    ]


def test_labels_that_a_class_folds_are_one_label_however_they_are_written() -> None:
    spellings = ["de", "DE", " de ", "De\u2003", "STRASSE", "stra\u00dfe", "\u0130x"]
    values = [event_bytes(data={"label": each}) for each in spellings]
    events, rejections = read_events(EventReader(Folded, MAX_BYTES), values)
    assert not rejections
    assert [*events.profile["label"]] == [each.strip().lower() for each in spellings]


def test_capitals_that_this_version_of_python_does_not_know_are_left_to_the_class() -> None:
    labels = ["A", "\u019b", "\u0264"]
    events, _ = read_events(EventReader(Shouted, MAX_BYTES), [event_bytes(data={"label": label}) for label in labels])
    assert [*events.profile["label"]] == [Shouted(label=label).label for label in labels]


class Colour(StrEnum):
    RED = "red"


class OfAnEnum(Own):
    label: Annotated[Literal[Colour.RED], category("a")]


class Huge(Own):
    x: Annotated[int, number("a"), Field(ge=2**70)]


@pytest.mark.parametrize(("of", "data"), [(OfAnEnum, {"label": "red"}), (Huge, {"x": 5})])
def test_a_class_that_msgspec_cannot_express_is_asked_about_each_event(
    of: type[BaseModel], data: Mapping[str, Any]
) -> None:
    reader = EventReader(of, MAX_BYTES)
    assert reader.one_by_one_because
    events, _ = read_events(reader, [event_bytes(data=data)])
    assert len(events.rows) == (of is OfAnEnum)


class WithValidator(Plain):
    @field_validator("x")
    @classmethod
    def _halved(cls, value: float) -> float:
        return value / 2


class WithAfter(Plain):
    x: Annotated[float, number("a"), AfterValidator(abs)]


class Stripped(Plain):
    model_config = ConfigDict(str_strip_whitespace=True)


class Patterned(Plain):
    label: Annotated[str, category("a"), StringConstraints(pattern="^a")]


class Closed(Plain):
    model_config = ConfigDict(extra="forbid")


class Aliased(Plain):
    x: Annotated[float, number("a")] = Field(validation_alias=AliasChoices("y", "x"))


class Initialised(Plain):
    def __init__(self, **data: Any) -> None:
        super().__init__(**{**data, "x": 1})


class Changing(Plain):
    def __getattribute__(self, name: str) -> Any:
        return 2.0 if name == "x" else super().__getattribute__(name)


class After(Plain):
    def model_post_init(self, _: Any, /) -> None:
        object.__setattr__(self, "x", 3.0)


@pytest.mark.parametrize(
    "of", [WithValidator, WithAfter, Stripped, Patterned, Closed, Aliased, Initialised, Changing, After]
)
def test_a_class_that_does_more_than_bounds_is_asked_about_each_event(of: type[BaseModel]) -> None:
    reader = EventReader(of, MAX_BYTES)
    assert reader.one_by_one_because
    events, rejections = read_events(reader, [event_bytes(data={**GOOD, "x": -1.5, "y": -1.5}), event_bytes(data={})])
    one = of.model_validate({**GOOD, "x": -1.5, "y": -1.5}) if of is not Closed else None
    assert [*rejections] == ([1] if one else [0, 1])
    assert [*events.profile["x"]] == ([vars(one).get("x") if of is not Changing else 2.0] if one else [])
