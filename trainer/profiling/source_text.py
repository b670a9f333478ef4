"""A drafted profile class as a Python file that a person reads and edits, and an event of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

from schemas.csv_format import CsvFormat
from schemas.events import OBSERVED_TYPE
from schemas.roles import Kind
from trainer.profiling.columns import Kept, LeftOut
from trainer.profiling.dates import ISO_FORMAT
from trainer.profiling.draft import Draft, DraftedColumn
from trainer.profiling.words import Bounds

CLASS_NAME: Final = "Customer"
_LINE: Final = 120
_TYPES: Final = {
    "Number": (
        "# JSON has one number type, so that a number is a float; strict: text and true are not numbers.\n"
        "Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]"
    ),
    "Label": "Label = Annotated[str, Field(strict=True, min_length=1, max_length=200)]",
    "Labels": (
        "Labels = Annotated[tuple[Annotated[str, Field(strict=True, min_length=1, max_length=200)], ...], "
        "Field(max_length=1000)]"
    ),
}
_TYPE_OF: Final = {
    Kind.NUMBER: "Number",
    Kind.DAYS_SINCE: "date",
    Kind.BOOLEAN: "bool",
    Kind.ORDERED: "Label",
    Kind.CATEGORY: "Label",
    Kind.SEVERAL_OF: "Labels",
}
_FUNCTION_OF: Final = {
    Kind.NUMBER: "number",
    Kind.DAYS_SINCE: "days_since",
    Kind.BOOLEAN: "boolean",
    Kind.ORDERED: "ordered",
    Kind.CATEGORY: "category",
    Kind.SEVERAL_OF: "several_of",
}


def profile_source(draft: Draft, next_command: str) -> str:
    """The whole file; equal drafts give equal files."""
    return "\n".join([*_head(draft), "", "", *_class(draft), "", "", *_foot(draft, next_command), ""])


def example_event(draft: Draft) -> dict[str, Any]:
    """An event of the class: typical values, which no single user need have together."""
    dates = [str(role.typical) for _, role in draft.fields if role.kind is Kind.DAYS_SINCE]
    return {
        "specversion": "1.0",
        "type": OBSERVED_TYPE,
        "source": "/profiles",
        "id": "event-1",
        "subject": "user-1",
        "time": f"{max(['2026-01-01', *dates])}T00:00:00Z",
        "data": {column.field: _json(role.typical) for column, role in draft.fields},
    }


def _json(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


# --- the parts of the file -------------------------------------------------------------------------------------------


def _head(draft: Draft) -> Iterator[str]:
    yield f'"""The profile of a user in {_in_comment(draft.path.name)}, drafted by `segment-trainer init`: edit it.'
    yield ""
    yield "Each field has a role: number, days_since (a date), boolean, ordered (lowest label first), category or"
    yield "several_of. Numbers beyond their bounds are rejected, so bounds come from what a column means, not from its"
    yield "values. Groups are yours."
    yield '"""'
    yield ""
    # Those that only a commented line needs are there, too, so that it can be uncommented.
    roles = [column.role for column in draft.columns]
    wanted = [one.otherwise if isinstance(one, LeftOut) else one for one in roles]
    kinds = {role.kind for role in wanted if role is not None}
    if Kind.DAYS_SINCE in kinds:
        yield "from datetime import date"
    yield "from typing import Annotated, ClassVar"
    yield ""
    yield "from pydantic import BaseModel, ConfigDict, Field"
    yield ""
    if draft.written != CsvFormat():
        yield "from schemas.csv_format import CsvFormat"
    yield f"from schemas.roles import {', '.join(sorted(_FUNCTION_OF[kind] for kind in kinds))}"
    yield ""
    types = {_TYPE_OF[kind] for kind in kinds}
    yield from (text for name, text in _TYPES.items() if name in types)


def _class(draft: Draft) -> Iterator[str]:
    yield f"class {CLASS_NAME}(BaseModel):"
    yield '    """A user\'s profile; events use the names of the fields, the history the aliases."""'
    yield ""
    yield '    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=False, extra="ignore")'
    yield ""
    if draft.id_header is None:
        yield f"    # No column identifies a user: the number of the {draft.unit} does."
        yield "    history_id_column: ClassVar[str | None] = None"
    else:
        yield f"    history_id_column: ClassVar[str] = {_quoted(draft.id_header)}"
    if draft.written != CsvFormat():
        yield from _format(draft.written)
    for column in draft.columns:
        if column.role is not None:
            yield ""
            yield from (f"    {line}" for line in _column(column))


def _format(written: CsvFormat) -> Iterator[str]:
    given = [
        f"{each.name}={_value(getattr(written, each.name))}"
        for each in fields(CsvFormat)
        if getattr(written, each.name) != each.default
    ]
    line = f"    history_format: ClassVar[CsvFormat] = CsvFormat({', '.join(given)})"
    if len(line) <= _LINE:
        yield line
        return
    yield "    history_format: ClassVar[CsvFormat] = CsvFormat("
    yield from (f"        {each}," for each in given)
    yield "    )"


def _column(column: DraftedColumn) -> Iterator[str]:
    role = column.role
    examples = f" ({', '.join(map(_in_comment, column.examples))})" if column.examples else ""
    if isinstance(role, Kept):
        yield f"# {_in_comment(role.reason)}{examples}"
        if role.question:
            yield f"# {_in_comment(role.question)}"
        yield from _field(column, role)
    elif isinstance(role, LeftOut):
        yield f"# Left out: {_quoted(column.header)}: {_in_comment(role.reason)}{examples}"
        if role.otherwise is not None:
            yield from (f"# {line}" for line in _field(column, role.otherwise))


def _field(column: DraftedColumn, role: Kept) -> Iterator[str]:
    arguments = [_quoted(role.group), *map(_quoted, role.levels)]
    if role.separator != ",":
        arguments.append(f"separator={_quoted(role.separator)}")
    if role.date_format not in {"", ISO_FORMAT}:
        arguments.append(_quoted(role.date_format))
    if column.missing:
        arguments.append(f"missing={_value(column.missing)}")
    function = f"{_FUNCTION_OF[role.kind]}({', '.join(arguments)})"
    limits = _limits(role.bounds, whole=role.whole) if role.kind is Kind.NUMBER else ""
    optional = column.missing_share > 0
    parts = [
        f"{_TYPE_OF[role.kind]}{' | None' if optional else ''}",
        *([f"Field({limits})"] if limits else []),
        function,
    ]
    given = ["default=None"] if optional else []
    given += [f"alias={_quoted(column.header)}"] if column.header != column.field else []
    alias = f" = Field({', '.join(given)})" if column.header != column.field else " = None" if optional else ""
    line = f"{column.field}: Annotated[{', '.join(parts)}]{alias}"
    if len(line) <= _LINE - 4:
        yield line
        return
    if alias and len(line) - len(alias) <= _LINE - 14:
        yield f"{line.removesuffix(alias)} = Field("
        yield f"    {', '.join(given)}"
        yield ")"
        return
    yield f"{column.field}: Annotated["
    for part in parts[:-1]:
        yield f"    {part},"
    if len(function) <= _LINE - 12:
        yield f"    {function},"
    else:
        yield f"    {_FUNCTION_OF[role.kind]}("
        yield from (f"        {argument}," for argument in arguments)
        yield "    ),"
    yield f"]{alias}"


def _limits(bounds: Bounds, *, whole: bool) -> str:
    limits: Mapping[str, float | None] = {"ge": bounds.low, "le": bounds.high, "multiple_of": 1 if whole else None}
    return ", ".join(f"{name}={limit:.9g}" for name, limit in limits.items() if limit is not None)


def _foot(draft: Draft, next_command: str) -> Iterator[str]:
    yield "# An event of this class; its subject is the user's id:"
    yield from (f"# {line}" for line in json.dumps(example_event(draft), indent=2, ensure_ascii=False).splitlines())
    yield "#"
    yield f"# Next: {_in_comment(next_command)}"


# --- text ------------------------------------------------------------------------------------------------------------


def _quoted(text: str) -> str:
    """A literal in double quotes; in escapes what a person could not see."""
    quoted = repr(text)
    if quoted.startswith("'") and '"' not in quoted:
        return f'"{quoted[1:-1]}"'
    return quoted


def _value(value: str | tuple[str, ...]) -> str:
    if isinstance(value, str):
        return _quoted(value)
    return f"({', '.join(map(_quoted, value))}{',' if len(value) == 1 else ''})"


def _in_comment(text: str) -> str:
    """Text on one line, which cannot end a comment or a docstring."""
    return "".join(c if c.isprintable() else " " for c in text).replace("\\", "/").replace('"""', "'''")
