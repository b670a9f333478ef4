"""Readers of Avro's binary encoding, compiled from the schemas that values were written with.

Bytes and schemas are untrusted: nothing here runs without end, or crashes the process, for any of them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from math import copysign, inf
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from schemas.parsing import MAX_VALUES

Read = Callable[[bytes, int], tuple[Any, int]]
"""Reads the value that begins there; returns it, and where it ends, which may be after the end of the bytes.

Raises one of NOT_OF_SCHEMA, or TooManyValues.
"""


class TooManyValues(Exception):
    """A value has more than MAX_VALUES within: fields of records, items of arrays and entries of maps."""


class Malformed(ValueError):
    """Bytes that no value of the type has."""


# Beside this error: text that is not UTF-8; a value after the end, or far beyond; one that is nested too deeply.
NOT_OF_SCHEMA: Final = (ValueError, IndexError, struct.error, OverflowError, RecursionError)

TEXT_MOST: Final = 5_000_000
"""Characters of a schema."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_STRING: Final = 1
_DOUBLE: Final = 2
# Integers by their bits.
_INLINE: Final = {"string": _STRING, "double": _DOUBLE, "int": 32, "long": 64}
_unpack_float: Final = struct.Struct("<f").unpack_from
_unpack_double: Final = struct.Struct("<d").unpack_from
# No database has larger numbers.
_DECIMAL_MOST_BYTES: Final = 64
_SCALE_MOST: Final = 300
_UUID_BYTES: Final = 16


class UnusableSchema(Exception):
    """A text is not an Avro schema, or not one that can be read here; the message says why."""


class _Budget:
    """How many values may still be read: a few bytes can be many, where records are nested."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_VALUES

    def spend(self, values: int) -> None:
        """Raises TooManyValues."""
        self.left -= values
        if self.left < 0:
            raise TooManyValues


_Read = Callable[[bytes, int, _Budget], tuple[Any, int]]


class _Type(NamedTuple):
    """A compiled type."""

    read: _Read
    kind: str = ""
    """The primitive type or fixed, where no logical type changes how it is read."""
    nullable: _Type | None = None
    """Of a union of null and one more type: that type."""
    null_branch: int = 0
    """The byte of null there."""
    is_empty: bool = False
    """Whether its values take no bytes."""


def compiled(text: str, references: Iterable[str] = ()) -> Read:
    """The reader of values that were written with this schema. Raises UnusableSchema.

    `references` are the schemas whose named types it uses, each after those that it uses itself. Values become what
    JSON would have, except: bytes and fixed become bytes, timestamps a datetime, dates text as in ISO 8601, decimals an
    int or the nearest float; what is outside of the years 1 to 9999, or too large, becomes infinite. Fields that take
    no bytes are left out.
    """
    named: dict[str, _Type] = {}
    try:
        for reference in references:
            _compiled(_parsed(reference), "", named)
        read = _compiled(_parsed(text), "", named).read
    except RecursionError as error:
        raise UnusableSchema("it is nested too deeply") from error
    return lambda data, at: read(data, at, _Budget())


def _parsed(text: str) -> Any:
    if len(text) > TEXT_MOST:
        raise UnusableSchema(f"it has {len(text):,} characters, at most {TEXT_MOST:,} are allowed")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UnusableSchema("it is not JSON") from error


# --- compiling -------------------------------------------------------------------------------------------------------


def _compiled(schema: Any, namespace: str, named: dict[str, _Type]) -> _Type:
    """A type; names in it that have no namespace are of this one, and those that it defines are added to `named`."""
    if isinstance(schema, str):
        return _PRIMITIVES[schema] if schema in _PRIMITIVES else _reference(schema, namespace, named)
    if isinstance(schema, list):
        return _union([_compiled(each, namespace, named) for each in schema])
    if not isinstance(schema, dict):
        raise UnusableSchema("a type is neither text nor an array nor an object")
    kind = schema.get("type")
    match kind:
        case "record" | "error":
            return _record(schema, namespace, named)
        case "enum":
            return _add(schema, namespace, named, _enum(_texts(schema, "symbols")))
        case "fixed":
            return _add(schema, namespace, named, _logical(_fixed(_count(schema, "size")), schema))
        case "array":
            return _array(_item(schema, "items", namespace, named))
        case "map":
            return _map(_item(schema, "values", namespace, named))
        case _:
            return _logical(_compiled(kind, namespace, named), schema)


def _reference(name: str, namespace: str, named: Mapping[str, _Type]) -> _Type:
    for full in (_full_name(name, namespace), name):
        if full in named:
            return named[full]
    raise UnusableSchema(f"it uses a type that it does not define, {name[:100]!r}")


def _full_name(name: str, namespace: str) -> str:
    return f"{namespace}.{name}" if namespace and "." not in name else name


def _names(schema: Mapping[str, Any], namespace: str) -> tuple[str, str]:
    """The full name of a named type, and the namespace of what is in it."""
    own = schema.get("namespace", namespace)
    if not isinstance(own, str):
        raise UnusableSchema("a namespace is not text")
    full = _full_name(_text(schema, "name"), own)
    return full, full.rpartition(".")[0]


def _add(schema: Mapping[str, Any], namespace: str, named: dict[str, _Type], type_: _Type) -> _Type:
    named[_names(schema, namespace)[0]] = type_
    return type_


def _item(schema: Mapping[str, Any], attribute: str, namespace: str, named: dict[str, _Type]) -> _Type:
    item = _compiled(schema.get(attribute), namespace, named)
    if item.is_empty:
        raise UnusableSchema("an array or a map has values that take no bytes, so that it has any number of them")
    return item


def _text(schema: Mapping[str, Any], attribute: str) -> str:
    value = schema.get(attribute)
    if not isinstance(value, str):
        raise UnusableSchema(f"a {attribute} is not text")
    return value


def _texts(schema: Mapping[str, Any], attribute: str) -> tuple[str, ...]:
    values = schema.get(attribute)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise UnusableSchema(f"{attribute} are not an array of text")
    return tuple(values)


def _count(schema: Mapping[str, Any], attribute: str) -> int:
    value = schema.get(attribute, 0)
    if type(value) is not int or value < 0:
        raise UnusableSchema(f"a {attribute} is not a number of 0 or more")
    return value


def _record(schema: Mapping[str, Any], namespace: str, named: dict[str, _Type]) -> _Type:
    full, inner = _names(schema, namespace)
    fields = schema.get("fields")
    if not isinstance(fields, list) or not all(isinstance(each, dict) for each in fields):
        raise UnusableSchema("fields are not an array of objects")

    # A field may be of this very type, which is compiled only after its fields.
    def later(data: bytes, at: int, budget: _Budget) -> tuple[Any, int]:
        return named[full].read(data, at, budget)

    named[full] = _Type(later)
    types = [(_text(each, "name"), _compiled(each.get("type"), inner, named)) for each in fields]
    taking_bytes = [(name, type_) for name, type_ in types if not type_.is_empty]
    named[full] = _Type(_record_reader(taking_bytes), is_empty=not taking_bytes)
    return named[full]


def _union(types: Sequence[_Type]) -> _Type:
    if not types:
        raise UnusableSchema("a union has no types")
    reads = tuple(type_.read for type_ in types)

    def read(data: bytes, at: int, budget: _Budget) -> tuple[Any, int]:
        branch, at = _read_size(data, at)
        return reads[branch](data, at, budget)

    others = [type_ for type_ in types if type_.kind != "null"]
    if len(types) == 2 and len(others) == 1:
        return _Type(read, nullable=others[0], null_branch=2 * (types[0] is others[0]))
    return _Type(read)


def _logical(type_: _Type, schema: Mapping[str, Any]) -> _Type:
    """The type with its logical type; one that is not known, or does not fit, changes nothing, as the standard says."""
    logical = schema.get("logicalType")
    then: Callable[[Any], Any] | None = None
    match type_.kind, logical:
        case "long", "timestamp-millis" | "timestamp-micros" | "timestamp-nanos":
            then = partial(_moment, _PER_MICROSECOND[logical])
        case "int", "date":
            then = _date
        case "fixed", "uuid" if _count(schema, "size") == _UUID_BYTES:
            then = _uuid
        case (("bytes" | "fixed"), "decimal") if (scale := _count(schema, "scale")) <= _SCALE_MOST:
            then = partial(_decimal, scale)
    if then is None:
        return type_
    read, convert = type_.read, then

    def converted(data: bytes, at: int, budget: _Budget) -> tuple[Any, int]:
        value, at = read(data, at, budget)
        return convert(value), at

    return _Type(converted, is_empty=type_.is_empty)


_PER_MICROSECOND: Final = {"timestamp-millis": (1000, 1), "timestamp-micros": (1, 1), "timestamp-nanos": (1, 1000)}


def _moment(factor: tuple[int, int], number: int) -> datetime | float:
    times, divided_by = factor
    try:
        return _EPOCH + timedelta(0, 0, number * times // divided_by)
    except OverflowError:
        return copysign(inf, number)


def _date(days: int) -> str | float:
    try:
        return date.fromordinal(_EPOCH_DAY + days).isoformat()
    except (OverflowError, ValueError):
        return copysign(inf, days)


def _uuid(value: bytes) -> str:
    return str(UUID(bytes=value))


def _decimal(scale: int, value: bytes) -> float:
    number = int.from_bytes(value[:_DECIMAL_MOST_BYTES], signed=True)
    if len(value) > _DECIMAL_MOST_BYTES:
        return copysign(inf, number)
    return number if scale == 0 else number / 10**scale


# --- reading ---------------------------------------------------------------------------------------------------------


def _varint(data: bytes, first: int, at: int) -> tuple[int, int]:
    """The rest of a number of several bytes, 64 bits at most."""
    number, shift = first & 127, 7
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift > 63:
            raise Malformed
    if number >> 64:
        raise Malformed
    return number, at


def _read_long(data: bytes, at: int, _: _Budget | None = None) -> tuple[int, int]:
    number = data[at]
    at += 1
    if number > 127:
        number, at = _varint(data, number, at)
    return (number >> 1) ^ -(number & 1), at


def _read_size(data: bytes, at: int) -> tuple[int, int]:
    """A number that is an index or a length."""
    number, at = _read_long(data, at)
    if number < 0:
        raise Malformed
    return number, at


def _read_int(data: bytes, at: int, _: _Budget) -> tuple[int, int]:
    number, at = _read_long(data, at)
    if not -(2**31) <= number < 2**31:
        raise Malformed
    return number, at


def _read_bytes(data: bytes, at: int, _: _Budget) -> tuple[bytes, int]:
    size, at = _read_size(data, at)
    return data[at : at + size], at + size


def _read_string(data: bytes, at: int, _: _Budget | None = None) -> tuple[str, int]:
    size = data[at]
    at += 1
    if size > 127:
        size, at = _varint(data, size, at)
    if size & 1:
        raise Malformed
    end = at + (size >> 1)
    return data[at:end].decode(), end


def _read_null(_: bytes, at: int, __: _Budget) -> tuple[None, int]:
    return None, at


def _read_boolean(data: bytes, at: int, _: _Budget) -> tuple[bool, int]:
    return (False, True)[data[at]], at + 1


def _read_float(data: bytes, at: int, _: _Budget) -> tuple[float, int]:
    return _unpack_float(data, at)[0], at + 4


def _read_double(data: bytes, at: int, _: _Budget) -> tuple[float, int]:
    return _unpack_double(data, at)[0], at + 8


_PRIMITIVES: Final = {
    "null": _Type(_read_null, "null", is_empty=True),
    "boolean": _Type(_read_boolean, "boolean"),
    "int": _Type(_read_int, "int"),
    "long": _Type(_read_long, "long"),
    "float": _Type(_read_float, "float"),
    "double": _Type(_read_double, "double"),
    "bytes": _Type(_read_bytes, "bytes"),
    "string": _Type(_read_string, "string"),
}


def _enum(symbols: Sequence[str]) -> _Type:
    def read(data: bytes, at: int, _: _Budget) -> tuple[str, int]:
        number, at = _read_size(data, at)
        return symbols[number], at

    return _Type(read)


def _fixed(size: int) -> _Type:
    def read(data: bytes, at: int, _: _Budget) -> tuple[bytes, int]:
        end = at + size
        # Not left to the end of the value, which an array of many would never reach.
        if end > len(data):
            raise Malformed
        return data[at:end], end

    return _Type(read, "fixed", is_empty=size == 0)


def _array(item: _Type) -> _Type:
    read_item = item.read

    def read(data: bytes, at: int, budget: _Budget) -> tuple[list[Any], int]:
        values: list[Any] = []
        while True:
            count, at = _block(data, at)
            if not count:
                return values, at
            budget.spend(count)
            for _ in range(count):
                value, at = read_item(data, at, budget)
                values.append(value)

    return _Type(read)


def _map(item: _Type) -> _Type:
    read_item = item.read

    def read(data: bytes, at: int, budget: _Budget) -> tuple[dict[str, Any], int]:
        values: dict[str, Any] = {}
        while True:
            count, at = _block(data, at)
            if not count:
                return values, at
            budget.spend(count)
            for _ in range(count):
                name, at = _read_string(data, at)
                values[name], at = read_item(data, at, budget)

    return _Type(read)


def _block(data: bytes, at: int) -> tuple[int, int]:
    """How many items follow, at least a byte each; none is the end."""
    count = data[at]
    if count < 128 and not count & 1:
        return count >> 1, at + 1
    count, at = _read_long(data, at)
    if count < 0:
        # How many bytes they have, for readers that skip them.
        _, at = _read_long(data, at)
    if abs(count) > len(data) - at:
        raise Malformed
    return abs(count), at


def _record_reader(fields: Sequence[tuple[str, _Type]]) -> _Read:  # noqa: C901  # one loop, see below
    # The most frequent types are read here: a call for each value costs as much again.
    steps = []
    for name, type_ in fields:
        of = type_.nullable or type_
        null = None if type_.nullable is None else type_.null_branch
        steps.append((name, null, _INLINE.get(of.kind, 0), of.read))
    cost = len(steps)

    def read(data: bytes, at: int, budget: _Budget) -> tuple[dict[str, Any], int]:  # noqa: C901  # as above
        values: dict[str, Any] = {}
        budget.spend(cost)
        for name, null, inline, read_other in steps:
            if null is not None:
                branch = data[at]
                at += 1
                if branch == null:
                    values[name] = None
                    continue
                if branch != 2 - null:
                    raise Malformed
            if inline == _STRING:
                size = data[at]
                at += 1
                if size > 127:
                    size, at = _varint(data, size, at)
                if size & 1:
                    raise Malformed
                end = at + (size >> 1)
                values[name] = data[at:end].decode()
                at = end
            elif inline == _DOUBLE:
                values[name] = _unpack_double(data, at)[0]
                at += 8
            elif inline:
                number = data[at]
                at += 1
                if number > 127:
                    number, at = _varint(data, number, at)
                    if number >> inline:
                        raise Malformed
                values[name] = (number >> 1) ^ -(number & 1)
            else:
                values[name], at = read_other(data, at, budget)
        return values, at

    return read
