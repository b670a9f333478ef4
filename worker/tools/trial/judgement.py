"""What would become of records, one by one, and what to do where none of them is an event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel

from models.segmentation import Segmentation
from schemas.counting import counted
from schemas.event_columns import EventReader
from schemas.formats.mapped import Mapped
from schemas.formats.pointers import as_text, find_first
from schemas.rejected import RejectReason
from worker.cluster_rules import is_compacted
from worker.kafka.facts import Absent, TopicFacts
from worker.kafka.registry import input_read_once
from worker.settings import Settings
from worker.stream.records import Records, Verdict

_PLACES_SHOWN: Final = 20
_LEVELS_SHOWN: Final = 3
_CHARACTERS_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Tried:
    """What would become of one record."""

    verdict: Verdict | RejectReason
    text: str
    """The event and its segment, the erased user, or the field and the rule; empty for an ignored record."""


def event_reader(
    settings: Settings,
    profile_class: type[BaseModel],
    records: Records,
    topic: TopicFacts | Absent = Absent.MISSING,
    segmentation: Segmentation | None = None,
) -> EventReader:
    """Reads these events of a topic, or of a file, as a worker with these settings and this model does.

    Raises WorkerError.
    """
    reads_as, look_up = input_read_once(settings)
    look_up(records.values)
    if is_compacted(topic):
        reads_as = reads_as.of_compacted_topic()
    used = () if segmentation is None else segmentation.encoder.used
    return EventReader(profile_class, settings.worker_event_max_bytes, reads_as, used)


def uses_key_or_headers(reader: EventReader, settings: Settings) -> bool:
    """Whether more than a record's value matters."""
    parts = (settings.worker_input_user, settings.worker_input_id)
    return "$key" in parts or bool(reader.input_format.where.headers)


def tried(records: Records, reader: EventReader, segmentation: Segmentation | None) -> tuple[Tried, ...]:
    """What would become of each record, in order; segments are named where there is a segmentation."""
    events, rejections, ignored, erasures = reader.read(records)
    found = {row: Tried(rejection.reason, rejection.detail) for row, rejection in rejections.items()}
    found |= {row: Tried(Verdict.IGNORED, "") for row in ignored}
    found |= {row: Tried(Verdict.ERASED, _who(*erasure)) for row, erasure in erasures.items()}
    segments: Sequence[str] = [""] * len(events.rows)
    if segmentation is not None and events.rows:
        numbers = segmentation.assign(events.profile).segment.tolist()
        segments = [f"segment {number} ({segmentation.names[number]}), " for number in numbers]
    for at, row in enumerate(events.rows):
        found[row] = Tried(Verdict.ASSIGNED, segments[at] + _who(events.ids[at], events.subjects[at], events.times[at]))
    return tuple(found[row] for row in range(len(records)))


def is_event(one: Tried) -> bool:
    """Whether the record has a result."""
    return one.verdict in {Verdict.ASSIGNED, Verdict.ERASED}


def _who(event_id: str, user: str, time: datetime) -> str:
    return f"user {_shown(user)}, time {time.isoformat().replace('+00:00', 'Z')}, id {_shown(event_id)}"


def _shown(text: str) -> str:
    """What a terminal may be sent of text that anybody wrote."""
    short = text if len(text) <= _CHARACTERS_SHOWN else f"{text[:_CHARACTERS_SHOWN]}…"
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in short)


def conclusion(found: Sequence[Tried]) -> str:
    """How many there are of each."""
    verdicts = Counter(each.verdict for each in found)
    reasons = Counter({verdict: count for verdict, count in verdicts.items() if isinstance(verdict, RejectReason)})
    parts = [f"{verdicts[verdict]} {verdict}" for verdict in Verdict]
    parts.append(f"{reasons.total()} rejected")
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{counted(len(found), 'record')}: {', '.join(parts)}" + (f" ({why})" if why else "")


def remedies(found: Sequence[Tried], records: Records, reader: EventReader, settings: Settings) -> Iterator[str]:
    """What to do if none of these records is an event; nothing if one is."""
    if not found or any(map(is_event, found)):
        return
    # Conditions may well leave out most of a topic; of the rest, the most common reason.
    reasons = Counter(each.verdict for each in found if each.verdict is not Verdict.IGNORED)
    yield _remedy(reasons.most_common(1)[0][0] if reasons else Verdict.IGNORED, settings)
    of = reader.input_format
    if of.where.headers:
        names = [*dict.fromkeys(_shown(name) for headers in records.headers for name, _ in headers)]
        yield f"these records have the headers: {_some(names)}" if names else "these records have no headers"
    starts = of.start if isinstance(of, Mapped) else ((),)
    documents = [of.load(value, settings.worker_event_max_bytes) for value in records.values]
    found_in = [find_first(document, starts) for document in documents]
    begin = "" if starts == ((),) else f"pointers begin in {' or '.join(map(as_text, starts))}, where "
    if places := _places(found_in):
        yield f"{begin}these records have: {places}"
    elif places := _places(documents):
        yield f"{begin}these records have nothing; they have: {places}"


def _remedy(most: Verdict | RejectReason, settings: Settings) -> str:
    chosen = f"WORKER_INPUT_FORMAT={settings.worker_input_format}"
    where = f"WORKER_INPUT_WHERE={settings.worker_input_where}"
    expected = f"PROFILE_CLASS={settings.profile_class}"
    often = "no record is an event; most often,"
    match most:
        case Verdict.IGNORED:
            if settings.worker_input_where is None:
                return (
                    f"none of these records is an event in {chosen}; check WORKER_INPUT_TOPIC and WORKER_INPUT_FORMAT"
                )
            return f"no record meets {where}; correct it, or try more records with --count, if such events are rare"
        case RejectReason.NOT_JSON | RejectReason.NOT_AVRO | RejectReason.EMPTY | RejectReason.TOO_LARGE:
            return f"{often} {chosen} cannot read the value: check WORKER_INPUT_TOPIC and WORKER_INPUT_FORMAT"
        case RejectReason.UNKNOWN_SCHEMA:
            return f"{often} {settings.schema_registry_url} does not have the schema: check SCHEMA_REGISTRY_URL"
        case RejectReason.INVALID_ENVELOPE | RejectReason.UNKNOWN_TYPE:
            if settings.worker_input_format == "cloudevents":
                return f"no record is an event as {chosen} expects it; for other JSON set WORKER_INPUT_FORMAT=json"
            return (
                f"{often} user, time or id is not where WORKER_INPUT_USER, WORKER_INPUT_TIME and WORKER_INPUT_ID say: "
                "correct them; ids that are integers need WORKER_INPUT_NUMERIC_IDS=true, times that are numbers "
                "WORKER_INPUT_TIME_FORMAT=s, ms or us"
            )
        case _:
            return f"{often} the profile is not as {expected} expects it: correct " + (
                "the class"
                if settings.worker_input_format.startswith(("cloudevents", "debezium"))
                else "WORKER_INPUT_DATA, or the class"
            )


def _places(documents: Iterable[Any]) -> str:
    return _some([*dict.fromkeys(_shown(place) for document in documents for place in _pointers(document, ()))])


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _PLACES_SHOWN} more" if len(names) > _PLACES_SHOWN else ""
    return ", ".join(names[:_PLACES_SHOWN]) + more


def _pointers(value: Any, at: tuple[str, ...]) -> Iterator[str]:
    """Pointers to the values in an object, three levels deep: names only, never what is there."""
    if isinstance(value, dict) and value and len(at) < _LEVELS_SHOWN:
        for name, inner in value.items():
            yield from _pointers(inner, (*at, name))
    elif at:
        yield as_text(at)
