"""What training learns of each column: the parameters of the encoders that trainer and worker both use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import stats

from models.encoding import (
    BooleanColumn,
    CategoryColumn,
    Column,
    Encoder,
    Floats,
    NumberColumn,
    OrderedColumn,
    SeveralOfColumn,
)
from schemas.roles import Kind, ProfileField
from trainer.history.arrow_copy import LARGEST_NUMBER, MOST_LABELS, CheckedCopy
from trainer.history.history import History
from trainer.history.lone_extreme import LoneExtreme, lone_extremes
from trainer.privacy import shown, shown_text
from trainer.text.spellings import remedy, spelled_alike
from trainer.text.wording import percent

CLIPPED_TAIL = 0.001
SKEWNESS_OF_LOGS = 1.0
# A smaller unit or scale could take the quotient of two numbers out of the range of float64.
SMALLEST_UNIT = 1e-100
# Two labels of one field are far apart with nobody between them. At the weight of a number such fields cut groups that
# are separate in numbers into cells, one for each combination of labels (Hennig and Liao 2013).
LABEL_WEIGHT = math.sqrt(0.5)
# More labels than this are names or free text: meaningless for segments, and too large for the memory.
MOST_LEVELS = 200
# A column that more users lack says more about who is asked than about who they are.
MOST_MISSING = 0.5
# Quantiles are computed from at most this many numbers, sampled if there are more.
QUANTILE_ROWS = 1_000_000
MOST_NAMED = 4

Numbers = Callable[[], Iterable[Floats]]
"""Returns all numbers of a column, chunk by chunk, each time it is called."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned about one column: its encoder, and the reason why it is useless, if it is."""

    field: ProfileField
    column: Column | None
    """None for a column with too many labels or without any; a model stores none of them."""
    useless_because: str | None
    note: str | None = None
    clipped_share: float | None = None
    """Share of users whose number is beyond the limits; None for other kinds."""
    unseen_share: float | None = None
    """Share of users with an undeclared label; None for all but ordinal fields."""
    missing_share: float = 0.0
    """Share of users without a value."""


def learn(history: History, field: ProfileField, seed: int) -> Learned:
    """The encoder of one column, fitted: clipped, centred, and scaled so that its block has a total variance of 1.

    Means, scales and counts are exact over all rows that have a value; a column that more than half of the users lack
    is useless. The clipping limits and the choice of a logarithm come from
    all rows up to 1,000,000, beyond that from a seeded sample of as many: the 0.1 % quantile's rank in the history is
    then within ±0.008 % with a probability of 99 % (binomial), so that 0.092 % to 0.108 % are clipped on each side.
    Needs at least one row.
    """
    if field not in history.fields:
        return Learned(field, None, f"more than {MOST_LABELS:,} different labels, at most {MOST_LEVELS} are compared")
    without = sum(int(missing.sum()) for missing in history.without_value(field.name)) if field.optional else 0
    observed, share = history.rows - without, without / history.rows
    if not observed:
        return replace(_nothing_learned(field), missing_share=share)
    numbers = partial(_observed, history.copy, field.name)
    if field.kind is Kind.BOOLEAN:
        learned = learn_boolean(field, numbers, observed)
    elif field.kind.is_numeric:
        sample = history.drawn_numbers(field.name, history.drawn(QUANTILE_ROWS, seed))
        sample = sample[~np.isnan(sample)]
        if field.kind is Kind.DAYS_SINCE and history.counted_to is not None:
            learned = learn_number(field, numbers, sample, partial(_date, field, history.counted_to.day))
        else:
            learned = learn_number(field, numbers, sample)
    else:
        learned = learn_labels(field, history.label_counts(field.name), observed)
    if share > MOST_MISSING and learned.useless_because is None:
        learned = replace(learned, useless_because=f"{percent(share)} of the users have no value")
    return replace(learned, missing_share=share)


def _date(field: ProfileField, today: date, days: float) -> str:
    return (today - timedelta(days=days)).strftime(field.date_format)


def _nothing_learned(field: ProfileField) -> Learned:
    column: Column | None = None
    if field.kind is Kind.BOOLEAN:
        column = BooleanColumn(field.name, mean=0.0, scale=1.0)
    elif field.kind is Kind.ORDERED:
        column = OrderedColumn(field.name, field.levels, mean=0.0, scale=1.0)
    elif field.kind.is_numeric:
        column = NumberColumn(field.name, None, low=0.0, high=0.0, mean=0.0, scale=1.0)
    return Learned(field, column, "no user has a value")


def _observed(copy: CheckedCopy, name: str) -> Iterator[Floats]:
    return (numbers[~np.isnan(numbers)] for numbers in copy.numbers(name))


def learn_number(
    field: ProfileField, numbers: Numbers, sample: Floats, cell_of: Callable[[float], str] = "{:.15g}".format
) -> Learned:
    """The encoder of a column of numbers within ±1e100, of which the sample are some or all.

    cell_of is how the file has one of them.
    """
    low, high = _limits(sample)
    found = ((len(chunk), chunk.min(), chunk.max()) for chunk in numbers() if chunk.size)
    lengths, minima, maxima = zip(*found, strict=True)
    rows, least, greatest = sum(lengths), min(minima), max(maxima)
    at_the_bound = sum(int((np.abs(chunk) >= LARGEST_NUMBER).sum()) for chunk in numbers())
    note: str | None
    if at_the_bound:
        users = f"{shown_text(at_the_bound)} users"
        note = f"{field.header}: {users} have a number beyond ±{LARGEST_NUMBER:g}, which is clipped to that limit"
    else:
        note = _codes(field, lone_extremes(sample, None), cell_of)
    clipped_share = sum(int(_beyond(chunk, low, high).sum()) for chunk in numbers()) / rows
    log_unit = _log_unit(sample, low, high, least)
    unclipped = NumberColumn(field.name, log_unit, low=-np.inf, high=np.inf, mean=0.0, scale=1.0)
    # Both are numbers of the history, and the encoder keeps their order.
    low, high = _encoded(unclipped, np.array([low, high])).ravel().tolist()
    clipped = replace(unclipped, low=low, high=high)
    if low == high:
        owners = "every user has" if least == greatest else "all but a few users have"
        same = "the same value" if at_the_bound < rows / 2 else f"a number beyond ±{LARGEST_NUMBER:g}"
        return Learned(field, replace(clipped, mean=low), f"{owners} {same}", note, clipped_share)
    mean = math.fsum(float(_encoded(clipped, chunk).sum()) for chunk in numbers()) / rows
    squares = math.fsum(float(np.square(_encoded(clipped, chunk) - mean).sum()) for chunk in numbers())
    fitted = replace(clipped, mean=mean, scale=math.sqrt(squares / rows))
    if fitted.scale < SMALLEST_UNIT:
        useless = "its numbers differ too little to be compared"
        return Learned(field, replace(clipped, mean=mean), useless, note, clipped_share)
    return Learned(field, fitted, None, note, clipped_share)


def _codes(field: ProfileField, lone: Sequence[LoneExtreme], cell_of: Callable[[float], str]) -> str | None:
    """A note about numbers that may stand for a missing value."""
    users = sum(each.users for each in lone)
    if shown(users) is None:
        return None
    # A number that few users have may point at one of them.
    common = [cell_of(each.number) for each in lone if shown(each.users) is not None]
    hidden = ["another number"] if common and len(common) < len(lone) else []
    numbers = " or ".join([*common, *hidden]) or f"one of {len(lone)} numbers"
    return (
        f"{field.header}: {users:,} users have {numbers}, far from all others: if that stands for a missing value, "
        "empty these cells, or in a CSV add them to missing of its role, as they are written in the file"
    )


def learn_boolean(field: ProfileField, numbers: Numbers, rows: int) -> Learned:
    """The encoder of a column of 0 and 1."""
    mean = sum(int(chunk.sum()) for chunk in numbers()) / rows
    if mean in {0, 1}:
        return Learned(field, BooleanColumn(field.name, mean, scale=1.0), "every user has the same value")
    return Learned(field, BooleanColumn(field.name, mean, math.sqrt(mean * (1 - mean))), None)


def _beyond(numbers: Floats, low: float, high: float) -> npt.NDArray[np.bool_]:
    """Which of the numbers are clipped, either to these limits or, when they were read, to ±1e100."""
    return (numbers < low) | (numbers > high) | (np.abs(numbers) >= LARGEST_NUMBER)


def _limits(sample: Floats) -> tuple[float, float]:
    """The clipping limits: 0.1 % of the numbers on each side, at least one row, are clipped to them.

    The limits are values of rows, rounded inwards: interpolated between two rows, an extreme value would still move
    them without bound. With fewer than 1,000 rows the outermost value on each side counts as the next one, so no single
    cell can change the rest much. This is winsorising by rank. It loses less than robust bounds that depend on a spread
    (Tukey's fences, multiples of the median deviation): those cut into skewed columns, and are zero where half of the
    users have the same number.
    """
    low = float(np.quantile(sample, CLIPPED_TAIL, method="higher"))
    high = float(np.quantile(sample, 1 - CLIPPED_TAIL, method="lower"))
    return min(low, high), max(low, high)  # swapped if there are two rows


def _log_unit(sample: Floats, low: float, high: float, least: float) -> float | None:
    """The median of the positive numbers if the column is skewed to the right and has no negative number."""
    if least < 0 or low == high:
        return None
    # Clipped, or one extreme cell would make any column skewed. Skewness does not depend on unit or origin: with
    # low as 0 and high as 1 nothing cancels or underflows.
    if stats.skew((np.clip(sample, low, high) - low) / (high - low)) <= SKEWNESS_OF_LOGS:
        return None
    return max(float(np.median(sample[sample > 0])), SMALLEST_UNIT)


def learn_labels(field: ProfileField, counts: Mapping[str, int], rows: int) -> Learned:
    """The encoder of a column of labels, from the users who have each of them."""
    if field.kind is Kind.ORDERED:
        return _learn_ordered(field, counts, rows)
    if len(counts) > MOST_LEVELS:
        # Not even to recognise unknown ones: such a column may hold names, and every new user has a new one.
        return Learned(field, None, f"{len(counts):,} different labels, at most {MOST_LEVELS} are compared")
    note = _twins(field, counts)
    block = CategoryColumn if field.kind is Kind.CATEGORY else SeveralOfColumn
    means = tuple(count / rows for count in counts.values())
    variance = math.fsum(mean * (1 - mean) for mean in means)
    column = block(field.name, tuple(counts), means, scale=1.0)
    if all(count == rows for count in counts.values()):
        return Learned(field, column, "every user has the same value", note)
    return Learned(field, replace(column, scale=math.sqrt(variance)), None, note)


def _twins(field: ProfileField, counts: Mapping[str, int]) -> str | None:
    """A note about labels that differ only in spaces or case, with those that enough users have."""
    twins = [label for labels in spelled_alike(counts) for label in labels]
    if not twins:
        return None
    # A label that few users have may be the name of one of them.
    common = [f"{label!r} ({counts[label]:,} users)" for label in twins if shown(counts[label]) is not None]
    named = f", such as {', '.join(common[:MOST_NAMED])}" if common else ""
    return (
        f"{field.header}: {len(twins)} labels differ from another only in spaces or capital letters{named}: if they "
        f"are the same, {remedy(field.kind)} in the profile class"
    )


def _learn_ordered(field: ProfileField, counts: Mapping[str, int], rows: int) -> Learned:
    note = None
    undeclared = sorted(set(counts) - set(field.levels))
    users = sum(counts[label] for label in undeclared)
    if undeclared:
        # A label that few users have may be the name of one of them.
        common = [repr(label) for label in undeclared if shown(counts[label]) is not None][:3]
        named = f" ({', '.join(common)}{', …' if len(undeclared) > len(common) else ''})" if common else ""
        note = f"{field.header}: {shown_text(users)} users have an undeclared label{named}, which counts as unknown"
    column = OrderedColumn(field.name, field.levels, mean=0.0, scale=1.0)
    known = {rank: counts[level] for rank, level in enumerate(field.levels) if level in counts}
    if len(known) < 2:
        reason = "every user has the same value" if known else "no user has one of its levels"
        same = replace(column, mean=float(min(known, default=0)))
        return Learned(field, same, reason, note, unseen_share=users / rows)
    mean = sum(rank * count for rank, count in known.items()) / sum(known.values())
    # An unknown label counts as the mean, and as one of the rows.
    variance = math.fsum(count * (rank - mean) ** 2 for rank, count in known.items()) / rows
    return Learned(field, replace(column, mean=mean, scale=math.sqrt(variance)), None, note, unseen_share=users / rows)


def _encoded(column: Column, numbers: Floats) -> Floats:
    """The column as the encoder itself transforms it, so that there is only one implementation."""
    return Encoder((column,)).encode({column.name: numbers.tolist()}).matrix


def encoder(learned: Sequence[Learned], kept: frozenset[str]) -> Encoder:
    """The encoder of all columns; those that are not kept have weight 0 and only serve to detect unknown values."""
    columns = [each.column for each in learned if each.column is not None]
    return Encoder(tuple(replace(each, weight=_weight(each) if each.name in kept else 0.0) for each in columns))


def _weight(column: Column) -> float:
    return LABEL_WEIGHT if isinstance(column, BooleanColumn | CategoryColumn | SeveralOfColumn) else 1.0


def counting(whole: Encoder) -> Encoder:
    """The encoder of only those columns that count in the distance: the same matrix in less time."""
    return Encoder(tuple(column for column in whole.columns if column.weight > 0))
