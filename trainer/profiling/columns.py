"""The role of a column in a segmentation, from its facts: a number, ordered labels, labels, several labels, or none."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from schemas.roles import Kind
from trainer.history.dates import dates_in
from trainer.history.lone_extreme import lone_extremes
from trainer.profiling.facts import EXAMPLES, Facts
from trainer.profiling.scales import known_order, numbered_steps
from trainer.profiling.table import ITEM_SEPARATOR, Stored
from trainer.profiling.words import (
    AMOUNTS,
    CODES,
    DATE_FORMATS,
    OUTCOMES,
    OUTCOMES_IF_FEW,
    UNBOUNDED,
    Bounds,
    bounds_of,
    date_forms,
    group_of,
    is_count,
    words_of,
)
from trainer.text.spellings import remedy, spelled_alike

# A column with more labels says little about groups.
MOST_LEVELS: Final = 200
# As long as a label of a profile may be.
LONGEST_LABEL: Final = 200
_FREE_TEXT_WORDS: Final = 5
_SEPARATORS: Final = (",", ";", "|", "/")
ISO_FORMAT: Final = "%Y-%m-%d"


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
    bad_example: str = ""
    """A cell that is not a number, and where it is."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why a column is not a field, and what it would be if somebody wants it nevertheless."""

    reason: str
    otherwise: Kept | None = None


def described(facts: Facts) -> Kept | LeftOut:
    """What the column can be, and why."""
    column = facts.column
    unusable = _unusable(facts)
    if unusable:
        return LeftOut(unusable)
    if column.stored is Stored.DATES:
        return _days_since(facts, [ISO_FORMAT])
    if column.stored is not Stored.LISTS and (forms := date_forms(column.header, facts.cells)):
        return _dates(facts, forms)
    if facts.are_booleans:
        return _boolean(facts)
    if facts.are_numbers and not (len(facts.numbers) < len(facts.cells) and known_order(facts.cells)):
        return _number(facts)
    return _labels(facts)


def _unusable(facts: Facts) -> str:
    """Why a column is nothing, whatever its values are like; empty where it may be something."""
    column = facts.column
    if not column.header.strip():
        return "it has no name: give it one in the header"
    if not facts.cells:
        return "all of its cells are empty"
    if facts.personal:
        return f"looks personal ({facts.personal}): it identifies users, and does not group them"
    if column.stored is Stored.OTHERWISE:
        return f"stored as {column.type_name}, which no field can be: store it as text or a number"
    if len(facts.cells) == 1 and facts.complete:
        others = "no value or" if facts.missing else "all users have"
        return f"constant: {others} {facts.examples[0] if facts.examples else 'the same'!r}"
    return ""


def _unit(facts: Facts) -> str:
    return "line" if facts.column.stored is Stored.CELLS else "row"


# --- dates -----------------------------------------------------------------------------------------------------------


def _dates(facts: Facts, forms: list[str]) -> Kept | LeftOut:
    formats = [each for each in DATE_FORMATS if all(_is_date(cell, each) for cell in facts.cells)]
    if formats:
        return _days_since(facts, formats)
    where = [f"{form} on {_unit(facts)} {facts.column.first[form]}" for form in forms]
    if len(forms) > 1:
        return LeftOut(f"dates written in {len(forms)} ways ({'; '.join(where)}): write them in one")
    return LeftOut(f"dates or times of which some cannot be read ({where[0]}): write them as 2026-01-31")


def _days_since(facts: Facts, formats: list[str]) -> Kept | LeftOut:
    dates = {cell: _date(cell, formats[0]) for cell in facts.cells}
    days = {cell: float(day.toordinal()) for cell, day in dates.items() if isinstance(day, date)}
    kept = Kept(
        Kind.DAYS_SINCE,
        group_of(facts.column.header, "behaviour"),
        "dates: the days since",
        min(map(str, dates.values())),
        date_format=formats[0],
        question=_outcome(facts) or _sentinel(facts, days),
    )
    if len(formats) > 1:
        either = " or ".join(f"{_date(facts.examples[0], each)}" for each in formats)
        return LeftOut(f"dates of which the day or the month may be first: {facts.examples[0]} is {either}", kept)
    return kept


def _is_date(cell: str, date_format: str) -> bool:
    return isinstance(_date(cell, date_format), date)


def _date(cell: str, date_format: str) -> object:
    return dates_in([cell], date_format)[0]


# --- booleans --------------------------------------------------------------------------------------------------------


def _boolean(facts: Facts) -> Kept:
    return Kept(
        Kind.BOOLEAN,
        group_of(facts.column.header, "attribute"),
        "true or false",
        True,  # noqa: FBT003  # it is a value
        question=_outcome(facts),
    )


# --- numbers ---------------------------------------------------------------------------------------------------------


def _number(facts: Facts) -> Kept | LeftOut:
    header, words = facts.column.header, words_of(facts.column.header)
    values = [*facts.numbers.values()]
    if facts.counts_up or (
        facts.unique and not facts.decimals and facts.known > 2 and words & {"id", "uid", "key", "nr", "index"}
    ):
        return LeftOut("unique values: it numbers the rows")
    mixed = [cell for cell in facts.cells if cell not in facts.numbers]
    bad_example = ""
    if mixed:
        bad_example = f" that is a number ({_unit(facts)} {facts.column.first[mixed[0]]} has {mixed[0][:20]!r})"
    if not facts.decimals and words & CODES and facts.column.stored is Stored.CELLS and not mixed:
        return _category(facts, "digits that are labels: a code")
    low, high = -math.inf if facts.column.later_negative else min(values), max(values)
    whole = not facts.decimals
    # The format declares the symbols of all columns together.
    symbols = [symbol for symbol in facts.written.symbols if any(symbol in cell for cell in facts.numbers)]
    bounds = bounds_of(header, low, high, symbols, whole=whole)
    reason = f"numbers: {bounds.why}"
    if {*values} <= {0, 1} and not words & AMOUNTS:
        bounds, reason = Bounds(0, 1, "0 or 1"), "numbers: yes (1) or no (0)"
    typical = sorted(values)[len(values) // 2]
    return Kept(
        Kind.NUMBER,
        group_of(header, "behaviour"),
        reason,
        typical,
        bounds=bounds,
        whole=whole and bounds.low is not None and is_count(header),
        question=_question(facts),
        bad_example=bad_example,
    )


# --- labels ----------------------------------------------------------------------------------------------------------


def _labels(facts: Facts) -> Kept | LeftOut:
    several = _several(facts)
    if several is not None:
        return several
    texts = [*facts.cells]
    words = sum(len(text.split()) for text in texts) / len(texts)
    if max(map(len, texts)) > LONGEST_LABEL or (words > _FREE_TEXT_WORDS and facts.distinct > 20):
        return LeftOut("free text")
    numeric = facts.numeric_rows / facts.known
    levels = known_order(texts)
    if facts.column.stored is Stored.CELLS and numeric > 0.5 and levels is None:
        text = next(text for text in texts if text not in facts.numbers)
        return LeftOut(
            f"mixed: {100 * numeric:.0f} % are numbers, but line {facts.column.first[text]} has {text[:20]!r}"
        )
    if facts.unique and facts.distinct > 2:
        return LeftOut("unique values: every user has another")
    if facts.distinct > MOST_LEVELS:
        return LeftOut(f"{_count(facts)} different labels, more than {MOST_LEVELS}: merge them into broader ones")
    if facts.distinct > 20 and facts.distinct > facts.known / 3:
        return LeftOut(f"{_count(facts)} different labels among {facts.known:,} users: merge them into broader ones")
    if levels is not None:
        return Kept(
            Kind.ORDERED,
            group_of(facts.column.header, "attribute"),
            f"{len(levels)} labels with a known order",
            _commonest(facts.cells),
            levels=levels,
            question=_question(facts),
        )
    return _category(facts, f"{facts.distinct} labels")


def _count(facts: Facts) -> str:
    return f"{facts.distinct:,}" if facts.complete else f"more than {len(facts.cells):,}"


def _category(facts: Facts, reason: str) -> Kept | LeftOut:
    if facts.distinct > MOST_LEVELS:
        return LeftOut(f"{reason}, with {_count(facts)} different ones, more than {MOST_LEVELS}")
    return Kept(
        Kind.CATEGORY,
        group_of(facts.column.header, "attribute"),
        reason,
        _commonest(facts.cells),
        question=_question(facts),
    )


def _outcome(facts: Facts) -> str:
    words = words_of(facts.column.header)
    if words & OUTCOMES or (words & OUTCOMES_IF_FEW and len(facts.cells) <= 10):
        return "Is it an outcome that segments should explain? Then comment it out."
    return ""


def _question(facts: Facts) -> str:
    if outcome := _outcome(facts):
        return outcome
    if facts.are_numbers:
        return _sentinel(facts, facts.numbers)
    if twins := _twins(facts.cells, Kind.CATEGORY):
        return twins
    steps = numbered_steps(facts.cells)
    return (
        f"Are {', '.join(steps)} steps from low to high? Then ordered is its role, with these labels." if steps else ""
    )


def _twins(labels: Mapping[str, int], kind: Kind) -> str:
    """A question about spellings of one label, among labels and the users who have each."""
    for twins in spelled_alike(labels):
        listed = ", ".join(f"{label!r} ({labels[label]:,})" for label in twins[:EXAMPLES])
        return (
            f"{listed} differ only in spaces or capital letters. If they are the same, {remedy(kind)}; "
            "StringConstraints is from pydantic."
        )
    return ""


def _sentinel(facts: Facts, numbers: Mapping[str, float]) -> str:
    """A question about cells that may stand for a missing value, where few extremes repeat far from all others."""
    users = [facts.cells[cell] for cell in numbers]
    lone = lone_extremes(np.array([*numbers.values()], dtype=np.float64), users)
    if not lone:
        return ""
    cells = [*dict.fromkeys(cell.strip() for each in lone for cell in numbers if numbers[cell] == each.number)]
    listed = ", ".join(map(repr, cells))
    remedy = (
        f"add {listed} to missing in history_format" if facts.column.stored is Stored.CELLS else "empty these cells"
    )
    stand = f"{' and '.join(cells)} stand for a missing value ({sum(each.users for each in lone):,} users)"
    return f"{'Does' if len(cells) == 1 else 'Do'} {stand}? Then {remedy}."


def _commonest(cells: Mapping[str, int]) -> str:
    return min(cells, key=lambda cell: (-cells[cell], cell))


# --- several labels in one cell --------------------------------------------------------------------------------------


def _several(facts: Facts) -> Kept | LeftOut | None:
    if facts.column.stored is Stored.LISTS:
        return _items(facts, ITEM_SEPARATOR)
    if not facts.complete:
        return None
    best = max(_SEPARATORS, key=lambda separator: sum(n for cell, n in facts.cells.items() if separator in cell))
    return _items(facts, best) if _is_list(facts, best) else None


def _is_list(facts: Facts, separator: str) -> bool:
    """Whether cells are lists: some have several items, and the same items come back in different cells.

    A label with a comma of its own, such as "Home, Garden", does not share its parts with others; and "Paris, France"
    has one of two kinds of parts in each place.
    """
    lists = {cell: _split(cell, separator) for cell in facts.cells}
    several = [cell for cell, items in lists.items() if len(items) > 1]
    if sum(facts.cells[cell] for cell in several) < 0.05 * facts.known:
        return False
    cells_of = Counter(item for items in lists.values() for item in {*items})
    rows_of: Counter[str] = Counter()
    for cell, items in lists.items():
        for item in {*items}:
            rows_of[item] += facts.cells[cell]
    shared = [item for item in {item for cell in several for item in lists[cell]} if cells_of[item] > 1]
    in_several = {item for cell in several for item in lists[cell]}
    if not 2 <= len(cells_of) <= MOST_LEVELS or max(map(len, cells_of)) > LONGEST_LABEL / 4:
        return False
    if separator == "/" and any(len(item) < 2 for item in cells_of):
        return False
    if {len(items) for items in lists.values()} == {2} and not (
        {items[0] for items in lists.values()} & {items[1] for items in lists.values()}
    ):
        return False
    return len(shared) >= 0.5 * len(in_several) and rows_of.total() >= 2 * len(rows_of)


def _items(facts: Facts, separator: str) -> Kept | LeftOut:
    counted: Counter[str] = Counter()
    for cell, n in facts.cells.items():
        for item in _split(cell, separator):
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
        question=_twins(counted, Kind.SEVERAL_OF),
    )


def _split(cell: str, separator: str) -> list[str]:
    return [*filter(None, map(str.strip, cell.split(separator)))]
