"""The types of a profile's values as msgspec reads them, compiled from what pydantic compiled from the class.

A type never accepts what the class refuses. It may leave a value to the class: what it does not know, and what the
class would change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta
from pydantic import BaseModel

from schemas.dates import ISO_TEXT, is_iso_date, none_if_empty

# Beyond, neighbouring integers are the same float, and a bound may hold for one of them only.
_EXACT_INTEGERS: Final = 2.0**53

_IGNORED: Final = frozenset({"type", "metadata", "ref", "serialization"})
_MODEL_KEYS: Final = _IGNORED | {
    *("cls", "schema", "config", "custom_init", "root_model", "generic_origin", "frozen", "revalidate_instances"),
}
_CONFIG_KEYS: Final = frozenset(
    {
        *("title", "frozen", "strict", "extra_fields_behavior", "validate_by_name", "validate_by_alias"),
        *("from_attributes", "revalidate_instances", "populate_by_name", "hide_input_in_errors", "validate_default"),
        *("ser_json_bytes", "ser_json_timedelta", "ser_json_inf_nan", "loc_by_alias", "val_json_bytes"),
    }
)
_FIELD_KEYS: Final = _IGNORED | {"schema", "validation_alias", "serialization_alias", "frozen"}
_NULLABLE_KEYS: Final = _IGNORED | {"schema"}
_NUMBER_KEYS: Final = _IGNORED | {"strict", "ge", "gt", "le", "lt", "multiple_of", "allow_inf_nan"}
_CHAIN_KEYS: Final = _IGNORED | {"steps"}
_DATE_KEYS: Final = _IGNORED | {"strict"}
_BOOLEAN_KEYS: Final = _IGNORED | {"strict"}
_TEXT_KEYS: Final = _IGNORED | {"strict", "min_length", "max_length", "strip_whitespace", "to_lower", "to_upper"}
_LITERAL_KEYS: Final = _IGNORED | {"expected"}
_LIST_KEYS: Final = _IGNORED | {
    "strict",
    "items_schema",
    "min_length",
    "max_length",
    "fail_fast",
    "variadic_item_index",
}


class OnlyByClass(Exception):
    """The class does what a type cannot say, such as a validator of its own; the text names it."""


class ColumnType(NamedTuple):
    """What the values of a field are, as JSON has them."""

    msgspec: Any
    fits: Callable[[Any], bool] | None = None
    """What else holds for a value of this type, if something does."""
    at: tuple[str, ...] = ()
    """Where events have it in the profile."""


def column_types(profile_class: type[BaseModel]) -> Mapping[str, ColumnType]:
    """The type of each field's values, by field name; raises OnlyByClass."""
    types = {}
    fields, config = _fields(profile_class)
    for name, field in fields.items():
        try:
            _require_known("it", field, _FIELD_KEYS)
            types[name] = _type(field["schema"])._replace(at=_place(name, field, config))
            msgspec.json.Decoder(types[name].msgspec)
        except (OnlyByClass, TypeError, ValueError) as error:  # the others by msgspec, as of bounds beyond 64 bits
            raise OnlyByClass(f"{name}: {error}") from error
    return types


def _fields(profile_class: type[BaseModel]) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Any]]:
    """The fields, and the configuration."""
    model: Mapping[str, Any] = profile_class.__pydantic_core_schema__
    if model["type"] != "model":
        raise OnlyByClass(f"the class is a {model['type']}")
    _require_known("the class", model, _MODEL_KEYS)
    if model.get("custom_init") or model.get("root_model"):
        raise OnlyByClass("the class has an __init__ or a root of its own")
    fields = model["schema"]
    if (
        fields["type"] != "model-fields"
        or fields.get("computed_fields")
        or not fields.keys()
        <= {
            *("type", "fields", "computed_fields", "model_name", "metadata", "ref"),
        }
    ):
        raise OnlyByClass(f"the fields of the class are {fields['type']}")
    config = model.get("config") or {}
    _require_known("model_config", config, _CONFIG_KEYS)
    if config.get("extra_fields_behavior", "ignore") != "ignore":
        raise OnlyByClass("extra fields are not ignored")
    if profile_class.__getattribute__ is not BaseModel.__getattribute__:
        raise OnlyByClass("the class has a __getattribute__ of its own")
    # Not a default, which pydantic takes out of the class, but a property or the like.
    for name in fields["fields"]:
        if any(name in vars(each) for each in profile_class.__mro__):
            raise OnlyByClass(f"{name} is an attribute of the class, too")
    return fields["fields"], config


def _place(name: str, field: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[str, ...]:
    alias = field.get("validation_alias")
    by_name = config.get("validate_by_name") or config.get("populate_by_name")
    if alias is None or config.get("validate_by_alias") is False:
        return (name,)
    path = (alias,) if isinstance(alias, str) else tuple(alias)
    # An AliasPath is a list of one path, AliasChoices one of several; a number in a path is an index in an array.
    if len(path) == 1 and isinstance(path[0], list):
        path = tuple(path[0])
    if by_name or not all(isinstance(level, str) for level in path):
        raise OnlyByClass("events may have it in several places, or in an array")
    return path


def _require_known(where: str, schema: Mapping[str, Any], known: frozenset[str]) -> None:
    if unknown := schema.keys() - known:
        raise OnlyByClass(f"{where} has {', '.join(sorted(unknown))}")


def _type(schema: Mapping[str, Any]) -> ColumnType:
    kind = schema["type"]
    if kind == "default":  # of a value that is absent, which is left to the class
        return _type(schema["schema"])
    if kind == "nullable":
        _require_known("the optional value", schema, _NULLABLE_KEYS)
        return _optional(_type(schema["schema"]))
    if kind == "function-wrap" and schema["function"]["function"] is none_if_empty:
        return _type(schema["schema"])  # empty text is left to the class
    if kind not in _TYPES:
        raise OnlyByClass(f"values are checked by {kind}")
    return _TYPES[kind](schema)


def _optional(of: ColumnType) -> ColumnType:
    fits = of.fits
    return ColumnType(of.msgspec | None, None if fits is None else lambda value: value is None or fits(value))


def _number(schema: Mapping[str, Any]) -> ColumnType:
    _require_known("the number", schema, _NUMBER_KEYS)
    # An integer field accepts 5.0, too: that is left to the class.
    type_, exact = (int, _integer) if schema["type"] == "int" else (float, _float)
    low, above = (exact(schema.get(name, -inf)) for name in ("ge", "gt"))
    high, below = (exact(schema.get(name, inf)) for name in ("le", "lt"))
    above, below = max(above, exact(-_EXACT_INTEGERS)), min(below, exact(_EXACT_INTEGERS))
    bounds: dict[str, Any] = {"gt": above} if above >= low else {"ge": low}
    bounds |= {"lt": below} if below <= high else {"le": high}
    if "multiple_of" in schema:
        bounds["multiple_of"] = exact(schema["multiple_of"])
    return ColumnType(Annotated[type_, Meta(**bounds)])


def _float(bound: Any) -> float:
    if not isinstance(bound, int | float) or float(bound) != bound:
        raise OnlyByClass(f"{bound!r} is not a float")
    return float(bound)


def _integer(bound: float) -> float:
    if bound in {inf, -inf}:
        return bound
    if _float(bound) != int(bound):
        raise OnlyByClass(f"{bound!r} is not an integer")
    return int(bound)


def _boolean(schema: Mapping[str, Any]) -> ColumnType:
    _require_known("the boolean", schema, _BOOLEAN_KEYS)
    return ColumnType(bool)


def _iso_date(schema: Mapping[str, Any]) -> ColumnType:
    _require_known("the date", schema, _CHAIN_KEYS)
    text, *others = schema["steps"]
    if text != ISO_TEXT or len(others) != 1 or others[0]["type"] != "date":
        raise OnlyByClass("values are checked in several steps")
    _require_known("the date", others[0], _DATE_KEYS)
    return ColumnType(str, is_iso_date)


def _text(schema: Mapping[str, Any]) -> ColumnType:
    _require_known("the text", schema, _TEXT_KEYS)
    # What empty text means is not for the class alone to say.
    text = Annotated[str, _length({**schema, "min_length": max(1, schema.get("min_length", 0))})]
    changes = [
        change
        for key, change in (("strip_whitespace", str.strip), ("to_lower", str.lower), ("to_upper", str.upper))
        if schema.get(key)
    ]
    if not changes:
        return ColumnType(text)
    # pydantic may know more letters, which are not printable for this version of Python, and more capitals.
    knows = str.isascii if schema.get("to_upper") else str.isprintable
    return ColumnType(text, lambda value: knows(value) and all(change(value) == value for change in changes))


def _literal(schema: Mapping[str, Any]) -> ColumnType:
    _require_known("the label", schema, _LITERAL_KEYS)
    expected = tuple(label for label in schema["expected"] if label)
    if not expected or not {str}.issuperset(map(type, expected)):
        raise OnlyByClass("the labels are not all text")
    return ColumnType(Literal[expected])


def _list(schema: Mapping[str, Any]) -> ColumnType:
    _require_known("the list", schema, _LIST_KEYS)
    items = schema.get("items_schema")
    if isinstance(items, list):
        if len(items) != 1 or schema.get("variadic_item_index") != 0:
            raise OnlyByClass("the tuple has a fixed length")
        (items,) = items
    if items is None or items["type"] not in {"str", "literal"}:
        raise OnlyByClass("the items are neither strings nor literals")
    if schema["type"] in {"set", "frozenset"} and schema.get("min_length", 0) > 1:
        raise OnlyByClass("a set counts its items only once")
    of = _type(items)
    fits = of.fits
    lists = Annotated[list[of.msgspec], _length(schema)]  # type: ignore[name-defined]  # known at run time only
    return ColumnType(lists, None if fits is None else lambda values: all(map(fits, values)))


def _length(schema: Mapping[str, Any]) -> Meta:
    return Meta(min_length=schema.get("min_length"), max_length=schema.get("max_length"))


_TYPES: Final[Mapping[str, Callable[[Mapping[str, Any]], ColumnType]]] = {
    "float": _number,
    "int": _number,
    "chain": _iso_date,
    "bool": _boolean,
    "str": _text,
    "literal": _literal,
    **dict.fromkeys(("list", "tuple", "set", "frozenset"), _list),
}
