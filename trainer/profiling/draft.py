"""The draft of a profile class: what each column of a table is, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from schemas.counting import counted
from schemas.csv_format import CsvFormat
from schemas.roles import Kind
from trainer.errors import HistoryError
from trainer.history.markers import AMONG_LABELS, AMONG_NUMBERS, NO_ANSWERS, is_marker
from trainer.profiling.columns import Kept, LeftOut, described
from trainer.profiling.dates import TO_COME, orders_of
from trainer.profiling.facts import Facts, facts_of
from trainer.profiling.field_names import field_names
from trainer.profiling.identity import BY_ITS_FORM, NO_RANK, id_rank, identifies, names_the_user
from trainer.profiling.number_formats import Doubt, sniffed_numbers
from trainer.profiling.scales import known_order
from trainer.profiling.table import Column, Stored, Table
from trainer.profiling.words import FALSE, TRUE, words_of

# The share of rows that may be refused for the sake of columns with a few misspelt cells.
MOST_BAD_ROWS: Final = 0.05
# `fit` leaves out a column that more users lack.
MOST_MISSING: Final = 0.5
# How far the newest date of a column is after those of all others, before a person is asked about it.
_FAR: Final = timedelta(days=366)
# Others that are so much older are birthdays.
_OF_BIRTH: Final = timedelta(days=3653)
# `fit` compares every pair of columns.
MOST_FIELDS: Final = 200


@dataclass(frozen=True, slots=True)
class DraftedColumn:
    """What one column of a table becomes."""

    header: str
    field: str
    role: Kept | LeftOut | None
    """None for the column with the users' ids."""
    examples: tuple[str, ...]
    missing_share: float
    """The share of rows without a value."""
    refused: int
    """Rows with a cell that the field cannot have."""
    missing: tuple[str, ...] = ()
    """Cells without a value that are labels in another column."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A profile class for a table, before it is written."""

    path: Path
    rows: int
    unit: str
    written: CsvFormat
    """Of a Parquet file only what is missing."""
    id_header: str | None
    columns: tuple[DraftedColumn, ...]
    bad_rows: int
    """At most so many rows have a cell that the class refuses."""
    notes: tuple[str, ...]

    @property
    def fields(self) -> tuple[tuple[DraftedColumn, Kept], ...]:
        """The columns that become fields."""
        return tuple((column, column.role) for column in self.columns if isinstance(column.role, Kept))


def draft_of(path: Path, table: Table) -> Draft:
    """What each column of the table is; the same table always gives the same draft.

    Raises HistoryError for a table without rows, of events instead of users, or without a column that can segment.
    """
    _refuse_rows(path, table)
    written, doubts, markers = _written(table)
    facts = [facts_of(*each, table, written) for each in zip(table.columns, markers, doubts, strict=True)]
    headers = Counter(column.header for column in table.columns)
    id_column, repeated, notes = _id_column(path, [one for one in facts if headers[one.column.header] == 1], table)
    names = field_names(column.header for column in table.columns)
    drafted_columns = []
    texts_of_booleans: set[str] = set()
    orders = orders_of((one.column.header, one.dates) for one in facts)
    for one in facts:
        header = one.column.header
        twice = headers[header] > 1 and header.strip()
        role = None if one is id_column else _repeated(header, table) if twice else described(one, orders)
        if isinstance(role, Kept) and role.kind is Kind.BOOLEAN:
            texts_of_booleans |= {cell.strip().casefold() for cell in one.cells}
        examples = () if role is None or _hides_its_values(one, role) else one.examples
        missing_share = _missing(one, role) / table.rows
        refused = role.misspelt if isinstance(role, Kept) else 0
        own = tuple(sorted(one.markers - {*written.missing}))
        drafted_columns.append(DraftedColumn(header, names[header], role, examples, missing_share, refused, own))
    columns, bad = _within_limits(_without_future(drafted_columns), table.rows, repeated + table.uneven)
    drafted = Draft(
        path=path,
        rows=table.rows,
        unit=table.unit,
        written=written if table.cells is None else _with_booleans(written, texts_of_booleans),
        id_header=None if id_column is None else id_column.column.header,
        columns=tuple(columns),
        bad_rows=bad,
        notes=(*notes, *_notes(table)),
    )
    if not drafted.fields:
        reasons = "; ".join(
            f"{one.header[:40]!r}: {one.role.reason}" for one in columns if isinstance(one.role, LeftOut)
        )
        raise HistoryError(f"{path} has no column that can segment users ({reasons or 'only their ids'})")
    return drafted


def _repeated(header: str, table: Table) -> LeftOut:
    *others, last = (str(at) for at, column in enumerate(table.columns, start=1) if column.header == header)
    return LeftOut(f"columns {', '.join(others)} and {last} have this header: give each its own")


def _missing(facts: Facts, role: Kept | LeftOut | None) -> int:
    """Rows without a value in the column; an empty cell of a list is an empty list."""
    if isinstance(role, Kept) and role.kind is Kind.SEVERAL_OF:
        without_value = facts.column.counts.keys() - facts.cells.keys()
        return facts.missing - sum(facts.column.counts[cell] for cell in without_value if not cell.strip())
    return facts.missing


def _hides_its_values(facts: Facts, role: Kept | LeftOut) -> bool:
    """Whether a column is left out for good, so that its values may be names, or identify users in another way."""
    return isinstance(role, LeftOut) and (role.otherwise is None or bool(identifies(facts)))


def _refuse_rows(path: Path, table: Table) -> None:
    if not table.rows:
        raise HistoryError(f"{path} has a header but no rows: add one row per user")
    if table.rows == 1:
        raise HistoryError(f"{path} has a single row: a table with one row per user is needed, of many users")
    if table.uneven > MOST_BAD_ROWS * table.rows:
        raise HistoryError(
            f"{path} has {counted(table.uneven, 'row')} of another width than its header ({table.first_uneven}): "
            "quote cells that contain the separator"
        )


def _notes(table: Table) -> Iterable[str]:
    if table.uneven:
        yield f"refused: {counted(table.uneven, 'row')} of another width ({table.first_uneven})"
    for line, first in table.no_users.items():
        yield (
            f"line {line} has {first!r}, which counts as a user: is it one? Remove the line if it sums up the others, "
            "or is a remark"
        )
    if table.rows < 200:
        yield f"{table.rows} users are few: choosing a number of segments takes 40, and certainty hundreds"


# --- how cells are written -------------------------------------------------------------------------------------------


def _written(table: Table) -> tuple[CsvFormat, Sequence[Doubt], list[frozenset[str]]]:
    """The format of the cells, with numbers and missing values as all columns together have them.

    And by column what is doubtful about its numbers, and the cells that hold no value: the format has those that are
    not labels in another one.
    """
    without = [
        {cell: count for cell, count in column.counts.items() if not is_marker(cell)} for column in table.columns
    ]
    undoubted = CsvFormat(), [Doubt()] * len(table.columns)
    written, doubts = undoubted if table.cells is None else sniffed_numbers(without, table.cells)
    markers: list[frozenset[str]] = []
    elsewhere: set[str] = set()
    for column, others in zip(table.columns, without, strict=True):
        facts = Facts(column, others, table.rows, written, Doubt())
        strict = facts.are_numbers or facts.dates is not None
        known = {cell.strip() for cell in column.counts if is_marker(cell)}
        missing = {cell for cell in known if _may_be_missing(column) and _is_missing(cell, column, strict=strict)}
        if facts.dates is not None and _may_be_missing(column):
            missing |= {cell.strip() for cell in facts.dates.markers}
        markers.append(frozenset(missing - {""}))  # an empty cell is missing without being declared
        elsewhere |= known - missing
    return replace(written, missing=tuple(sorted(frozenset().union(*markers) - elsewhere))), doubts, markers


def _may_be_missing(column: Column) -> bool:
    return column.stored in {Stored.CELLS, Stored.TEXT}


def _with_booleans(written: CsvFormat, texts: set[str]) -> CsvFormat:
    """The format with what stands for true and false in the columns that have nothing else."""
    true, false = (tuple(sorted(texts & known)) for known in (TRUE, FALSE))
    return replace(written, true=true, false=false) if texts else written


def _is_missing(cell: str, column: Column, *, strict: bool) -> bool:
    """Whether a cell holds no value, in a column of numbers or dates (strict) or of labels."""
    marker = cell.casefold()
    if not strict and marker == "-" and any(label.strip() == "+" for label in column.counts):
        return False
    if not strict and marker in NO_ANSWERS:
        return (
            known_order(label for label in column.counts if not is_marker(label, AMONG_LABELS | NO_ANSWERS)) is not None
        )
    if strict or marker != "na":
        return is_marker(cell, AMONG_NUMBERS if strict else AMONG_LABELS)
    # A label beside other short codes: Namibia, North America.
    labels = [label.strip() for label in column.counts if label.strip() != cell]
    codes = [label for label in labels if len(label) <= 3 and label.isupper()]
    return len(codes) < 0.5 * len(labels)


# --- the id ----------------------------------------------------------------------------------------------------------


def _id_column(path: Path, facts: Sequence[Facts], table: Table) -> tuple[Facts | None, int, list[str]]:
    """The column that identifies a user, how many of its rows repeat one or have none, and what to say about it."""
    usable = [one for one in facts if one.column.header and _can_be_id(one.column.stored)]
    for one in usable:
        if names_the_user(one.column.header) and one.distinct < (1 - MOST_BAD_ROWS) * one.known:
            raise HistoryError(
                f"{path} has {table.rows:,} rows for {counted(one.distinct, 'user')} in {one.column.header!r}, so it "
                "is a table of events or orders: aggregate it to one row per user, such as the number, the sum and the "
                "last day"
            )
    ranked = [(id_rank(one), at) for at, one in enumerate(usable) if one.distinct >= (1 - MOST_BAD_ROWS) * table.rows]
    ranked.sort()
    rank, at = ranked[0] if ranked else (NO_RANK, 0)
    if rank == NO_RANK:
        return (
            None,
            0,
            ["no column identifies a user: the number of a user's line is the id, so keep the order of rows"],
        )
    found = usable[at]
    repeated = table.rows - table.uneven - found.distinct if found.complete else found.missing
    refused = f"refused: {counted(repeated, 'row')} with a repeated or empty {found.column.header!r}"
    notes = [refused] if repeated else []
    if rank == BY_ITS_FORM and (why := identifies(found)):
        notes.append(
            f"{found.column.header!r} is the id only because {why}: if it measures something, set history_id_column to "
            "None and add a field for it"
        )
    likely = [
        usable[other].column.header for each, other in ranked[1:] if each < BY_ITS_FORM and not usable[other].counts_up
    ]
    if likely:
        others = " or ".join(map(repr, likely[:3]))
        notes.append(f"{found.column.header!r} is taken as the id: if it is {others}, set history_id_column to it")
    if found.personal:
        notes.append(f"the only id is personal ({found.personal}): a number or a hash in its place protects your users")
    return found, repeated, notes


def _can_be_id(stored: Stored) -> bool:
    return stored in {Stored.CELLS, Stored.TEXT, Stored.NUMBERS}


# --- dates that may be in the future ---------------------------------------------------------------------------------


def _without_future(columns: Sequence[DraftedColumn]) -> list[DraftedColumn]:
    """The columns, without dates that may be in the future by their header and by the other columns.

    Today plays no part in it: the same table always gives the same draft.
    """
    roles = {at: one.role for at, one in enumerate(columns) if isinstance(one.role, Kept)}
    newest = {at: role.newest for at, role in roles.items() if role.newest is not None}
    to_come = {at for at in newest if words_of(columns[at].header) & TO_COME}
    found: dict[int, Kept | LeftOut] = {}
    for at, day in newest.items():
        others = [other for each, other in newest.items() if each not in to_come and each != at]
        if at in to_come and (not others or day > max(others)):
            found[at] = LeftOut(
                f"its header says that its dates, up to {day}, may be in the future, and events with such dates are "
                "rejected: make it the number of days until then, or uncomment it if all are past",
                roles[at],
            )
        elif others and _FAR < day - max(others) < _OF_BIRTH and not roles[at].question:
            question = f"Is {day} in the future? Then comment it out: events with such dates are rejected."
            found[at] = replace(roles[at], question=question)
    return [replace(one, role=found.get(at, one.role)) for at, one in enumerate(columns)]


# --- the columns that `fit` accepts ----------------------------------------------------------------------------------


def _within_limits(columns: Sequence[DraftedColumn], rows: int, already_bad: int) -> tuple[list[DraftedColumn], int]:
    """The columns, without those that a fit would leave out or refuse, and at most how many rows it refuses.

    A column with few cells that are refused is kept before one with many.
    """
    bad = already_bad
    out: dict[int, LeftOut] = {}
    for at in sorted(range(len(columns)), key=lambda at: columns[at].refused):
        role, missing, refused = columns[at].role, columns[at].missing_share, columns[at].refused
        if not isinstance(role, Kept):
            continue
        if missing > MOST_MISSING:
            out[at] = LeftOut(f"{_percent(missing)} of the users have no value", role)
        elif refused and bad + refused > MOST_BAD_ROWS * rows:
            out[at] = LeftOut(
                f"{_percent(refused / rows)} of the rows have no value{role.bad_example}: correct them, or uncomment "
                "it and use --skip-bad-rows to leave these users out",
                role,
            )
        else:
            bad += refused
    kept = [at for at, column in enumerate(columns) if isinstance(column.role, Kept) and at not in out]
    for at in kept[MOST_FIELDS:]:
        role = columns[at].role
        out[at] = LeftOut(
            f"beyond the first {MOST_FIELDS} fields: uncomment those that matter more",
            role if isinstance(role, Kept) else None,
        )
    return [replace(column, role=out.get(at, column.role)) for at, column in enumerate(columns)], bad


def _percent(share: float) -> str:
    return "less than 1 %" if share < 0.01 else f"{100 * share:.0f} %"
