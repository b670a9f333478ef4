"""Checks of whole columns of a profile's values, compiled from what pydantic compiled from the class.

A check never accepts what the class refuses. It may leave a value to the class: what it does not know, and what the
class would change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from math import inf
from typing import Any, Final

import numpy as np
from pydantic import BaseModel

from schemas.dates import ISO_TEXT, is_iso_date

Check = Callable[[Sequence[Any]], Collection[int]]
"""Takes a column of values as JSON has them; returns the positions of those that only the class can judge."""

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
    """The class does what a check of columns cannot repeat, such as a validator of its own; the text names it."""


def column_checks(profile_class: type[BaseModel]) -> Mapping[str, Check]:
    """The check of each field's column, by field name; raises OnlyByClass."""
    checks = {}
    for name, field in _fields(profile_class).items():
        try:
            _require_known("it", field, _FIELD_KEYS)
            checks[name] = _check(field["schema"])
        except OnlyByClass as error:
            raise OnlyByClass(f"{name}: {error}") from error
    return checks


def _fields(profile_class: type[BaseModel]) -> Mapping[str, Mapping[str, Any]]:
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
    aliases = [name for name, field in fields["fields"].items() if "validation_alias" in field]
    if aliases and not (config.get("validate_by_name") and config.get("validate_by_alias") is False):
        raise OnlyByClass(f"{aliases[0]} has an alias in events")
    if profile_class.__getattribute__ is not BaseModel.__getattribute__:
        raise OnlyByClass("the class has a __getattribute__ of its own")
    # Not a default, which pydantic takes out of the class, but a property or the like.
    for name in fields["fields"]:
        if any(name in vars(each) for each in profile_class.__mro__):
            raise OnlyByClass(f"{name} is an attribute of the class, too")
    found: Mapping[str, Mapping[str, Any]] = fields["fields"]
    return found


def _require_known(where: str, schema: Mapping[str, Any], known: frozenset[str]) -> None:
    if unknown := schema.keys() - known:
        raise OnlyByClass(f"{where} has {', '.join(sorted(unknown))}")


def _check(schema: Mapping[str, Any]) -> Check:
    kind = schema["type"]
    if kind == "default":  # of a value that is absent, which is left to the class
        return _check(schema["schema"])
    if kind == "nullable":
        _require_known("the optional value", schema, _NULLABLE_KEYS)
        return _unless_missing(_check(schema["schema"]))
    if kind not in _CHECKS:
        raise OnlyByClass(f"values are checked by {kind}")
    return _CHECKS[kind](schema)


def _unless_missing(check: Check) -> Check:
    def check_present(column: Sequence[Any]) -> Collection[int]:
        if None not in column:
            return check(column)
        present = [at for at, value in enumerate(column) if value is not None]
        return [present[at] for at in check([column[at] for at in present])] if present else ()

    return check_present


def _number(schema: Mapping[str, Any]) -> Check:
    _require_known("the number", schema, _NUMBER_KEYS)
    # An integer field accepts 5.0, too: that is left to the class.
    types = {int} if schema["type"] == "int" else {int, float}
    low, above = _float(schema.get("ge", -inf)), _float(schema.get("gt", -inf))
    high, below = _float(schema.get("le", inf)), _float(schema.get("lt", inf))
    step = _float(schema.get("multiple_of", 0))

    def outside(column: Sequence[Any]) -> list[int]:
        try:
            numbers = np.array(column, dtype=np.float64)
        except OverflowError:  # an integer that no float can hold
            return [*range(len(column))]
        # Also false for what is not a number, and for infinity, since it is neither above -inf nor below inf.
        fits = (numbers >= low) & (numbers <= high) & (numbers > above) & (numbers < below)
        fits &= np.abs(numbers) < _EXACT_INTEGERS
        if step:
            with np.errstate(invalid="ignore"):  # of infinity, which does not fit anyway
                fits &= np.fmod(numbers, step) == 0
        found: list[int] = np.flatnonzero(~fits).tolist()
        return found

    def check(column: Sequence[Any]) -> Collection[int]:
        if types.issuperset(map(type, column)):
            return outside(column)
        of_type = [at for at, value in enumerate(column) if type(value) in types]
        wrong = set(range(len(column))) - set(of_type)
        return wrong | {of_type[at] for at in outside([column[at] for at in of_type])}

    return check


def _float(bound: Any) -> float:
    if not isinstance(bound, int | float) or float(bound) != bound:
        raise OnlyByClass(f"{bound!r} is not a float")
    return float(bound)


def _boolean(schema: Mapping[str, Any]) -> Check:
    _require_known("the boolean", schema, _BOOLEAN_KEYS)

    def check(column: Sequence[Any]) -> Collection[int]:
        # By type: 1 equals true.
        if {bool}.issuperset(map(type, column)):
            return ()
        return [at for at, value in enumerate(column) if type(value) is not bool]

    return check


def _iso_date(schema: Mapping[str, Any]) -> Check:
    _require_known("the date", schema, _CHAIN_KEYS)
    text, *others = schema["steps"]
    if text != ISO_TEXT or len(others) != 1 or others[0]["type"] != "date":
        raise OnlyByClass("values are checked in several steps")
    _require_known("the date", others[0], _DATE_KEYS)
    return lambda column: [at for at, value in enumerate(column) if not is_iso_date(value)]


def _text(schema: Mapping[str, Any]) -> Check:
    _require_known("the text", schema, _TEXT_KEYS)
    # What empty text means is not for the class alone to say.
    has_length = _fits({**schema, "min_length": max(1, schema.get("min_length", 0))}, str)
    changes = [
        change
        for key, change in (("strip_whitespace", str.strip), ("to_lower", str.lower), ("to_upper", str.upper))
        if schema.get(key)
    ]
    if not changes:
        return lambda column: _where_not(has_length, column)

    def fits(value: Any) -> bool:
        # Letters that this version of Python does not know are not printable: pydantic may know their other case.
        return has_length(value) and value.isprintable() and all(change(value) == value for change in changes)

    return lambda column: _where_not(fits, column)


def _literal(schema: Mapping[str, Any]) -> Check:
    _require_known("the label", schema, _LITERAL_KEYS)
    expected = frozenset(schema["expected"]) - {""}
    return lambda column: _where_not(lambda value: type(value) is str and value in expected, column)


def _list(schema: Mapping[str, Any]) -> Check:
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
    item_check = _check(items)
    fits = _fits(schema, list)

    def check(column: Sequence[Any]) -> Collection[int]:
        wrong = set(_where_not(fits, column))
        lists = [() if at in wrong else value for at, value in enumerate(column)] if wrong else column
        different = _different(chain.from_iterable(lists))
        if different is not None and not item_check(different):
            return wrong
        return wrong | {at for at, value in enumerate(lists) if item_check(value)}

    return check


def _fits(schema: Mapping[str, Any], kind: type[str | list[Any]]) -> Callable[[Any], bool]:
    least, most = schema.get("min_length", 0), schema.get("max_length", inf)
    return lambda value: type(value) is kind and least <= len(value) <= most


def _where_not(fits: Callable[[Any], bool], column: Sequence[Any]) -> Collection[int]:
    different = _different(column)
    if different is not None and all(map(fits, different)):
        return ()
    return [at for at, value in enumerate(column) if not fits(value)]


def _different(values: Iterable[Any]) -> list[Any] | None:
    """The different values, of which no text equals anything else; None where one cannot be hashed."""
    try:
        return [*set(values)]
    except TypeError:
        return None


_CHECKS: Final[Mapping[str, Callable[[Mapping[str, Any]], Check]]] = {
    "float": _number,
    "int": _number,
    "chain": _iso_date,
    "bool": _boolean,
    "str": _text,
    "literal": _literal,
    **dict.fromkeys(("list", "tuple", "set", "frozenset"), _list),
}
