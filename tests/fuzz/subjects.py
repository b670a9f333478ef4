"""What is fuzzed: a profile class with a model, and corrupted events of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, create_model

from models.encoding import BooleanColumn, Encoder, NumberColumn
from models.segmentation import Segmentation
from schemas import UserProfile
from schemas.roles import boolean, days_since, profile_fields
from tests.fuzz.properties import scoring
from tests.support.fitted import segmentation
from tests.support.mutants import Pool, mutant, optional_mutant
from worker.stream.processor import Scoring
from worker.stream.records import Record


@dataclass(frozen=True)
class Subject:
    """A worker's scoring, and the event with a seed and a number."""

    scoring: Callable[[], Scoring]
    mutant: Callable[[int, int], Record]


def _optional(profile_class: type[BaseModel]) -> type[BaseModel]:
    """The class, of which any value may be missing, with a date and a boolean as well."""
    further: dict[str, Any] = {}
    for field in profile_fields(profile_class):
        info = profile_class.model_fields[field.name]
        of: Any = info.annotation
        further[field.name] = (Annotated[of | None, *info.metadata], Field(default=None, alias=info.alias))
    further["last_visit"] = (Annotated[date | None, days_since("behaviour")], None)
    further["subscribed"] = (Annotated[bool | None, boolean("behaviour")], None)
    return create_model("OptionalProfile", __base__=profile_class, **further)


_FURTHER: Final = {
    "last_visit": Pool(
        b'"2026-11-22" "2026-11-21" "2024-02-29" "0001-01-01" ""'.split(),
        b'"2026-11-23" "2026-02-30" "9999-12-31" "2026-11-22T12:00:00Z" "20261122" "c4n4ry" 0 1.5 true'.split(),
    ),
    "subscribed": Pool(b"true false".split(), b'1 0 "true" "" []'.split()),
}


def _optional_scoring() -> Scoring:
    model = segmentation(left_out=frozenset({"language"}))
    columns = (NumberColumn("last_visit", 30.0, 0.0, 5.0, 1.0, 1.0), BooleanColumn("subscribed", 0.5, 0.5))
    segments = tuple(replace(each, centroid=(*each.centroid, 0.0, 0.0)) for each in model.segments)
    return scoring(_optional(UserProfile), Segmentation(Encoder((*model.encoder.columns, *columns)), segments))


SUBJECTS: Final[Mapping[str, Subject]] = {
    "whole": Subject(scoring, mutant),
    "optional": Subject(_optional_scoring, partial(optional_mutant, further=_FURTHER)),
}
