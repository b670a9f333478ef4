"""Profile classes as users write them, with values and validators that their authors did not think of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    model_validator,
)

from models.encoding import CategoryColumn, Encoder, NumberColumn, SeveralOfColumn
from models.manifest import Manifest
from models.segmentation import Segment, Segmentation
from models.store import StoredModel
from schemas.roles import category, number, several_of
from tests.support.fitted import fit
from worker.stream.processor import Scoring

GOOD: Mapping[str, Any] = {"x": 1.5, "label": "a", "tags": ["a", "b"]}
CANARY = "c4n4ry"


class Base(BaseModel):
    history_id_column: ClassVar[str] = "id"


def profile_class(
    x: object = float, label: object = str, tags: object = tuple[str, ...], base: type[BaseModel] = Base
) -> type[BaseModel]:
    """A class of three fields of these types, nothing of it strict or bounded."""
    fields = {
        "x": Annotated[x, number("g")],
        "label": Annotated[label, category("g")],
        "tags": Annotated[tags, several_of("g")],
    }
    return type("Nasty", (base,), {"__module__": __name__, "__annotations__": fields})


def scoring(of: type[BaseModel], weight: float = 1.0) -> Scoring:
    """A worker's, with a model of two segments for these three fields; a number of weight 0 does not count."""
    encoder = Encoder(
        (
            NumberColumn("x", None, 0.0, 10.0, 5.0, 2.0, weight),
            CategoryColumn("label", ("a", "b"), (0.5, 0.5), 0.5),
            SeveralOfColumn("tags", ("a", "b"), (0.5, 0.5), 0.5),
        )
    )
    width = encoder.width
    segments = (Segment(0, "Zero", (0.0,) * width, 1.0, 2.0), Segment(1, "One", (1.0,) * width, 1.0, 2.0))
    manifest = Manifest(**dict(fit()), format=1, id="20261124T120000Z-00000000", next_number=2, files={})
    return Scoring(StoredModel(manifest, Segmentation(encoder, segments)), of, "cluster-1", "/w", 900_000, 965_536)


NOW = datetime(2026, 11, 24, 15, 30, tzinfo=UTC)


class UnreadableError(ValueError):
    def __str__(self) -> str:
        raise RuntimeError(CANARY)


class Unhashable(str):
    __slots__ = ()

    def __hash__(self) -> int:
        raise RuntimeError(CANARY)


class Unfloatable(float):
    def __float__(self) -> float:
        raise RuntimeError(CANARY)


class Lying(list[str]):
    def __len__(self) -> int:
        return 7


def raising(error: BaseException) -> Callable[[Any], Any]:
    def validate(value: Any) -> Any:
        raise error

    return validate


def giving(value: Any) -> AfterValidator:
    return AfterValidator(lambda _: value)


def endless(_: Any) -> Any:
    return endless(_)


class GivesNone(Base):
    @model_validator(mode="wrap")
    @classmethod
    def _none(cls, value: Any, handler: Any) -> Any:
        handler(value)


class GivesDict(Base):
    @model_validator(mode="wrap")
    @classmethod
    def _dict(cls, value: Any, handler: Any) -> Any:
        return dict(handler(value))


class Spoils(Base):
    @model_validator(mode="after")
    def _spoil(self) -> Any:
        self.__dict__["label"] = {CANARY: 1}
        return self


class Hides(Base):
    def __getattribute__(self, name: str) -> Any:
        if name == "x":
            raise KeyError(CANARY)
        return super().__getattribute__(name)


def letters(value: Any) -> Iterator[str]:
    return iter(("a", "b"))


class Nasty(NamedTuple):
    of: type[BaseModel]
    data: Mapping[str, Any]
    field: str | None
    """The field that the rejection names; "" where the whole class fails, None where the event is accepted."""


def _with(of: type[BaseModel], field: str | None, **data: Any) -> Nasty:
    return Nasty(of, {**GOOD, **data}, field)


NASTY: Mapping[str, Nasty] = {
    "nan as text": _with(profile_class(), "x", x="nan"),
    "infinity as text": _with(profile_class(), "x", x="-Infinity"),
    "an int of 400 digits": _with(profile_class(x=int), "x", x="1" * 400),
    "a boolean for an int": _with(profile_class(x=int), None, x=True),
    "a number as text": _with(profile_class(), None, x="17"),
    "none for a number": _with(profile_class(x=Annotated[float, giving(None)]), "x"),
    "text for a number": _with(profile_class(x=Annotated[float, giving("12")]), "x"),
    "a list for a number": _with(profile_class(x=Annotated[float, giving([1])]), "x"),
    "an int that no float holds": _with(profile_class(x=Annotated[float, giving(-(10**400))]), "x"),
    "Decimal for a number": _with(profile_class(x=Annotated[float, giving(Decimal("1.5"))]), None),
    "signalling Decimal": _with(profile_class(x=Annotated[float, giving(Decimal("sNaN"))]), "x"),
    "complex for a number": _with(profile_class(x=Annotated[float, giving(1j)]), "x"),
    "a float that is none": _with(profile_class(x=Annotated[float, giving(Unfloatable(1))]), None),
    "none for a label": _with(profile_class(label=Annotated[str, giving(None)]), "label"),
    "a number for a label": _with(profile_class(label=Annotated[str, giving(3)]), "label"),
    "a list for a label": _with(profile_class(label=Annotated[str, giving(["a"])]), "label"),
    "bytes for a label": _with(profile_class(label=Annotated[str, giving(b"a")]), "label"),
    "a label without a hash": _with(profile_class(label=Annotated[str, giving(Unhashable("a"))]), None),
    "none for tags": _with(profile_class(tags=Annotated[tuple[str, ...], giving(None)]), "tags"),
    "numbers for tags": _with(profile_class(tags=Annotated[tuple[str, ...], giving([1, 2])]), "tags"),
    "objects for tags": _with(profile_class(tags=Annotated[tuple[str, ...], giving([{}])]), "tags"),
    "an iterator for tags": _with(profile_class(tags=Annotated[list[str], AfterValidator(letters)]), "tags"),
    "a list that lies": _with(profile_class(tags=Annotated[list[str], giving(Lying(["a"]))]), None),
    "RuntimeError": _with(profile_class(x=Annotated[float, AfterValidator(raising(RuntimeError(CANARY)))]), ""),
    "StopIteration": _with(profile_class(x=Annotated[float, BeforeValidator(raising(StopIteration(CANARY)))]), ""),
    "sys.exit": _with(profile_class(label=Annotated[str, AfterValidator(raising(SystemExit(0)))]), ""),
    "an error without a text": _with(profile_class(x=Annotated[float, AfterValidator(raising(UnreadableError()))]), ""),
    "recursion": _with(profile_class(x=Annotated[float, AfterValidator(endless)]), ""),
    "none for the profile": _with(profile_class(base=GivesNone), "x"),
    "a dict for the profile": _with(profile_class(base=GivesDict), "x"),
    "a profile that is spoilt": _with(profile_class(base=Spoils), "label"),
    "a profile that hides a field": _with(profile_class(base=Hides), "x"),
    "a default that is none": Nasty(
        profile_class(x=Annotated[float, Field(default=None)]), {"label": "a", "tags": []}, "x"
    ),
}
