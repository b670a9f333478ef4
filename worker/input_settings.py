"""The format of the input topic, as the settings say it, and what in them cannot work together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import Final

from schemas.formats.avro import WriterSchemas
from schemas.formats.cloudevents import CloudEvents
from schemas.formats.input_format import InputFormat
from schemas.formats.mapped import PRESETS, PRESETS_IN_AVRO, Given, Mapped, mapped
from schemas.formats.pointers import Pointer, as_text
from schemas.formats.where import Where, where
from worker.settings import Conflict, Settings, missing_files

_FORMAT: Final = "worker_input_format"
_USER, _TIME, _ID, _DATA = (f"worker_input_{part}" for part in ("user", "time", "id", "data"))
_PARTS: Final = {_USER: "subject", _TIME: "time", _ID: "id"}
_TIME_FORMAT: Final = "worker_input_time_format"
_NUMERIC_IDS: Final = "worker_input_numeric_ids"
_WHERE: Final = "worker_input_where"
_REGISTRY_URL, _REGISTRY_USER, _REGISTRY_PASSWORD, _REGISTRY_TOKEN = (
    f"schema_registry_{name}" for name in ("url", "username", "password", "token")
)


_PRESETS: Final = PRESETS | PRESETS_IN_AVRO
_REGISTRY: Final = tuple(name for name in Settings.model_fields if name.startswith("schema_registry_"))


def input_format(settings: Settings, schemas: WriterSchemas | None = None) -> InputFormat:
    """How records are read, and which are ignored; those in Avro by these schemas."""
    if settings.worker_input_format == "cloudevents":
        return CloudEvents(_where(settings))
    given = Given(
        user=settings.worker_input_user,
        time=settings.worker_input_time,
        id=settings.worker_input_id,
        data=settings.worker_input_data,
        time_format=settings.worker_input_time_format,
        where=_where(settings),
    )
    preset, numeric_ids = _PRESETS[settings.worker_input_format], settings.worker_input_numeric_ids
    if not settings.input_is_avro:
        return mapped(preset, given, numeric_ids=numeric_ids)
    return mapped(preset, given, numeric_ids=numeric_ids, load=(schemas or WriterSchemas()).load)


def _where(settings: Settings) -> Where:
    return Where() if settings.worker_input_where is None else where(settings.worker_input_where)


def input_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Settings that the format does not use, or lacks, and pointers that exclude each other."""
    chosen = settings.worker_input_format
    for name in (_USER, _TIME, _TIME_FORMAT, _ID, _DATA, _NUMERIC_IDS):
        unused = chosen == "cloudevents" or (chosen.startswith("debezium") and name == _DATA)
        if unused and getattr(settings, name):
            why = "has its own places" if chosen == "cloudevents" else "takes the whole row"
            yield Conflict(
                (_FORMAT, name),
                f"{name.upper()} is given, but WORKER_INPUT_FORMAT={chosen} {why}; remove it, or set "
                f"WORKER_INPUT_FORMAT={'avro' if settings.input_is_avro else 'json'}",
            )
    yield from _registry_conflicts(settings)
    if chosen == "cloudevents":
        if any(each.places[0] == ("data",) for each in _where(settings).values):
            yield Conflict(
                (_FORMAT, _WHERE),
                "WORKER_INPUT_WHERE: with WORKER_INPUT_FORMAT=cloudevents, /data is the profile, which is never one of "
                "these values; give an attribute such as /type, or a field such as /data/country",
            )
        return
    yield from _time_conflicts(settings)
    if settings.worker_input_user is None and not _PRESETS[chosen].user:
        yield Conflict(
            (_FORMAT, _USER),
            f"WORKER_INPUT_USER is missing, and WORKER_INPUT_FORMAT={chosen} needs it; give a JSON Pointer such as "
            "/user_id, or $key",
        )
        return
    of = input_format(settings)
    if not isinstance(of, Mapped):
        return
    if settings.worker_input_numeric_ids and all(of.parts[name].of_record for name in ("subject", "id")):
        yield Conflict(
            (_NUMERIC_IDS, _USER, _ID),
            "WORKER_INPUT_NUMERIC_IDS is given, but neither WORKER_INPUT_USER nor WORKER_INPUT_ID is a JSON Pointer; "
            "remove it",
        )
    yield from _excluding(settings, of)
    yield from _contradictions(settings, of)


def _registry_conflicts(settings: Settings) -> Iterator[Conflict]:
    given = [name for name in _REGISTRY if getattr(settings, name) is not None]
    chosen = settings.worker_input_format
    if not settings.input_is_avro:
        for name in given:
            yield Conflict(
                (_FORMAT, name),
                f"{name.upper()} is given, but WORKER_INPUT_FORMAT={chosen} needs no registry; remove it, or set "
                "WORKER_INPUT_FORMAT=avro",
            )
        return
    if _REGISTRY_URL not in given:
        yield Conflict(
            (_FORMAT, _REGISTRY_URL),
            f"SCHEMA_REGISTRY_URL is missing, and WORKER_INPUT_FORMAT={chosen} needs it; give it",
        )
    for name, other in (
        (_REGISTRY_USER, _REGISTRY_PASSWORD),
        (_REGISTRY_PASSWORD, _REGISTRY_USER),
        ("schema_registry_ssl_keyfile", "schema_registry_ssl_certfile"),
        ("schema_registry_ssl_password", "schema_registry_ssl_certfile"),
    ):
        if name in given and other not in given:
            yield Conflict((name, other), f"{name.upper()} is given without {other.upper()}; give both")
    if _REGISTRY_USER in given and _REGISTRY_TOKEN in given:
        yield Conflict(
            (_REGISTRY_USER, _REGISTRY_TOKEN),
            f"{_REGISTRY_USER.upper()} and {_REGISTRY_TOKEN.upper()} exclude each other; remove one",
        )
    yield from missing_files(settings, given)


def _time_conflicts(settings: Settings) -> Iterator[Conflict]:
    time, written = settings.worker_input_time, settings.worker_input_time_format
    is_pointer = time is not None and time.startswith("/")
    # A schema can say how it is written.
    if is_pointer and written is None and not settings.input_is_avro:
        yield Conflict(
            (_TIME, _TIME_FORMAT),
            f"WORKER_INPUT_TIME_FORMAT is missing, and WORKER_INPUT_TIME={time} needs it; give rfc3339 for text, or s, "
            "ms or us for a number since 1970",
        )
    if written is not None and not is_pointer:
        yield Conflict(
            (_TIME, _TIME_FORMAT),
            "WORKER_INPUT_TIME_FORMAT is given, but WORKER_INPUT_TIME is not a JSON Pointer; give one, or remove "
            "WORKER_INPUT_TIME_FORMAT",
        )


def _excluding(settings: Settings, of: Mapped) -> Iterator[Conflict]:
    """Of two places, one is in the other, which is text or a number; or the same place is a time and something else."""
    preset = _PRESETS[settings.worker_input_format]
    parts = {_DATA: of.data, **{name: of.parts[part].places for name, part in _PARTS.items()}}
    places = [(name, _FORMAT if getattr(settings, name) is None else name, at) for name, at in parts.items()]
    places += [(_WHERE, _FORMAT if each in preset.conditions else _WHERE, each.places) for each in of.where.values]
    for (outer, by, starts), (inner, also_by, ats) in permutations(places, 2):
        within = [any(_excludes(outer, inner, start, at) for start in starts) for at in ats]
        # A condition may well be that there is nothing in one of several places.
        if within and (all if outer == _WHERE else any)(within):
            given = [name for name in (by, also_by) if name != _FORMAT]
            yield Conflict(
                (by, also_by),
                f"{_named(by, settings)} and {_named(also_by, settings)} exclude each other: "
                f"{_as_given(starts[0], of)} cannot be both; give "
                + ("each its own place" if len(given) > 1 else f"{given[0].upper()} another place"),
            )


def _excludes(outer: str, inner: str, start: Pointer, at: Pointer) -> bool:
    within = at[: len(start)] == start and outer != _DATA
    return within and (at != start or _DATA in {outer, inner} or (outer == _TIME and inner != _WHERE))


def _contradictions(settings: Settings, of: Mapped) -> Iterator[Conflict]:
    """A condition that leaves none of the records that the preset reads."""
    preset = _PRESETS[settings.worker_input_format]
    for own, known in product(of.where.values, preset.conditions):
        if {*own.places} & {*known.places} and not any(map(known.accepts, own.expected)):
            yield Conflict(
                (_FORMAT, _WHERE),
                f"WORKER_INPUT_WHERE and {_named(_FORMAT, settings)} exclude each other: with that, "
                f"{as_text(known.places[0])} is {' or '.join(map(str, known.expected))}, and every record would be "
                "ignored; correct the condition, or remove it",
            )


def _named(name: str, settings: Settings) -> str:
    return f"{_FORMAT.upper()}={settings.worker_input_format}" if name == _FORMAT else name.upper()


def _as_given(at: Pointer, of: Mapped) -> str:
    """The pointer as a user gives it."""
    start = next((start for start in of.start if at[: len(start)] == start), ())
    return as_text(at[len(start) :])
