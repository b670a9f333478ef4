"""What the segments are: everything that is reported of them besides the verdict."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from models.manifest import Verdict
from trainer.explaining.cards import cards
from trainer.explaining.division import Division
from trainer.explaining.effects import all_effects, effects
from trainer.explaining.field_tests import field_tests, surviving
from trainer.explaining.heat import heat_rows
from trainer.explaining.missing import missing_values
from trainer.explaining.projection import projection
from trainer.explaining.proxies import proxies
from trainer.explaining.thresholds import thresholds
from trainer.explaining.tiers import tiers
from trainer.findings import Card, Effect, FieldTest, HeatRow, Map, MissingValues, Proxy, Threshold, Tiers

NO_MAP = Map(x=(), y=(), segment=(), explained=(0.0, 0.0))


@dataclass(frozen=True, slots=True)
class Explained:
    """The segments in words and figures, under stable numbers."""

    tests: tuple[FieldTest, ...]
    cards: tuple[Card, ...]
    proxies: tuple[Proxy, ...]
    map: Map
    heat: tuple[HeatRow, ...]
    missing: tuple[MissingValues, ...]
    thresholds: tuple[Threshold, ...]
    tiers: Tiers | None


def explain(
    division: Division,
    outliers: Sequence[int],
    verdict: Verdict,
    multimodal: Collection[str],
    given_names: Mapping[int, str],
    not_named: frozenset[str],
    seed: int,
) -> Explained:
    """What sets the segments apart; with verdict none only their sizes, since nothing does, limits and tiers.

    outliers are users of the whole history by cluster index; multimodal are headers of columns with several peaks.
    given_names (by stable number) are kept; fields of the groups not_named are used in no name, suggestion or tier. How
    strongly the segments predict demographic fields is reported with any verdict, for those who use them anyway.
    """
    insights = verdict is not Verdict.NONE
    tests = field_tests(division.sample, division.labels, seed) if insights else ()
    limits = () if insights else thresholds(division.sample, multimodal)
    return Explained(
        tests=tests,
        cards=cards(
            division, _differences(division, tests) if insights else {}, outliers, verdict, given_names, not_named
        ),
        proxies=proxies(division),
        map=projection(division) if insights else NO_MAP,
        heat=heat_rows(division, tests) if insights else (),
        missing=missing_values(division, seed) if insights else (),
        thresholds=limits,
        tiers=None if insights else tiers(division.sample, not_named, {each.field: each.value for each in limits}),
    )


def _differences(division: Division, tests: tuple[FieldTest, ...]) -> Mapping[int, tuple[Effect, ...]]:
    """What sets each segment apart for certain; of a segment of which nothing does, where its centre differs.

    Fields that only make the segments together pass no test alone, and a segment that a few resamples do not find
    again has no certain effect.
    """
    found = effects(division, surviving(tests))
    if all(found.values()):
        return found
    by_centre = all_effects(division, frozenset(column.name for column in division.sample.encoder.kept))
    return {number: each or by_centre[number] for number, each in found.items()}
