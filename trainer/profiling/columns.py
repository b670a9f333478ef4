"""The role of a column in a segmentation, from its facts: a number, ordered labels, labels, several labels, or none."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from schemas.roles import Kind
from trainer.history.markers import NO_ANSWERS
from trainer.profiling.amounts import units, unreadable
from trainer.profiling.dates import Dates, Orders, date_forms
from trainer.profiling.facts import Facts, shortened
from trainer.profiling.identity import identifies
from trainer.profiling.lists import LONGEST_LABEL, MOST_LEVELS, are_literals, separator_of, split
from trainer.profiling.personal import BIRTHS
from trainer.profiling.questions import about, about_dates, about_outcomes, about_spellings
from trainer.profiling.scales import known_order
from trainer.profiling.table import ITEM_SEPARATOR, Stored
from trainer.profiling.words import (
    AMOUNTS,
    CODES,
    FALSE,
    TRUE,
    UNBOUNDED,
    Bounds,
    bounds_of,
    group_of,
    is_count,
    is_plural,
    words_of,
)

_FREE_TEXT_WORDS: Final = 5
_FEW_LABELS: Final = 20
_PADDED: Final = re.compile(r"\s*0\d+\s*")


@dataclass(frozen=True, slots=True)
class Kept:
    """The role of a field."""

    kind: Kind
    group: str
    reason: str
    typical: str | float | bool | tuple[str, ...]
    """A value for an example."""
    levels: tuple[str, ...] = ()
    separator: str = ","
    date_format: str = ""
    bounds: Bounds = UNBOUNDED
    whole: bool = False
    """Whether the number counts things."""
    question: str = ""
    """What a person should decide about it, in a sentence."""
    misspelt: int = 0
    """Rows with a cell that the field cannot have."""
    bad_example: str = ""
    """Such a cell, and where it is."""
    newest: date | None = None
    """Of a column of dates."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why a column is not a field, and what it would be if somebody wants it nevertheless."""

    reason: str
    otherwise: Kept | None = None


def described(facts: Facts, orders: Orders) -> Kept | LeftOut:
    """What the column can be, and why; orders are those of day and month in the other columns."""
    unusable = _unusable(facts)
    if unusable:
        return LeftOut(unusable)
    if facts.dates is not None:
        return _dates(facts, facts.dates, orders)
    if facts.are_booleans:
        return _boolean(facts)
    if facts.column.stored is Stored.CELLS and (reason := unreadable(facts)):
        return LeftOut(reason)
    if facts.are_numbers and not (len(facts.numbers) < len(facts.cells) and known_order(facts.cells)):
        return _number(facts)
    if facts.column.stored is Stored.NUMBERS:
        bad = next(cell for cell in facts.cells if cell not in facts.numbers)
        return LeftOut(f"numbers of which many are not finite ({_where(facts, bad)}): store null in their place")
    return _labels(facts)


def _unusable(facts: Facts) -> str:
    """Why a column is nothing, whatever its values are like; empty where it may be something."""
    column = facts.column
    if not column.header.strip():
        return "it has no name: give it one in the header"
    if not facts.cells:
        return "all of its cells are empty"
    if facts.personal:
        remedy = "an age in years groups them" if facts.personal == BIRTHS else "and does not group them"
        return f"looks personal ({facts.personal}): it identifies users, {remedy}"
    if column.stored is Stored.OTHERWISE:
        return f"stored as {column.type_name}, which no field can be: store it as text or a number"
    if len(facts.cells) == 1 and facts.complete:
        others = "no value or" if facts.missing else "all users have"
        (cell,) = facts.cells
        text = cell.strip().casefold()
        says_yes = text in TRUE | {"x"}
        remedy = ": if its empty cells mean no, say so in them" if says_yes and facts.missing else ""
        # Another text may be a name.
        shown = says_yes or text in FALSE or facts.are_numbers or facts.dates
        value = repr(shortened(cell)) if shown else "the same value"
        return f"constant: {others} {value}{remedy}"
    return ""


def _unit(facts: Facts) -> str:
    return "line" if facts.column.stored is Stored.CELLS else "row"


# --- dates -----------------------------------------------------------------------------------------------------------


def _dates(facts: Facts, dates: Dates, orders: Orders) -> Kept | LeftOut:
    if facts.column.stored is Stored.NUMBERS:
        return LeftOut(f"dates stored as {facts.column.type_name}: store them as dates")
    if not dates.formats and len(dates.forms) > 1:
        where = "; ".join(f"{form} on {_unit(facts)} {facts.column.first[form]}" for form in dates.forms)
        return LeftOut(f"dates written in {len(dates.forms)} ways ({where}): write them in one")
    if not dates.formats:
        unread = (cell for cell in facts.cells if cell not in dates.days)
        # One of a date's form: another text may be a name.
        bad = next(cell for cell in unread if date_forms(facts.column.header, {cell: 1}))
        return LeftOut(f"dates or times that cannot be read ({_where(facts, bad)}): write them as 2026-01-31")
    kept = _days_since(facts, dates)
    if len(dates.formats) > 1:
        order = orders.get(dates.numeric_separator or "")
        if order is None:
            return LeftOut(f"dates of which the day or the month may be first: {dates.example_of_two()}", kept)
        day_first, proof = order
        dates = dates.with_order(day_first=day_first)
        what = "day" if day_first else "month"
        kept = replace(_days_since(facts, dates), reason=f"{kept.reason}; the {what} is first, as in {proof!r}")
    if dates.markers:  # a format of CSV declares them as missing
        return LeftOut(f"dates, but {dates.markers[0]} stands for none: empty these cells", kept)
    return kept


def _days_since(facts: Facts, dates: Dates) -> Kept:
    known = {cell: float(day.toordinal()) for cell, day in dates.days.items()}
    none = dates.none_among(facts.column.counts.keys() - facts.cells.keys())
    misspelt = [cell for cell in facts.cells if cell not in dates.days]
    return Kept(
        Kind.DAYS_SINCE,
        group_of(facts.column.header, "behaviour"),
        f"dates: the days since{f'; {min(none).strip()} stands for none' if none else ''}",
        str(min(dates.days.values())),
        date_format=dates.formats[0],
        question=about_dates(facts, known),
        newest=max(dates.days.values()),
        misspelt=sum(facts.cells[cell] for cell in misspelt),
        bad_example=f" that is a date ({_where(facts, misspelt[0])})" if misspelt else "",
    )


def _where(facts: Facts, cell: str) -> str:
    return f"{_unit(facts)} {facts.column.first[cell]} has {cell[:20]!r}"


# --- booleans --------------------------------------------------------------------------------------------------------


def _boolean(facts: Facts) -> Kept:
    return Kept(
        Kind.BOOLEAN,
        group_of(facts.column.header, "attribute"),
        "true or false",
        True,  # noqa: FBT003  # it is a value
        question=about_outcomes(facts),
    )


# --- numbers ---------------------------------------------------------------------------------------------------------


def _number(facts: Facts) -> Kept | LeftOut:
    header, words = facts.column.header, words_of(facts.column.header)
    values = [*facts.numbers.values()]
    identifying = identifies(facts)
    mixed = [cell for cell in facts.cells if cell not in facts.numbers]
    bad_example = ""
    if mixed:
        bad_example = f" that is a number ({_where(facts, mixed[0])})"
    if not identifying and not facts.decimals and facts.column.stored is Stored.CELLS and not mixed:
        padded = next((cell for cell in facts.numbers if _PADDED.fullmatch(cell)), "")
        if padded or words & CODES:
            return _category(facts, f"digits that are labels: {f'{padded} is ' if padded else ''}a code")
    low, high = -math.inf if facts.column.later_negative else min(values), max(values)
    whole = not facts.decimals
    # The format declares the symbols of all columns together.
    symbols = [symbol for symbol in facts.written.symbols if any(symbol in cell for cell in facts.numbers)]
    bounds = bounds_of(header, low, high, symbols, whole=whole)
    reason = f"numbers: {bounds.why}"
    if {*values} <= {0, 1} and not words & AMOUNTS and not is_plural(header):
        bounds, reason = Bounds(0, 1, "0 or 1"), "numbers: yes (1) or no (0)"
    typical = sorted(values)[len(values) // 2]
    kept = Kept(
        Kind.NUMBER,
        group_of(header, "behaviour"),
        reason,
        typical,
        bounds=bounds,
        whole=whole and bounds.low is not None and is_count(header),
        question=about(facts),
        misspelt=facts.misspelt,
        bad_example=bad_example,
    )
    if facts.timestamps and not identifying:
        return LeftOut(
            f"numbers that look like {facts.timestamps}: write them as dates, such as 2026-01-31, or uncomment it if "
            "they measure something",
            kept,
        )
    if identifying:
        return LeftOut(
            f"identifies users, and does not group them: {identifying}. Uncomment it if it measures something", kept
        )
    return kept


# --- labels ----------------------------------------------------------------------------------------------------------


def _labels(facts: Facts) -> Kept | LeftOut:
    several = _several(facts)
    if several is not None:
        return several
    levels = known_order(facts.cells)
    if reason := _no_labels(facts, levels):
        return LeftOut(reason)
    if levels is not None:
        return Kept(
            Kind.ORDERED,
            group_of(facts.column.header, "attribute"),
            f"{len(levels)} labels with a known order{_set_aside(facts)}",
            _commonest(facts.cells),
            levels=levels,
            question=about(facts),
        )
    return _category(facts, f"{facts.distinct} labels")


def _set_aside(facts: Facts) -> str:
    no_answers = sorted(marker for marker in facts.markers if marker.casefold() in NO_ANSWERS)
    return f"; {', '.join(no_answers)}: no answer, so missing" if no_answers else ""


def _no_labels(facts: Facts, levels: tuple[str, ...] | None) -> str:
    """Why the cells of a column are not labels that can segment; empty where they may be."""
    words = sum(len(text.split()) for text in facts.cells) / len(facts.cells)
    if max(map(len, facts.cells)) > LONGEST_LABEL or (words > _FREE_TEXT_WORDS and facts.distinct > _FEW_LABELS):
        return "free text"
    numeric = facts.numeric_rows / facts.known
    if facts.column.stored is Stored.CELLS and numeric > 0.5 and levels is None:
        text = next(text for text in facts.cells if text not in facts.numbers)
        return f"mixed: {100 * numeric:.0f} % are numbers, but line {facts.column.first[text]} has text"
    if facts.distinct > _FEW_LABELS and levels is None and (reason := units(facts)):
        return reason
    if facts.unique and facts.distinct > 2:
        return "unique values: every user has another"
    if facts.distinct > MOST_LEVELS:
        return f"{_labels_counted(facts)} different labels, more than {MOST_LEVELS}: merge them into broader ones"
    if facts.distinct > _FEW_LABELS and facts.distinct > facts.known / 3:
        return f"{_labels_counted(facts)} different labels among {facts.known:,} users: merge them into broader ones"
    return ""


def _labels_counted(facts: Facts) -> str:
    return f"{facts.distinct:,}" if facts.complete else f"more than {len(facts.cells):,}"


def _category(facts: Facts, reason: str) -> Kept | LeftOut:
    if facts.distinct > MOST_LEVELS:
        return LeftOut(f"{reason}, with {_labels_counted(facts)} different ones, more than {MOST_LEVELS}")
    return Kept(
        Kind.CATEGORY,
        group_of(facts.column.header, "attribute"),
        reason,
        _commonest(facts.cells),
        question=about(facts),
    )


def _commonest(cells: Mapping[str, int]) -> str:
    return min(cells, key=lambda cell: (-cells[cell], cell))


# --- several labels in one cell --------------------------------------------------------------------------------------


def _several(facts: Facts) -> Kept | LeftOut | None:
    if facts.column.stored is Stored.LISTS:
        return _items(facts, ITEM_SEPARATOR)
    if are_literals(facts):
        return LeftOut("lists or objects as a program prints them: write the labels with a separator, such as a,b")
    separator = separator_of(facts)
    return None if separator is None else _items(facts, separator)


def _items(facts: Facts, separator: str) -> Kept | LeftOut:
    counted: Counter[str] = Counter()
    for cell, n in facts.cells.items():
        for item in split(cell, separator):
            counted[item] += n
    if len(counted) > MOST_LEVELS:
        return LeftOut(f"lists of {len(counted):,} different labels, more than {MOST_LEVELS}")
    if len(counted) < 2:
        return LeftOut("lists of a single label")
    between = "" if separator == ITEM_SEPARATOR else f", separated by {separator!r}"
    first, second, *_ = sorted(counted, key=lambda item: (-counted[item], item))
    return Kept(
        Kind.SEVERAL_OF,
        group_of(facts.column.header, "interest"),
        f"several of {len(counted)} labels{between}",
        (first, second),
        separator="," if separator == ITEM_SEPARATOR else separator,
        question=about_spellings(counted, Kind.SEVERAL_OF),
    )
