"""Events in any JSON object: pointers, or parts of the record, say where user, time, id and profile are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, create_model

from schemas.formats.input_format import IGNORED, NO_ATTRIBUTES, Attributes, Ignored, Layout, Load, Tombstones
from schemas.formats.leaves import Expected, Leaf
from schemas.formats.parts import IDENTIFIER, IDENTIFIER_OR_INTEGER, OF_RECORD, TIME_TYPES, Part, or_moments
from schemas.formats.pointers import ABSENT, Pointer, as_text, find_first, nearest, pointer
from schemas.formats.records import Headers, InputRecords
from schemas.formats.times import TimeFormat
from schemas.formats.where import Condition, Where
from schemas.parsing import Located, load_json
from schemas.rejected import Rejection

_DATA: Final = "data"


@dataclass(frozen=True, slots=True)
class Mapped:
    """Where a JSON object has the parts of an event."""

    parts: Mapping[str, Part]
    """`subject`, `time` and `id`."""
    data: tuple[Pointer, ...]
    """The profile is in the first of these places where anything is that is not null."""
    where: Where
    names: Mapping[str, str]
    """How a detail names each part and the profile."""
    start: tuple[Pointer, ...] = ((),)
    """Where the pointers that a user gives begin: in the first of these places that a record has."""
    needed: frozenset[str] = frozenset()
    """Parts without which a record is ignored."""
    tombstones: Tombstones = Tombstones.REJECTED
    load: Load = load_json
    """Reads the object."""

    def of_compacted_topic(self) -> Mapped:
        """The same where tombstones erase, if keys are users; otherwise nothing says whom they erase."""
        erases = self.tombstones is Tombstones.REJECTED and self.parts["subject"] is OF_RECORD["$key"]
        return replace(self, tombstones=Tombstones.ERASURES) if erases else self

    @property
    def layouts(self) -> Sequence[Layout]:
        """One for each place where the parts may be."""
        return [self._layout(number) for number in range(max(map(len, self._places())))]

    def event_class(self, profile_class: type[BaseModel]) -> type[BaseModel]:
        """The class of events."""
        fields: dict[str, Any] = {name: (part.type.exact, ...) for name, part in self.parts.items()}
        return create_model("Event", __config__=ConfigDict(frozen=True), **fields, data=(profile_class, ...))

    def rows(self, _records: InputRecords, rows: Sequence[int]) -> Sequence[Mapping[int, Attributes]]:
        """All of them: a value says in which layout it is."""
        return [dict.fromkeys(rows, NO_ATTRIBUTES)] * len(self.layouts)

    def ignores_by_headers(self, headers: Headers) -> bool:
        """Where a condition on headers does not hold."""
        return not self.where.headers_match(headers)

    def _ignores(self, document: Any) -> bool:
        """Whether a condition does not hold, or a part is not there without which it is not an event."""
        if self.where.values and not self.where.matches(document):
            return True
        return bool(self.needed) and any(
            places and find_first(document, places) is ABSENT
            for places in (self.data if name == _DATA else self.parts[name].places for name in self.needed)
        )

    def attributes(self, document: Any, records: InputRecords, row: int) -> Any | Rejection | Ignored:
        """The parts and the profile, as far as they are there."""
        if self._ignores(document):
            return IGNORED
        found = {
            name: find_first(document, part.places) if part.of_record is None else part.of_record(records, row)
            for name, part in self.parts.items()
        }
        found[_DATA] = find_first(document, self.data)
        return Located(
            {name: value for name, value in found.items() if value is not ABSENT},
            lambda location: _named(self._names_in(document), location),
        )

    def is_erasure(self, _attributes: Any) -> bool:
        """Never: only a tombstone can be."""
        return False

    def place(self, location: Sequence[str | int]) -> str:
        """The pointer, in the first place where it may be, or the part of the record."""
        return _named(self.names, location)

    def _names_in(self, document: Any) -> Mapping[str, str]:
        """The names of the places that apply to this document."""
        places = {_DATA: self.data, **{name: part.places for name, part in self.parts.items() if part.places}}
        return {**self.names, **{name: as_text(nearest(document, at)) for name, at in places.items()}}

    def _places(self) -> Iterable[tuple[Pointer, ...]]:
        return (self.data, *(part.places for part in self.parts.values()), *(each.places for each in self.where.values))

    def _layout(self, number: int) -> Layout:
        def one_of(places: tuple[Pointer, ...]) -> Pointer:
            return places[min(number, len(places) - 1)]

        # The first place counts, so in all before it nothing may be.
        before = {at[0] for places in self._places() for at in places[:-1][:number]}
        return Layout(
            parts={
                name: Part(part.type, (one_of(part.places),) if part.places else (), part.of_record)
                for name, part in self.parts.items()
            },
            data=one_of(self.data),
            required=tuple(Leaf((name,), None, None) for name in sorted(before)),
            expected=tuple(Expected(one_of(each.places), each.expected, each.accepts) for each in self.where.values),
            ignores=self._ignores,
        )


def _named(names: Mapping[str, str], location: Sequence[str | int]) -> str:
    name, *within = location
    return (names[str(name)] + as_text(tuple(map(str, within)))) or "the object"


@dataclass(frozen=True, slots=True)
class Preset:
    """A mapping that is known: of it, a user gives only what differs."""

    user: tuple[str, ...] = ()
    """Pointers, or a part of the record; the first with a value counts. None: it has to be given."""
    time: tuple[str, ...] = ("$timestamp",)
    time_format: TimeFormat = TimeFormat.RFC3339
    id: tuple[str, ...] = ("$offset",)
    data: tuple[str, ...] = ("",)
    start: tuple[str, ...] = ("",)
    """Where the pointers that a user gives begin."""
    conditions: tuple[Condition, ...] = ()
    needed: frozenset[str] = frozenset()
    tombstones: Tombstones = Tombstones.REJECTED


PRESETS: Final = {
    "json": Preset(),
    # The events of Segment's spec, which RudderStack has too: other calls, and those of visitors without a user id or
    # without traits, say nothing about a user.
    "segment": Preset(
        user=("/userId",),
        time=("/timestamp",),
        id=("/messageId",),
        data=("/traits", "/context/traits"),
        conditions=(Condition((("type",),), ("identify", "track")),),
        needed=frozenset({"subject", "data"}),
    ),
    # Change events with their schema, or without: the row after the change is the profile. A deleted row has none.
    "debezium": Preset(
        time=("/payload/source/ts_ms", "/source/ts_ms"),
        time_format=TimeFormat.MILLISECONDS,
        data=("/payload/after", "/after"),
        start=("/payload/after", "/after"),
        conditions=(Condition((("payload", "op"), ("op",)), ("c", "u", "r")),),
        tombstones=Tombstones.IGNORED,
    ),
}
# In Avro, as `load` reads it: a change event has its schema in the registry.
PRESETS_IN_AVRO: Final = {
    "avro": PRESETS["json"],
    "debezium-avro": replace(
        PRESETS["debezium"],
        time=("/source/ts_ms",),
        data=("/after",),
        start=("/after",),
        conditions=(Condition((("op",),), ("c", "u", "r")),),
    ),
}


@dataclass(frozen=True, slots=True)
class Given:
    """What a user gives in place of what a preset has; pointers and conditions begin where the preset's start is."""

    user: str | None = None
    time: str | None = None
    id: str | None = None
    data: str | None = None
    time_format: TimeFormat | None = None
    where: Where = field(default_factory=Where)


def mapped(preset: Preset, given: Given, *, numeric_ids: bool, load: Load = load_json) -> Mapped:
    """The mapping of a preset with what is given in place of it; `numeric_ids`: integers may be user and event ids."""
    identifier = IDENTIFIER_OR_INTEGER if numeric_ids else IDENTIFIER
    time = TIME_TYPES[given.time_format or preset.time_format]
    if load is not load_json:
        time = or_moments(time)
    user, time_at, id_at, data = (
        _places(preset, own, text)
        for own, text in (
            (preset.user, given.user),
            (preset.time, given.time),
            (preset.id, given.id),
            (preset.data, given.data),
        )
    )
    starts = tuple(map(pointer, preset.start))
    own = (
        Condition(tuple((*start, *at) for start in starts for at in each.places), each.expected)
        for each in given.where.values
    )
    return Mapped(
        parts={"subject": _part(user, identifier), "time": _part(time_at, time), "id": _part(id_at, identifier)},
        data=tuple(map(pointer, data)),
        where=Where(given.where.headers, (*preset.conditions, *own)),
        names={"subject": user[0], "time": time_at[0], "id": id_at[0], _DATA: data[0]},
        start=starts,
        needed=preset.needed,
        tombstones=preset.tombstones,
        load=load,
    )


def _places(preset: Preset, own: tuple[str, ...], given: str | None) -> tuple[str, ...]:
    if given is None:
        return own
    return (given,) if given in OF_RECORD else tuple(start + given for start in preset.start)


def _part(places: tuple[str, ...], type_: Any) -> Part:
    return OF_RECORD[places[0]] if places[0] in OF_RECORD else Part(type_, tuple(map(pointer, places)))
