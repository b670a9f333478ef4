"""The role of each field of a profile in the segmentation: its group, its kind and its order."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import sys
import warnings
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, PydanticUserError, Strict
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

from schemas.csv_format import history_format
from schemas.dates import days_schema, or_empty
from schemas.errors import ProfileClassError


class Kind(StrEnum):
    """How a field's values are compared with each other."""

    NUMBER = "number"
    DAYS_SINCE = "days-since"
    BOOLEAN = "boolean"
    ORDERED = "ordered"
    CATEGORY = "category"
    SEVERAL_OF = "several-of"

    @property
    def is_numeric(self) -> bool:
        """Whether a model reads its values as numbers: a date as the days since, false as 0, true as 1."""
        return self in {Kind.NUMBER, Kind.DAYS_SINCE, Kind.BOOLEAN}


@dataclass(frozen=True, slots=True)
class Role:
    """The part a field plays: annotate every field of a profile class with exactly one."""

    group: str
    kind: Kind
    levels: tuple[str, ...] = ()
    separator: str = ","
    date_format: str = ""
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ProfileClassError for cells without a value that are not a tuple of texts."""
        given: Any = self.missing
        if not isinstance(given, tuple) or not all(isinstance(text, str) for text in given):
            raise ProfileClassError(f'missing of a role is {given!r}, expected a tuple of strings, such as ("N/A",)')

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Make dates and booleans strict, and let optional text be empty, which is missing.

        For pydantic, 1, "on" and "f" were true and false.
        """
        schema: Any = handler(source)
        if self.kind in {Kind.DAYS_SINCE, Kind.BOOLEAN} and schema["type"].startswith("function-"):
            raise ProfileClassError(
                f"a validator stands before {self.kind.replace('-', '_')}(…): annotate the type with the role first"
            )
        if self.kind is Kind.DAYS_SINCE:
            return days_schema(schema)
        if self.kind is Kind.BOOLEAN:
            return _strict(schema)
        if self.kind in {Kind.ORDERED, Kind.CATEGORY} and schema["type"] == "nullable":
            schema = {**schema, "schema": _or_empty(schema["schema"])}
        found: CoreSchema = schema
        return found


def _or_empty(label: Any) -> Any:
    # Python's part in the last way costs time; and the first way also takes blanks that a label loses.
    if label["type"] == "str" and label.get("min_length", 0) <= 1 and "pattern" not in label:
        return {name: value for name, value in label.items() if name != "min_length"}
    if label["type"] == "literal":
        return {**label, "expected": [*dict.fromkeys([*label["expected"], ""])]}
    return or_empty(label)


def _strict(schema: Any) -> CoreSchema:
    if schema["type"] == "nullable":
        schema = {**schema, "schema": _strict(schema["schema"])}
    else:
        schema = {**schema, "strict": True}
    found: CoreSchema = schema
    return found


def number(group: str, *, missing: tuple[str, ...] = ()) -> Role:
    """A finite number whose differences are meaningful.

    Like every role, it may name cells of a history that hold no value in this column, beside those of the whole file.
    """
    return Role(group, Kind.NUMBER, missing=missing)


def days_since(group: str, date_format: str = "%Y-%m-%d", *, missing: tuple[str, ...] = ()) -> Role:
    """The days since a date: a number in an event, or the date, from which the event's own time is counted.

    A history has the date, in this format of `datetime.strptime`, and any time of day after it, which is ignored; days
    are counted to one day for all of its users. The date is never after the event.
    """
    return Role(group, Kind.DAYS_SINCE, date_format=date_format, missing=missing)


def boolean(group: str, *, missing: tuple[str, ...] = ()) -> Role:
    """True or false: in an event as JSON has them, in a CSV file as its format declares them."""
    return Role(group, Kind.BOOLEAN, missing=missing)


def ordered(group: str, *levels: str, missing: tuple[str, ...] = ()) -> Role:
    """A label with a declared order, lowest first (ordinal).

    Raises ProfileClassError for fewer than two levels or a level named twice.
    """
    if len(levels) < 2 or len(set(levels)) != len(levels) or "" in levels:
        raise ProfileClassError(
            "an ordered field needs two or more different levels, lowest first, none of them empty (which is missing); "
            f"got {levels}"
        )
    return Role(group, Kind.ORDERED, levels, missing=missing)


def category(group: str, *, missing: tuple[str, ...] = ()) -> Role:
    """A label without an order (nominal)."""
    return Role(group, Kind.CATEGORY, missing=missing)


def several_of(group: str, separator: str = ",", *, missing: tuple[str, ...] = ()) -> Role:
    """A list of labels, possibly empty (multi-label); in a history they may be one text with separators.

    Raises ProfileClassError for an empty separator.
    """
    if not separator:
        raise ProfileClassError("the separator of a field with several labels is empty: name the text between them")
    return Role(group, Kind.SEVERAL_OF, separator=separator, missing=missing)


@dataclass(frozen=True, slots=True)
class ProfileField:
    """One field of a profile class as trainer and worker see it: its name in events, its header in a CSV, its role."""

    name: str
    header: str
    group: str
    kind: Kind
    levels: tuple[str, ...]
    separator: str = ","
    """Between the labels of one cell of a history."""
    date_format: str = ""
    """Of the dates of a history."""
    missing: tuple[str, ...] = ()
    """Cells of a history without a value in this column, beside those of the whole file."""
    has_dates: bool = False
    """Whether events carry dates, too, instead of numbers of days."""
    optional: bool = False
    """Whether its value may be missing, as the type `… | None` declares."""


@dataclass(frozen=True, slots=True)
class _Type:
    """The type of a field: what is left of it without `| None` and `Annotated`, and everything it is annotated with."""

    plain: Any
    optional: bool
    metadata: tuple[Any, ...]

    @classmethod
    def of(cls, info: FieldInfo) -> _Type:
        """The type that a field declares."""
        plain, metadata = info.annotation, tuple(info.metadata)
        others = [one for one in get_args(plain) if one is not NoneType]
        optional = get_origin(plain) in {Union, UnionType} and len(others) == 1
        if optional:
            (plain,) = others
        if get_origin(plain) is Annotated:
            plain, *inner = get_args(plain)
            # A Field(…) inside holds its own.
            metadata += tuple(mark for one in inner for mark in (one.metadata if isinstance(one, FieldInfo) else [one]))
        return cls(plain, optional, metadata)


def plain_type(info: FieldInfo) -> Any:
    """The type of a field's values, without `| None` and annotations."""
    return _Type.of(info).plain


def profile_fields(profile_class: type[BaseModel]) -> tuple[ProfileField, ...]:
    """Every field of the class with its role, in the order in which the class lists them.

    Raises ProfileClassError for a class without fields, for a field without a role, with several, or with a type that
    its role cannot have.
    """
    if not profile_class.model_fields:
        raise ProfileClassError(f"{profile_class.__name__} has no fields: add one, with a role from schemas.roles")
    return tuple(_field(profile_class, name, info) for name, info in profile_class.model_fields.items())


def _field(profile_class: type[BaseModel], name: str, info: FieldInfo) -> ProfileField:
    declared = _Type.of(info)
    roles = [mark for mark in declared.metadata if isinstance(mark, Role)]
    if len(roles) != 1:
        raise ProfileClassError(
            f"field {name!r} of {profile_class.__name__} has {len(roles)} roles, expected one: annotate it with "
            "number(…), days_since(…), boolean(…), ordered(…), category(…) or several_of(…) from schemas.roles"
        )
    (role,) = roles
    _require_type(f"field {name!r} of {profile_class.__name__}", role.kind, declared)
    config = profile_class.model_config
    if role.kind is Kind.SEVERAL_OF:
        _require_json_arrays(f"field {name!r} of {profile_class.__name__}", declared, config)
    if info.alias and not (config.get("validate_by_name") and config.get("validate_by_alias") is False):
        raise ProfileClassError(
            f"field {name!r} of {profile_class.__name__} has an alias (its header in a history), which events would "
            "have to use as well: add model_config = ConfigDict(validate_by_name=True, validate_by_alias=False)"
        )
    return ProfileField(
        name,
        info.alias or name,
        role.group,
        role.kind,
        role.levels,
        role.separator,
        role.date_format,
        role.missing,
        has_dates=declared.plain is date,
        optional=declared.optional,
    )


def _require_type(field: str, kind: Kind, declared: _Type) -> None:
    """Raise ProfileClassError for a type that this kind cannot encode."""
    annotation = declared.plain
    items = [item for item in get_args(annotation) if item is not Ellipsis]
    several = get_origin(annotation) in {tuple, list, set, frozenset} and bool(items) and all(map(_is_label, items))
    fits, wanted = {
        Kind.NUMBER: (annotation in {int, float}, "float or int"),
        Kind.DAYS_SINCE: (annotation in {date, float, int}, "date, or float or int for a number of days"),
        Kind.BOOLEAN: (annotation is bool, "bool"),
        Kind.ORDERED: (_is_label(annotation), "str or a Literal of strings"),
        Kind.CATEGORY: (_is_label(annotation), "str or a Literal of strings"),
        Kind.SEVERAL_OF: (several, "tuple[str, ...], or a list or set of str"),
    }[kind]
    if not fits:
        given = annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else annotation
        raise ProfileClassError(f"{field} has the role {kind} and the type {given}: use the type {wanted}")


def _is_label(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation is str or (
        get_origin(annotation) is Literal and all(isinstance(one, str) for one in get_args(annotation))
    )


def _require_json_arrays(field: str, declared: _Type, config: ConfigDict) -> None:
    """Raise ProfileClassError for a strict tuple or set: JSON has only arrays, so every event would be invalid."""
    marks = reversed(declared.metadata)
    strict = next((mark.strict for mark in marks if isinstance(mark, Strict)), config.get("strict"))
    if strict and get_origin(declared.plain) is not list:
        raise ProfileClassError(
            f"{field} is strict, so an array in an event is not accepted as {declared.plain}: use the type list[str], "
            "or Field(strict=False)"
        )


def history_id_column(profile_class: type[BaseModel]) -> str | None:
    """The header of the column with the user ids in a history, as the class declares it.

    None if it declares that there is none: a user is then known by the number of the line or row. Raises
    ProfileClassError if the class does not declare it.
    """
    header = getattr(profile_class, "history_id_column", "")
    if header is not None and (not isinstance(header, str) or not header):
        raise ProfileClassError(
            f"{profile_class.__name__} does not say which column of a history has the user ids: "
            'add history_id_column: ClassVar[str] = "…", or ClassVar[None] = None if no column has them'
        )
    return header


def schema_digest(profile_class: type[BaseModel]) -> str:
    """SHA-256 (64 hexadecimal digits) of what a model depends on: names, roles, order and bounds of the fields.

    Headers, descriptions, the version of pydantic, and whether a value may be missing do not change it: every model
    knows what to do without a value.
    """
    facts = [
        [field.name, field.group, field.kind, field.levels, _bounds(profile_class.model_fields[field.name])]
        for field in profile_fields(profile_class)
    ]
    return hashlib.sha256(json.dumps(facts, separators=(",", ":")).encode()).hexdigest()


def _bounds(info: FieldInfo) -> list[str]:
    kept = (annotated_types.Ge, annotated_types.Gt, annotated_types.Le, annotated_types.Lt, annotated_types.MultipleOf)
    return sorted(repr(mark) for mark in _Type.of(info).metadata if isinstance(mark, kept))


def load_profile_class(reference: str) -> type[BaseModel]:
    """The profile class that `package.module:Class` or `path/to/file.py:Class` names, with its fields checked.

    Modules are also searched in the working directory. Raises ProfileClassError, naming the reference, if the file,
    module or class does not exist, if importing it fails, or if a field cannot be used.
    """
    where, separator, class_name = reference.rpartition(":")
    if not separator or not where or not class_name:
        raise ProfileClassError(
            f"{reference!r} is not a profile class: write package.module:Class or path/to/file.py:Class"
        )
    with warnings.catch_warnings():
        # Harmless: a field named copy or json hides a method of BaseModel that nothing here calls.
        warnings.filterwarnings("ignore", 'Field name ".*" shadows an attribute in parent', UserWarning)
        module = _file_module(where) if where.endswith(".py") else _named_module(where)
    found = getattr(module, class_name, None)
    if not isinstance(found, type) or not issubclass(found, BaseModel):
        raise ProfileClassError(
            f"{where} has no pydantic class named {class_name}: check the name after the colon{_collision(where)}"
        )
    try:
        found.model_rebuild(_types_namespace=vars(module))
    except (NameError, PydanticUserError) as error:
        reason = str(error).partition("\n")[0]
        raise ProfileClassError(f"{reference} is incomplete ({reason}): define the names in its annotations") from error
    profile_fields(found)
    history_id_column(found)
    history_format(found)
    return found


def _named_module(name: str) -> ModuleType:
    before = sys.path
    # Last, so that a file there does not hide an installed package.
    sys.path = [*before, str(Path.cwd())]
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # a user's module may raise anything when imported
        raise ProfileClassError(
            f"module {name} cannot be imported ({error}): check the name before the colon{_collided(error)}"
        ) from error
    finally:
        sys.path = before


def _file_module(path: str) -> ModuleType:
    if not Path(path).is_file():
        raise ProfileClassError(f"there is no file {path}: check the path before the colon")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ProfileClassError(f"{path} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a user's file may raise anything when run
        raise ProfileClassError(f"{path} cannot be imported: {error}{_collided(error)}") from error
    return module


def _collided(error: BaseException) -> str:
    """A hint for when an import may have found a package of this program instead of the user's module."""
    if isinstance(error, ImportError):
        return _collision(error.name or "")
    owner = error.obj if isinstance(error, AttributeError) else None
    return _collision(owner.__name__) if isinstance(owner, ModuleType) else ""


def _collision(module: str) -> str:
    package = module.partition(".")[0]
    if package not in _OWN_PACKAGES:
        return ""
    return f" ({package} is a package of this program: if you meant your own module, rename it)"


_OWN_PACKAGES = frozenset({"schemas", "models", "trainer", "worker", "demo"})
