"""The JSON Schema of the values that a mapping reads, as far as the mapping says what they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.fields import FieldInfo

from schemas.formats.input_format import Layout
from schemas.formats.mapped import Mapped
from schemas.formats.pointers import Pointer, is_index
from schemas.formats.where import Condition

Schema = dict[str, Any]


def value_schema(of: Mapped, profile: Mapping[str, Any]) -> Schema:
    """The schema of a record's value; `profile` is that of the profile. What is in an array is left out."""
    layouts = [_layout_schema(layout, profile) for layout in of.layouts]
    return layouts[0] if len(layouts) == 1 else {"anyOf": layouts}


def profile_schema(by_names: Schema, profile_class: type[BaseModel]) -> Schema:
    """The schema of a profile by the names of its fields, with each field where events have it.

    Of several places the first, and then the field is not required; what is in an array is left out.
    """
    config = profile_class.model_config
    if config.get("validate_by_name") or config.get("populate_by_name") or config.get("validate_by_alias") is False:
        return by_names
    schema: Schema = {**by_names, "properties": {}, "required": []}
    for name, value in by_names["properties"].items():
        places = _places(name, profile_class.model_fields[name])
        at = next((each for each in places if all(isinstance(level, str) for level in each)), ())
        is_required = name in by_names.get("required", ()) and len(places) == 1
        if at:
            _within(schema, map(str, at), is_required=is_required).update(value)
    return schema


def _places(name: str, field: FieldInfo) -> Sequence[Sequence[str | int]]:
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
    return [each.path if isinstance(each, AliasPath) else (each,) for each in choices]


def conditions_schema(conditions: Iterable[Condition]) -> Schema:
    """The schema of a value for which these conditions, each on one place, hold. What is in an array is left out."""
    schema: Schema = {"type": "object"}
    for each in conditions:
        _put(schema, each.places[0], {"enum": list(each.expected)})
    return schema


def _layout_schema(layout: Layout, profile: Mapping[str, Any]) -> Schema:
    schema: Schema = {"type": "object"}
    _put(schema, layout.data, profile)
    for part in layout.parts.values():
        for place in part.places:
            _put(schema, place, part.type.json_schema)
    for each in layout.expected:
        _put(schema, each.at, {"enum": list(each.values)})
    return schema


def _put(schema: Schema, at: Pointer, value: Mapping[str, Any]) -> None:
    if any(map(is_index, at)):
        return
    # A place may be read as several things, and the profile may be the object in which the others are.
    _within(schema, at, is_required=True).setdefault("allOf", []).append(dict(value))


def _within(schema: Schema, at: Iterable[str], *, is_required: bool) -> Schema:
    """The schema of the value at this place, with objects on the way to it."""
    for level in at:
        schema.setdefault("type", "object")
        if is_required and level not in (required := schema.setdefault("required", [])):
            required.append(level)
        schema = schema.setdefault("properties", {}).setdefault(level, {})
    return schema
