"""What the fields of a model and their labels are called in names: short, in their own spelling, told apart if room."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from models.encoding import CategoryColumn, SeveralOfColumn
from schemas.roles import ProfileField
from trainer.fitting.sample import Sample
from trainer.text.shortening import plain, told_apart

LONGEST_TITLE = 23
LONGEST_LABEL = 25
# A header that starts with one of these already says how much: "low few visits" would be read the wrong way.
_DEGREES = {
    *("high", "higher", "highest", "many", "more", "most", "medium"),
    *("low", "lower", "lowest", "few", "fewer", "fewest", "less", "least"),
}


@dataclass(frozen=True)
class Titles:
    """The titles of all fields of one model, and of their labels."""

    fields: Mapping[str, str]
    """Field -> its title, as long as its header."""
    labels: Mapping[str, Mapping[str, str]]
    """Field -> label or item -> how it is written, in at most 25 columns; different in one field."""
    ambiguous: frozenset[str]
    """Labels that several fields have, in lower case."""

    @classmethod
    def of(cls, fields: Sequence[ProfileField], levels: Mapping[str, Sequence[str]]) -> Self:
        """The titles of these fields, and of the labels or items of those that have some."""
        counts = Counter(label for labels in levels.values() for label in {each.casefold() for each in labels})
        return cls(
            _whole_titles(fields),
            {name: told_apart(labels, LONGEST_LABEL) for name, labels in levels.items()},
            frozenset(label for label, fields_with_it in counts.items() if fields_with_it > 1),
        )

    @classmethod
    def in_sample(cls, sample: Sample) -> Self:
        """The titles of the fields of a sample, and of all labels and items that its encoder knows."""
        columns = [each for each in sample.encoder.columns if isinstance(each, CategoryColumn | SeveralOfColumn)]
        return cls.of(sample.fields, {column.name: column.levels for column in columns})

    def title(self, field: str, columns: int = LONGEST_TITLE) -> str:
        """The title of a field in at most this many columns, which tells it apart from all others if that fits."""
        return told_apart(self.fields.values(), columns)[self.fields[field]]

    def label(self, field: str, level: str) -> str:
        """A label or item in at most 25 columns; empty if it has no readable character."""
        labels = self.labels.get(field, {})
        return labels[level] if level in labels else told_apart([level], LONGEST_LABEL)[level]

    def is_degree(self, field: str) -> bool:
        """Whether the title starts with a word such as high or few."""
        return _starts_with_degree(self.fields[field])

    def stands_alone(self, level: str) -> bool:
        """Whether a label says without its field what it is."""
        return level.casefold() not in self.ambiguous and not _starts_with_degree(level)


def _whole_titles(fields: Sequence[ProfileField]) -> dict[str, str]:
    """For each field the first that no other field has: its header in words, the header itself, its name."""
    forms = [(_in_words(field.header) or _in_words(field.name), plain(field.header), field.name) for field in fields]
    taken = [Counter(form.casefold() for form in each) for each in zip(*forms, strict=True)]
    return {
        field.name: next((form for form, counts in zip(each, taken, strict=True) if counts[form.casefold()] == 1), name)
        for field, each in zip(fields, forms, strict=True)
        for name in [field.name]
    }


def _in_words(header: str) -> str:
    """A header without underscores, and without a unit in brackets."""
    return " ".join(re.sub(r"\([^)]*\)", " ", plain(header)).replace("_", " ").split())


def _starts_with_degree(text: str) -> bool:
    return bool(words := re.findall(r"\w+", text)) and words[0].casefold() in _DEGREES
