"""The segments as cards for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from models.manifest import Verdict
from trainer.explaining.division import Division
from trainer.explaining.effects import middles, prominent
from trainer.explaining.naming import names
from trainer.explaining.suggestions import suggestion
from trainer.explaining.titles import Titles
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
    """One card per segment, largest first; with verdict none only its number and size.

    effects are by stable number, strongest first; outliers are users of the whole history by cluster index. Names that
    a person gave are kept. Fields of the groups not_named are used in no name or suggestion, but are among the effects.
    """
    if verdict is Verdict.NONE:
        effects = {}
    reported = {division.numbers[index]: effects.get(division.numbers[index], ()) for index in division.by_size}
    outstanding, titles = prominent(reported), Titles.in_sample(division.sample)
    called = names(reported, middles(division, reported), given_names, not_named, titles)
    return tuple(
        Card(
            segment=number,
            name=called[number],
            users=division.users[index],
            share=division.users[index] / division.all_users,
            outliers=shown(outliers[index]),
            effects=tuple(reported[number]),
            suggestion=suggestion(reported[number], outstanding[number], not_named, titles),
        )
        for index in division.by_size
        for number in [division.numbers[index]]
    )
