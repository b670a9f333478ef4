"""segment-trainer init: a profile class for a table that nobody prepared."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from schemas.counting import counted
from schemas.roles import Kind
from trainer.atomic_file import new_file
from trainer.errors import OutputError
from trainer.profiling.columns import Kept, LeftOut
from trainer.profiling.draft import Draft, DraftedColumn, draft_of
from trainer.profiling.source_text import CLASS_NAME, example_event, profile_source
from trainer.profiling.table import read_table
from trainer.text.console import print_facts, print_json, print_table

# Of the table for people; the file has all of it.
_LONGEST_CELL: Final = 40
_LONGEST_REASON: Final = 80


@dataclass(frozen=True, slots=True)
class Initialised:
    """A drafted class, where it was written, and what to do next."""

    draft: Draft
    output: Path
    next_command: str


def init(data: Path, output: Path, store_flag: str) -> Initialised:
    """Draft a profile class for a table and write it, whole or not at all.

    A file with the same text is left as it is. Raises HistoryError for a file that is not a table of users, OutputError
    when another file exists or it cannot be written.
    """
    if output.suffix != ".py":
        raise OutputError(f"{output} is not a Python file: give a name that ends in .py")
    draft = draft_of(data, read_table(data))
    skip = " --skip-bad-rows" if draft.bad_rows else ""
    reference = shlex.quote(f"{output}:{CLASS_NAME}")
    next_command = f"segment-trainer fit {shlex.quote(str(data))} --profile {reference}{skip}{store_flag}"
    _write(output, profile_source(draft, next_command))
    return Initialised(draft, output, next_command)


def _write(output: Path, text: str) -> None:
    try:
        with new_file(output) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    except FileExistsError as error:
        if output.is_file() and output.read_bytes() == text.encode():
            return
        raise OutputError(
            f"{output} already exists and is never overwritten: give another path, or move it away"
        ) from error
    except OSError as error:
        raise OutputError(f"{output} cannot be written ({error.strerror or error}): give another path") from error


def print_initialised(done: Initialised) -> None:
    """Print what each column became and why, and what to do next."""
    draft = done.draft
    print_table(
        ("column", "role", "group", "no value", "why", "examples"),
        [
            (
                _shown(column.header, _LONGEST_CELL),
                _role(column),
                column.role.group if isinstance(column.role, Kept) else "",
                f"{100 * column.missing_share:.1f} %" if column.missing_share else "",
                _shown(_why(column), _LONGEST_REASON),
                " · ".join(_shown(example, _LONGEST_CELL) for example in column.examples),
            )
            for column in draft.columns
        ],
    )
    print()
    facts = [("users", f"{draft.rows:,}"), *(("note", note) for note in draft.notes)]
    for column, role in draft.fields:
        if role.question:
            facts.append(("question", f"{_shown(column.header, _LONGEST_CELL)}: {_shown(role.question)}"))
    if draft.bad_rows:
        facts.append(
            (
                "note",
                f"at most {counted(draft.bad_rows, 'row')} with a bad cell, which --skip-bad-rows leaves out",
            )
        )
    print_facts(
        facts,
        to_copy=[
            ("profile class", f"{done.output} (read it: roles, bounds and groups are yours)"),
            ("next", done.next_command),
        ],
    )


def print_initialised_as_json(done: Initialised) -> None:
    """Print the same as JSON, with an event of the class."""
    draft = done.draft
    print_json(
        {
            "data": str(draft.path),
            "profile": f"{done.output}:{CLASS_NAME}",
            "users": draft.rows,
            "id": draft.id_header,
            "format": asdict(draft.written) if draft.unit == "line" or draft.written.missing else None,
            "columns": [_as_json(column) for column in draft.columns],
            "bad_rows_at_most": draft.bad_rows,
            "notes": [*draft.notes],
            "event": example_event(draft),
            "next": done.next_command,
        }
    )


def _as_json(column: DraftedColumn) -> dict[str, Any]:
    role = column.role
    shown: dict[str, Any] = {"column": column.header, "role": _role(column), "reason": _why(column)}
    if isinstance(role, Kept):
        shown |= _field_as_json(column, role)
    elif isinstance(role, LeftOut) and role.otherwise is not None:
        shown["if_uncommented"] = {"role": role.otherwise.kind, **_field_as_json(column, role.otherwise)}
    return shown | {"no_value_share": column.missing_share, "examples": [*column.examples]}


def _field_as_json(column: DraftedColumn, role: Kept) -> dict[str, Any]:
    shown: dict[str, Any] = {"field": column.field, "group": role.group, "optional": column.missing_share > 0}
    shown |= {"low": role.bounds.low, "high": role.bounds.high} if role.kind is Kind.NUMBER else {}
    shown |= {"levels": [*role.levels]} if role.levels else {}
    shown |= {"separator": role.separator} if role.kind is Kind.SEVERAL_OF else {}
    shown |= {"date_format": role.date_format} if role.kind is Kind.DAYS_SINCE else {}
    shown |= {"missing": [*column.missing]} if column.missing else {}
    return shown | ({"question": role.question} if role.question else {})


def _role(column: DraftedColumn) -> str:
    if column.role is None:
        return "id"
    return "left out" if isinstance(column.role, LeftOut) else str(column.role.kind)


def _why(column: DraftedColumn) -> str:
    return "identifies a user" if column.role is None else column.role.reason


def _shown(text: str, longest: int | None = None) -> str:
    """Text on one line, shortened where it is longer than a cell of a table may be."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain if longest is None or len(plain) <= longest else f"{plain[: longest - 1]}…"
