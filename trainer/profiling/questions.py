"""What `init` cannot know, and asks in a comment beside the field; an empty text where there is nothing to ask."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from schemas.roles import Kind
from trainer.history.lone_extreme import lone_extremes
from trainer.profiling.facts import EXAMPLES, Facts, shortened
from trainer.profiling.identity import may_identify
from trainer.profiling.scales import numbered_steps
from trainer.profiling.table import Stored
from trainer.profiling.words import OUTCOMES, OUTCOMES_IF_FEW, are_true_and_false, is_plural, words_of
from trainer.text.spellings import remedy, spelled_alike


def about_outcomes(facts: Facts) -> str:
    """Whether the column is what segments should explain."""
    words = words_of(facts.column.header)
    yes_or_no = are_true_and_false({cell.strip().casefold() for cell in facts.cells})
    if words & OUTCOMES or (
        words & OUTCOMES_IF_FEW and (yes_or_no or (words <= OUTCOMES_IF_FEW and len(facts.cells) <= 10))
    ):
        return "Is it an outcome that segments should explain? Then comment it out."
    return ""


def about(facts: Facts) -> str:
    """What a person should decide about a column of numbers or labels."""
    if facts.are_numbers:
        return _asked(
            facts.doubt.question,
            about_outcomes(facts) or _identity(facts) or _count(facts) or _sentinel(facts, facts.numbers),
        )
    return _asked(_spelling(facts), about_outcomes(facts) or _order(facts))


def about_dates(facts: Facts, days: Mapping[str, float]) -> str:
    """What a person should decide about a column of dates, of which these are the days."""
    return about_outcomes(facts) or _sentinel(facts, days)


def _asked(*questions: str) -> str:
    return " ".join(filter(None, questions))


def _identity(facts: Facts) -> str:
    if may_identify(facts):
        return "Do these numbers, which are all different, identify users? Then comment it out, or make it the id."
    return ""


def _order(facts: Facts) -> str:
    steps = numbered_steps(facts.cells)
    if not steps:
        return ""
    listed = ", ".join([*steps[:EXAMPLES], *(["…"] if len(steps) > EXAMPLES else [])])
    return f"Are {listed} steps from low to high? Then ordered is its role, with its labels in this order."


def _count(facts: Facts) -> str:
    if is_plural(facts.column.header) and {*facts.numbers.values()} == {0, 1}:
        return (
            "Is it a count that was 0 or 1 so far? If it means no and yes, make it a boolean, and declare "
            'true=("1",) and false=("0",) in history_format.'
        )
    return ""


def _spelling(facts: Facts) -> str:
    if twins := about_spellings(facts.cells, Kind.CATEGORY):
        return twins
    spaced = next((label for label in facts.cells if label != label.strip()), "")
    return (
        f"Should events have the space in {spaced!r}, too? If not, add StringConstraints(strip_whitespace=True), "
        "from pydantic."
        if spaced
        else ""
    )


def about_spellings(labels: Mapping[str, int], kind: Kind) -> str:
    """A question about spellings of one label, among labels and the users who have each."""
    for twins in spelled_alike(labels):
        listed = ", ".join(f"{shortened(label)!r} ({labels[label]:,})" for label in twins[:EXAMPLES])
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
    remedy = f"add missing={(*cells,)!r} to its role" if facts.column.stored is Stored.CELLS else "empty these cells"
    stand = f"{' and '.join(cells)} stand for a missing value ({sum(each.users for each in lone):,} users)"
    return f"{'Does' if len(cells) == 1 else 'Do'} {stand}? Then {remedy}."
