"""Effects for tests, with figures that nobody looks at unless they are given."""

from collections.abc import Iterable

from schemas import UserProfile
from schemas.roles import Kind, ProfileField, profile_fields
from trainer.explaining.effects import Middle
from trainer.explaining.titles import Titles
from trainer.findings import Effect, Measure

FIELDS = {field.name: field for field in profile_fields(UserProfile)}


def more(field: str, size: float = 1.0, inside: float = 4.4, outside: float = 3.1) -> Effect:
    """A field of the project's profile in which a segment is higher."""
    known = FIELDS[field]
    measure = Measure.CLIFFS_DELTA if known.kind is Kind.ORDERED else Measure.STANDARDISED_DIFFERENCE
    return Effect(
        field, known.header, known.group, known.kind, None, measure,
        size, size / 2, size * 2, inside, outside, None, known.levels,
    )  # fmt: skip


def less(field: str, size: float = 1.0) -> Effect:
    """A field in which it is lower."""
    return more(field, -size)


def having(field: str, level: str, size: float = 0.5, lift: float | None = 3.1) -> Effect:
    """A label or item that more of a segment have, or fewer with a negative size."""
    known = FIELDS[field]
    inside, outside = 0.3 + size / 2, 0.3 - size / 2
    return Effect(
        field, known.header, known.group, known.kind, level, Measure.SHARE_DIFFERENCE,
        size, size / 2, size * 2, inside, outside, lift,
    )  # fmt: skip


def elsewhere(field: str, header: str, kind: Kind, level: str | None = None, size: float = 0.5) -> Effect:
    """An effect in a field of somebody else's profile."""
    measure = Measure.STANDARDISED_DIFFERENCE if level is None else Measure.SHARE_DIFFERENCE
    return Effect(field, header, "usage", kind, level, measure, size, size / 2, size * 2, 0.6, 0.1, None)


def titles_of(found: Iterable[Effect | Middle]) -> Titles:
    """The titles of a model with these fields and labels."""
    fields = {each.field: ProfileField(each.field, each.header, each.group, each.kind, ()) for each in found}
    levels: dict[str, list[str]] = {}
    for each in found:
        if isinstance(each, Effect) and each.level is not None:
            levels.setdefault(each.field, []).append(each.level)
    return Titles.of([*fields.values()], levels)
