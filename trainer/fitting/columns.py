"""Which columns of a history count in the distance, and what training learned of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from models.encoding import BooleanColumn, CategoryColumn, Encoder
from trainer.errors import FitRefused
from trainer.fitting.duplicates import duplicates
from trainer.fitting.encoders import Learned, encoder, learn
from trainer.fitting.relations import Relation, likely_outcomes, related, relations
from trainer.history.history import History
from trainer.text.progress import Watcher
from trainer.text.summary import reasons_in_words

# A tenth of it is enough for relations that matter (Cramér's V of 0.1 and more).
RELATED_ROWS = 100_000


class ColumnRule(StrEnum):
    """Which of the columns that vary count in the distance."""

    RELATED = "related"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class ChosenColumns:
    """The columns of a history, as the distance uses them."""

    encoder: Encoder
    kept: tuple[str, ...]
    """Names of the fields that count."""
    left_out: Mapping[str, str]
    """Field name -> why."""
    repeated: frozenset[str]
    """Names of the fields that are left out because they repeat another one."""
    related: frozenset[str]
    """Names of the usable fields that are related to another one."""
    learned: tuple[Learned, ...]
    """Of every field, in the order of the profile."""
    notes: tuple[str, ...]


def choose_columns(
    history: History, groups: frozenset[str] | None, rule: ColumnRule, seed: int, watcher: Watcher
) -> ChosenColumns:
    """The columns of these groups (None: all) that vary; of them, with the rule RELATED, those related to another one.

    Of columns that repeat each other the first counts, for the others are no relation; the rule ALL keeps them, too.
    Relations are looked for in a seeded sample of at most 100,000 rows. Raises FitRefused when there is no such group
    or no column that varies.
    """
    fields = history.all_fields
    step = "looking at the columns"
    learned: list[Learned] = []
    for field in fields:
        watcher.at(step, len(learned), len(fields))
        learned.append(learn(history, field, seed))
    left_out = _useless(learned, groups)
    usable = tuple(field for field in fields if field.name not in left_out)
    if not usable:
        raise FitRefused(f"no column tells users apart: {reasons_in_words(left_out)}")
    watcher.at(step, len(fields), len(fields))
    sampled = history.sample(RELATED_ROWS, seed)
    repeated = duplicates(sampled, usable)
    found = relations(sampled, [field for field in usable if field.name not in repeated])
    connected = related(found)
    if rule is ColumnRule.ALL:
        repeated = {}
    kept = frozenset(field.name for field in usable if field.name not in repeated)
    if rule is ColumnRule.RELATED and connected:
        kept = connected
    header_of = {field.name: field.header for field in usable}
    left_out |= {
        field.name: f'repeats "{header_of[repeated[field.name]]}", which counts once'
        if field.name in repeated
        else "not related to any other column"
        for field in usable
        if field.name not in kept
    }
    return ChosenColumns(
        encoder=encoder(learned, kept),
        kept=tuple(field.name for field in fields if field.name in kept),
        left_out={field.name: left_out[field.name] for field in fields if field.name in left_out},
        repeated=frozenset(repeated),
        related=connected,
        learned=tuple(learned),
        notes=(*_notes(history, learned), *_outcomes(learned, found)),
    )


def _useless(learned: Sequence[Learned], groups: frozenset[str] | None) -> dict[str, str]:
    known = sorted({each.field.group for each in learned})
    unknown = sorted((groups or frozenset()) - set(known))
    if unknown:
        raise FitRefused(f"the profile class has no feature group {unknown[0]!r}: --only takes {', '.join(known)}")
    useless: dict[str, str] = {}
    for each in learned:
        if groups is not None and each.field.group not in groups:
            useless[each.field.name] = f"its group, {each.field.group}, was not selected with --only"
        elif each.useless_because is not None:
            useless[each.field.name] = each.useless_because
    return useless


def _outcomes(learned: Sequence[Learned], found: Sequence[Relation]) -> Iterator[str]:
    two_valued = {
        each.field.name: each.field.header
        for each in learned
        if isinstance(each.column, BooleanColumn)
        or (isinstance(each.column, CategoryColumn) and each.column.width == 2)
    }
    for name in likely_outcomes(found, two_valued):
        yield (
            f'"{two_valued[name]}" has two values and is associated with nearly every other column, few of which are '
            "associated with each other: if it is an outcome that segments should explain, remove it from the profile "
            "class"
        )


def _notes(history: History, learned: Sequence[Learned]) -> tuple[str, ...]:
    notes = [each.note for each in learned if each.note is not None]
    if history.counted_to is not None:
        notes.append(f"days since a date are counted to {history.counted_to}")
    if history.ignored_headers:
        names = ", ".join(f'"{header}"' for header in history.ignored_headers)
        notes.append(f"ignored columns that the profile class does not list: {names}")
    return tuple(notes)
