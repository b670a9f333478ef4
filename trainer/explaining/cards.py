"""The segments as a person meets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from models.manifest import Verdict
from trainer.explaining.division import Division
from trainer.explaining.naming import names
from trainer.explaining.suggestions import suggestion
from trainer.findings import Card, Effect
from trainer.privacy import shown


def cards(
    division: Division,
    effects: Mapping[int, Sequence[Effect]],
    outliers: Sequence[int],
    verdict: Verdict,
    given_names: Mapping[int, str],
    not_named: frozenset[str],
) -> tuple[Card, ...]:
    """A card a segment, largest first; with verdict none nothing is told but its number and size.

    effects are by stable number, strongest first; outliers are users of the whole history by cluster index. A name that
    a person gave stays. Fields of the groups not_named give neither a name nor a suggestion, but stand among the
    effects.
    """
    if verdict is Verdict.NONE:
        effects = {}
    told = {division.numbers[index]: effects.get(division.numbers[index], ()) for index in division.by_size}
    called = names(told, given_names, not_named)
    return tuple(
        Card(
            segment=number,
            name=called[number],
            users=division.users[index],
            share=division.users[index] / division.all_users,
            outliers=shown(outliers[index]),
            effects=tuple(told[number]),
            suggestion="" if verdict is Verdict.NONE else suggestion(told[number], not_named),
        )
        for index in division.by_size
        for number in [division.numbers[index]]
    )
