"""Avro as Confluent's serializers write it: a zero, the id of the writer's schema in a registry, then the value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.formats.avro_schema import NOT_OF_SCHEMA, Read, TooManyValues, UnusableSchema, compiled
from schemas.parsing import MAX_VALUES, sized
from schemas.rejected import Rejection, RejectReason

_PREFIX_BYTES: Final = 5
_AVRO: Final = "AVRO"


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema as a registry has it."""

    type: str
    text: str
    references: tuple[str, ...] = ()
    """The schemas that it refers to, each after those that it refers to itself."""


@dataclass(frozen=True, slots=True)
class WriterSchemas:
    """The schemas that records were written with, by their ids: those that somebody has looked up so far."""

    _known: dict[int, Read | Rejection] = field(default_factory=dict)

    def missing(self, values: Iterable[bytes | None]) -> list[int]:
        """The ids in these values that are to be looked up before the values are read."""
        return [number for number in {_schema_id(value) for value in values} - self._known.keys() if number is not None]

    def add(self, schema_id: int, schema: RegisteredSchema | None) -> None:
        """Take what the registry has under this id; None if it has nothing."""
        self._known[schema_id] = _reader(schema_id, schema)

    def forget(self, schema_ids: Iterable[int]) -> None:
        """Have these looked up again."""
        for schema_id in schema_ids:
            self._known.pop(schema_id, None)

    def load(self, value: bytes | None, max_bytes: int) -> Any | Rejection:
        """The object in a record's value, or the first reason to reject it before anything in it is looked at."""
        avro = sized(value, max_bytes)
        if isinstance(avro, Rejection):
            return avro
        schema_id = _schema_id(avro)
        if schema_id is None:
            return Rejection(RejectReason.NOT_AVRO, "the value does not begin with a zero and the id of a schema")
        read = self._known[schema_id]
        if isinstance(read, Rejection):
            return read
        try:
            document, end = read(avro, _PREFIX_BYTES)
        except NOT_OF_SCHEMA:
            document, end = None, -1
        except TooManyValues:
            return Rejection(
                RejectReason.TOO_LARGE, f"more than {MAX_VALUES:,} fields of records, items of arrays, entries of maps"
            )
        if end != len(avro):
            return Rejection(RejectReason.NOT_AVRO, f"the value does not match schema {schema_id}")
        return document


def _schema_id(value: bytes | None) -> int | None:
    if value is None or len(value) < _PREFIX_BYTES or value[0] != 0:
        return None
    return int.from_bytes(value[1:_PREFIX_BYTES])


def _reader(schema_id: int, schema: RegisteredSchema | None) -> Read | Rejection:
    if schema is None:
        return Rejection(
            RejectReason.UNKNOWN_SCHEMA,
            f"the schema registry does not have the schema {schema_id}, or one it refers to",
        )
    if schema.type != _AVRO:
        return Rejection(RejectReason.NOT_AVRO, f"schema {schema_id} is {schema.type}, not {_AVRO}")
    try:
        return compiled(schema.text, schema.references)
    except UnusableSchema as error:
        return Rejection(RejectReason.NOT_AVRO, f"schema {schema_id} cannot be used: {error}")
