"""CloudEvents 1.0 in structured JSON mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel

from schemas.events import OBSERVED_TYPE, UserEvent
from schemas.formats.input_format import Layout
from schemas.formats.leaves import Expected, Leaf
from schemas.formats.parts import IDENTIFIER, RFC_3339, Part
from schemas.formats.records import InputRecords
from schemas.formats.where import Where

# Others that many events have.
_KNOWN: Final = ("datacontenttype", "dataschema", "traceparent", "tracestate")


@dataclass(frozen=True, slots=True)
class CloudEvents:
    """Profiles as `user.profile.observed.v1` events."""

    where: Where = Where()  # noqa: RUF009  # frozen

    @property
    def ignores_tombstones(self) -> bool:
        """They are rejected as empty."""
        return False

    @property
    def layouts(self) -> Sequence[Layout]:
        """The one of structured mode."""
        return [
            Layout(
                parts={
                    "subject": Part(IDENTIFIER, (("subject",),)),
                    "time": Part(RFC_3339, (("time",),)),
                    "id": Part(IDENTIFIER, (("id",),)),
                },
                data=("data",),
                required=(
                    Leaf(("specversion",), Literal["1.0"]),
                    Leaf(("type",), Literal[OBSERVED_TYPE]),
                    Leaf(("source",), IDENTIFIER.msgspec),
                ),
                known=tuple(Leaf((name,), str | None, None) for name in _KNOWN),
                expected=tuple(Expected(each.places[0], each.expected, each.accepts) for each in self.where.values),
            )
        ]

    def event_class(self, profile_class: type[BaseModel]) -> type[BaseModel]:
        """The class of events."""
        return UserEvent[profile_class]  # type: ignore[valid-type]  # known at run time only

    def ignores(self, document: Any) -> bool:
        """Whether it is another event, by the conditions."""
        return not self.where.matches(document)

    def attributes(self, document: Any, _records: InputRecords, _row: int) -> Any:
        """The event itself."""
        return document

    def place(self, location: Sequence[str | int]) -> str:
        """The names, with dots between them."""
        return ".".join(map(str, location)) or "the event"


CLOUDEVENTS: Final = CloudEvents()
