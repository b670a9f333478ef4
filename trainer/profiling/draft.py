"""The draft of a profile class: what each column of a table is, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from schemas.csv_format import CsvFormat
from schemas.roles import Kind
from trainer.errors import HistoryError
from trainer.profiling.columns import Kept, LeftOut, described
from trainer.profiling.dialect import sniffed_numbers
from trainer.profiling.facts import Facts, facts_of
from trainer.profiling.field_names import field_names
from trainer.profiling.table import MISSING, Column, Stored, Table
from trainer.profiling.words import FALSE, TRUE, words_of

# Among labels fewer cells are missing than among numbers: "none" is a label, and so is NA (Namibia, North America)
# beside other short codes.
_MISSING_LABELS: Final = frozenset({"", "n/a", "#n/a", "<na>", "nan", "nat", "null", "-", "--", "?", "\\n"})
# The share of rows that may be refused for the sake of columns with a few misspelt cells.
MOST_BAD_ROWS: Final = 0.05
# `fit` leaves out a column that more users lack.
MOST_MISSING: Final = 0.5
# `fit` compares every pair of columns.
MOST_FIELDS: Final = 200
_PEOPLE: Final = frozenset(
    {"user", "customer", "cust", "client", "member", "subscriber", "shopper", "household", "kunde", "kunden", "person"}
)
_TWICE: Final = LeftOut("its header appears twice: rename one of them")
_ID_WORDS: Final = frozenset({"id", "uid", "uuid", "guid", "key", "nr", "no", "code", "index", "rownames"})
_JOINED_ID: Final = re.compile(
    r"(user|customer|cust|client|member|subscriber|household|account|kunden)(id|key|no|nr|number|nummer)"
)


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
    written, markers = _written(table)
    facts = [facts_of(*each, table, written) for each in zip(table.columns, markers, strict=True)]
    headers = Counter(column.header for column in table.columns)
    id_column, repeated, notes = _id_column(path, [one for one in facts if headers[one.column.header] == 1], table)
    names = field_names(column.header for column in table.columns)
    drafted_columns = []
    texts_of_booleans: set[str] = set()
    for one in facts:
        header = one.column.header
        role = None if one is id_column else _TWICE if headers[header] > 1 else described(one)
        if isinstance(role, Kept) and role.kind is Kind.BOOLEAN:
            texts_of_booleans |= {cell.strip().casefold() for cell in one.cells}
        examples = () if role is None else one.examples
        missing_share = _missing(one, role) / table.rows
        refused = one.misspelt if isinstance(role, Kept) and role.kind is Kind.NUMBER else 0
        own = tuple(sorted(one.markers - {*written.missing}))
        drafted_columns.append(DraftedColumn(header, names[header], role, examples, missing_share, refused, own))
    columns, bad = _within_limits(drafted_columns, table.rows, repeated + table.uneven)
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


def _missing(facts: Facts, role: Kept | LeftOut | None) -> int:
    """Rows without a value in the column; an empty cell of a list is an empty list."""
    if isinstance(role, Kept) and role.kind is Kind.SEVERAL_OF:
        without_value = facts.column.counts.keys() - facts.cells.keys()
        return facts.missing - sum(facts.column.counts[cell] for cell in without_value if not cell.strip())
    return facts.missing


def _refuse_rows(path: Path, table: Table) -> None:
    if not table.rows:
        raise HistoryError(f"{path} has a header but no rows: add one row per user")
    if table.rows == 1:
        raise HistoryError(f"{path} has a single row: a table with one row per user is needed, of many users")
    if table.uneven > MOST_BAD_ROWS * table.rows:
        raise HistoryError(
            f"{path} has {table.uneven:,} rows of another width than its header ({table.first_uneven}): "
            "quote cells that contain the separator"
        )


def _notes(table: Table) -> Iterable[str]:
    if table.uneven:
        yield f"{table.uneven:,} rows of another width are refused ({table.first_uneven})"
    if table.rows < 200:
        yield f"{table.rows} users are few: choosing a number of segments takes 40, and certainty hundreds"


# --- how cells are written -------------------------------------------------------------------------------------------


def _written(table: Table) -> tuple[CsvFormat, list[frozenset[str]]]:
    """The format of the cells, with numbers and missing values as all columns together have them.

    And the cells that hold no value, by column: the format has those that are not labels in another one.
    """
    without = [
        {cell: count for cell, count in column.counts.items() if cell.strip().casefold() not in MISSING}
        for column in table.columns
    ]
    written = CsvFormat() if table.cells is None else sniffed_numbers(without, table.cells)
    markers: list[frozenset[str]] = []
    elsewhere: set[str] = set()
    for column, others in zip(table.columns, without, strict=True):
        numbers = Facts(column, others, table.rows, written).are_numbers
        known = {cell.strip() for cell in column.counts if cell.strip().casefold() in MISSING}
        missing = {cell for cell in known if _may_be_missing(column) and _is_missing(cell, column, numbers=numbers)}
        markers.append(frozenset(missing - {""}))  # an empty cell is missing without being declared
        elsewhere |= known - missing
    return replace(written, missing=tuple(sorted(frozenset().union(*markers) - elsewhere))), markers


def _may_be_missing(column: Column) -> bool:
    return column.stored in {Stored.CELLS, Stored.TEXT}


def _with_booleans(written: CsvFormat, texts: set[str]) -> CsvFormat:
    """The format with what stands for true and false in the columns that have nothing else."""
    true, false = (tuple(sorted(texts & known)) for known in (TRUE, FALSE))
    return replace(written, true=true, false=false) if texts else written


def _is_missing(cell: str, column: Column, *, numbers: bool) -> bool:
    marker = cell.casefold()
    if not numbers and marker == "-" and any(label.strip() == "+" for label in column.counts):
        return False
    if numbers or marker != "na":
        return marker in (MISSING if numbers else _MISSING_LABELS)
    labels = [label.strip() for label in column.counts if label.strip() != cell]
    codes = [label for label in labels if len(label) <= 3 and label.isupper()]
    return len(codes) < 0.5 * len(labels)


# --- the id ----------------------------------------------------------------------------------------------------------


def _id_column(path: Path, facts: Sequence[Facts], table: Table) -> tuple[Facts | None, int, list[str]]:
    """The column that identifies a user, how many of its rows repeat one or have none, and what to say about it."""
    usable = [one for one in facts if one.column.header and _can_be_id(one.column.stored)]
    for one in usable:
        if _names_users(one.column.header) and one.distinct < (1 - MOST_BAD_ROWS) * one.known:
            raise HistoryError(
                f"{path} has {table.rows:,} rows for {one.distinct:,} users in {one.column.header!r}, so it is a table "
                "of events or orders: aggregate it to one row per user, such as the number, the sum and the last day"
            )
    ranked = sorted(
        (one for one in usable if one.distinct >= (1 - MOST_BAD_ROWS) * table.rows and _id_rank(one) < 5), key=_id_rank
    )
    if not ranked:
        return (
            None,
            0,
            ["no column identifies a user: the number of a user's line is the id, so keep the order of rows"],
        )
    found = ranked[0]
    repeated = table.rows - table.uneven - found.distinct if found.complete else found.missing
    notes = [f"{repeated:,} rows repeat a user of {found.column.header!r} or have none"] if repeated else []
    if found.personal:
        notes.append(f"the only id is personal ({found.personal}): a number or a hash in its place protects your users")
    return found, repeated, notes


def _can_be_id(stored: Stored) -> bool:
    return stored in {Stored.CELLS, Stored.TEXT, Stored.NUMBERS}


def _names_users(header: str) -> bool:
    return _names_a_person(header) or words_of(header) == {"id"}


def _names_a_person(header: str) -> bool:
    words = words_of(header)
    joined = "".join(sorted(words, key=header.casefold().find))
    return bool(_JOINED_ID.fullmatch(joined)) or (bool(words & _PEOPLE) and "id" in words and len(words) <= 3)


def _id_rank(one: Facts) -> int:
    """0 for the likeliest column with ids, 5 for a column without ids."""
    words = words_of(one.column.header)
    if not one.unique and not _names_users(one.column.header):
        return 5
    if _names_a_person(one.column.header):
        return 0
    if words == {"id"}:
        return 1
    if words & _ID_WORDS and not one.decimals:
        return 2
    if one.counts_up or (not one.are_numbers and one.code_like):
        return 3
    return 4 if one.personal == "email addresses" else 5


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
