"""Are the segments real? The evidence is gathered on the sample, and the verdict follows from it by fixed limits.

Only one thing counts for segments: that fewer users lie between them than in data with the same columns but without
segments. Stability in bootstrap resamples and gaps between neighbours can only count against them: one cloud that is
cut in two is found again, too. The silhouette chooses their number, but it rewards compact segments as much as separate
ones; it decides only where even data without segments have hardly a user between the centres.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from models.encoding import Floats
from models.manifest import Verdict
from trainer.findings import Border, Judgement, Trial
from trainer.fitting.choose_k import FEWEST_SEGMENTS, Candidate, Choice, Start, best_first, different_rows, search
from trainer.fitting.sample import Sample
from trainer.fitting.scikit import on_all_cores
from trainer.judging import dip_test
from trainer.judging.between import (
    Between,
    Centres,
    are_joined,
    bends_out_of_bag,
    between,
    between_out_of_bag,
    centres_of,
)
from trainer.judging.null_model import Null, learn_null
from trainer.judging.stability import Plan, Stability, stabilities
from trainer.text.progress import Watcher
from trainer.text.wording import decimal, mean_of, percent

CLEAR_SEPARATION = 0.75
WEAK_SEPARATION = 0.40
# Where the users between two segments lie this far aside of the line between the centres, as around a bend.
BENT = 0.25
WEAK_SEPARATION_AT_A_BEND = 0.45
# With one other number, four groups in a row are missed in a third of the tables; more would find more by chance.
OTHERS_TRIED = 2
WORST_FIRST = (Verdict.NONE, Verdict.WEAK, Verdict.CLEAR)
# Where data without segments have a smaller share of users between the centres, a gap cannot be seen.
LEAST_ROOM = 0.05
CLEAR_EFFECT = 0.20
WEAK_EFFECT = 0.05
CLEAR_JACCARD = 0.75
WEAK_JACCARD = 0.60
GREATEST_DIP_P_VALUE = 0.05
# With fewer kinds of users the segments are only the rows of a table of their labels.
LEAST_KINDS_PER_SEGMENT = 3
# The fewest that allow p ≤ 0.05.
DRAWS = 19
# Searching a draw for segments takes time. Five give the curves; all are searched only where the silhouette decides and
# the verdict is not none already, by a draw as well grouped as the data (p is 2 / 20 at best), a veto, or an effect
# below half of what weak needs (the means of five draws and of nineteen differ by some thousandths).
SEARCHED_DRAWS = 5
HOPELESS_EFFECT = WEAK_EFFECT / 2
RESAMPLES = 50
RESAMPLES_OF_CURVE = 10
# Keeps the random draws here apart from those of the resamples.
STREAM = 2
# A smaller difference from 1, or from an inertia of 0, is only rounding.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the verdict depends on."""

    k: int
    """How many segments."""
    related_columns: int
    """Columns that are related to another."""
    halved: bool
    """Whether a few extreme users left no number of segments large enough."""
    kinds_per_segment: float
    """Distinct users per segment."""
    silhouette: float
    null_silhouettes: tuple[float, ...]
    """Of as many segments in draws without segments; of all draws where the silhouette may decide."""
    between: float
    """Share of users between segments."""
    null_between: tuple[float, ...]
    """The same share of each draw without segments, at the same centres."""
    joined: bool
    """Whether crowded borders join all segments: one leads to the next, as along a curve."""
    least_jaccard: float
    """Of the least stable segment."""
    borders: tuple[Border, ...]
    """Of each segment with its nearest neighbour."""
    multimodal_columns: tuple[str, ...]
    """Headers of the number columns that are multimodal by themselves."""

    @property
    def null_mean(self) -> float:
        """Mean silhouette of the draws without segments."""
        return math.fsum(self.null_silhouettes) / len(self.null_silhouettes)

    @property
    def effect(self) -> float:
        """(S − mean S₀) / (1 − mean S₀), from 0 (no better than unsegmented data) to 1 (perfect separation)."""
        room = 1 - self.null_mean
        return (self.silhouette - self.null_mean) / room if room > ROUNDING else 0.0

    @property
    def separation(self) -> float | None:
        """1 − B / mean B₀: 0 if as many users lie between segments as without segments, 1 if none does.

        None where data without segments have too few users there to tell.
        """
        mean = mean_of(self.null_between)
        return 1 - self.between / mean if mean >= LEAST_ROOM else None

    @property
    def reached(self) -> int:
        """Draws without segments that are as well separated as the data."""
        if self.separation is None:
            return sum(null >= self.silhouette for null in self.null_silhouettes)
        return sum(null <= self.between for null in self.null_between)

    def reaches(self, separation: float, effect: float) -> bool:
        """Whether the separation reaches its limit; where it is unknown, whether the effect does."""
        return self.effect >= effect if self.separation is None else self.separation >= separation

    @property
    def p_value(self) -> float:
        """(1 + draws that reached the data) / (draws + 1)."""
        draws = self.null_silhouettes if self.separation is None else self.null_between
        return (1 + self.reached) / (1 + len(draws))

    @property
    def has_gaps(self) -> bool:
        """Whether there is a gap at every border."""
        return all(border.dip_p_value <= GREATEST_DIP_P_VALUE for border in self.borders)

    @property
    def is_open_to_others(self) -> bool:
        """Whether other numbers of segments are worth a try.

        Not where three or more lead from one to the next: a curve does so in any number of pieces, and two may hide it.
        """
        is_curve = self.joined and self.k > FEWEST_SEGMENTS and not self.is_crowded
        return self.related_columns > 0 and not is_curve and verdict_of(self)[0] is not Verdict.CLEAR

    @property
    def is_crowded(self) -> bool:
        """Whether too many users lie between the segments."""
        return self.separation is not None and self.separation < WEAK_SEPARATION

    @property
    def is_open(self) -> bool:
        """Whether silhouettes of further draws could change the verdict."""
        return (
            self.separation is None
            and self.related_columns > 0
            and not self.halved
            and self.kinds_per_segment >= LEAST_KINDS_PER_SEGMENT
            and self.least_jaccard >= WEAK_JACCARD
            and self.reached == 0
            and self.effect >= HOPELESS_EFFECT
        )


@dataclass(frozen=True)
class Judged:
    """The judgement of a sample, and what explanations of its segments start from; all by cluster index from 0."""

    judgement: Judgement
    chosen: Candidate
    stability: Stability

    def renumbered(self, numbers: Mapping[int, int]) -> Judgement:
        """The judgement under stable numbers, one for each cluster index."""
        renamed = [
            replace(border, segment=numbers[border.segment], neighbour=numbers[border.neighbour])
            for border in self.judgement.borders
        ]
        jaccard = {numbers[index]: value for index, value in self.judgement.jaccard.items()}
        return replace(
            self.judgement,
            jaccard=dict(sorted(jaccard.items())),
            borders=tuple(sorted(renamed, key=lambda border: border.segment)),
        )


def judge(sample: Sample, choice: Choice, related: frozenset[str], seed: int, watcher: Watcher) -> Judged:
    """Whether the segments chosen on a sample are real; equal arguments give equal judgements on any machine.

    Unless they are clear, up to three other numbers of segments are tried: the two with the silhouettes furthest above
    that of data without segments, and the elbow. One with a better verdict takes their place. Of three groups in a row,
    for example, the silhouette takes two segments, and cuts the middle group; of groups beside labels that follow them
    loosely, it takes one for each combination of labels. related are the names of the columns that are associated with
    another one; if there are none, so is the verdict, but the curves are still drawn.
    """
    first = choice.chosen
    resampling = "clustering bootstrap resamples"

    def resampled(plans: Sequence[Plan]) -> tuple[Stability, ...]:
        watcher.at(resampling)
        return stabilities(sample.scaled, plans, seed, lambda done, total: watcher.at(resampling, done, total))

    stable = resampled(
        [Plan(candidate, RESAMPLES if candidate is first else RESAMPLES_OF_CURVE) for candidate in choice.candidates]
    )
    stability_of = {candidate.k: each for candidate, each in zip(choice.candidates, stable, strict=True)}

    comparing = "comparing with data without segments"
    watcher.at(comparing)
    null = learn_null(sample)
    nulls: list[tuple[Candidate, ...]] = []

    def search_draws(draws: range) -> None:
        for found in on_all_cores(partial(_searched, null, choice, seed), draws, sample.scaled):
            nulls.append(found)
            watcher.at(comparing, len(nulls), draws.stop)

    multimodal = dip_test.multimodal_columns(sample)

    def evidence_on(candidate: Candidate) -> Evidence:
        stability = stability_of[candidate.k]
        here = between_out_of_bag(sample.scaled, stability.resamples)
        bends = bends_out_of_bag(sample.scaled, stability.resamples)
        centres = [centres_of(resample, sample.scaled) for resample in stability.resamples]
        drawn = [*on_all_cores(partial(_between, null, centres, seed), range(DRAWS), sample.scaled)]
        return Evidence(
            k=candidate.k,
            related_columns=len(related),
            halved=candidate.start is Start.HALVES,
            kinds_per_segment=different_rows(sample.scaled) / candidate.k,
            silhouette=candidate.silhouette,
            null_silhouettes=tuple(_silhouette(found, candidate.k) for found in nulls),
            between=here.share,
            null_between=tuple(each.share for each in drawn),
            joined=are_joined(
                here, drawn, np.where(bends >= BENT, WEAK_SEPARATION_AT_A_BEND, WEAK_SEPARATION), LEAST_ROOM
            ),
            least_jaccard=min(stability.jaccard),
            borders=dip_test.borders(sample, candidate.labels, candidate.centroids),
            multimodal_columns=multimodal,
        )

    search_draws(range(SEARCHED_DRAWS))
    chosen, evidence = first, evidence_on(first)
    for other in _others(choice, stability_of, nulls) if evidence.is_open_to_others else ():
        # The resamples of the curve say whether it is worth the rest.
        if _is_better(evidence_on(other), evidence):
            (stability_of[other.k],) = resampled([Plan(other, RESAMPLES)])
            closer = evidence_on(other)
            if _is_better(closer, evidence):
                chosen, evidence = other, closer
    if evidence.is_open:
        search_draws(range(SEARCHED_DRAWS, DRAWS))
        evidence = replace(evidence, null_silhouettes=tuple(_silhouette(found, chosen.k) for found in nulls))
    stability = stability_of[chosen.k]
    runner_up = choice.runner_up if chosen is first else first
    verdict, reason = verdict_of(evidence)
    judgement = Judgement(
        verdict=verdict,
        reason=reason,
        k=chosen.k,
        k_was_given=choice.k_was_given,
        silhouette_k=None if chosen is first else first.k,
        runner_up=None if runner_up is None else runner_up.k,
        elbow_k=choice.elbow_k,
        silhouette=chosen.silhouette,
        null_silhouettes=evidence.null_silhouettes,
        effect=evidence.effect,
        between=evidence.between,
        null_between=evidence.null_between,
        separation=evidence.separation,
        p_value=evidence.p_value,
        jaccard=dict(enumerate(stability.jaccard)),
        borders=evidence.borders,
        multimodal_columns=evidence.multimodal_columns,
        sample_rows=len(sample.scaled),
        trials=tuple(
            _trial(candidate, nulls, min(stability_of[candidate.k].jaccard), choice.least_share)
            for candidate in choice.candidates
        ),
    )
    return Judged(judgement, chosen, stability)


def _rank(evidence: Evidence) -> int:
    return WORST_FIRST.index(verdict_of(evidence)[0])


def _is_better(other: Evidence, evidence: Evidence) -> bool:
    """Whether another number of segments has a better verdict, and one that rests on the users between them."""
    return other.separation is not None and _rank(other) > _rank(evidence)


def _others(
    choice: Choice, stability_of: Mapping[int, Stability], nulls: Sequence[Sequence[Candidate]]
) -> Sequence[Candidate]:
    """The candidates to try instead of the chosen one, all with segments large enough, and found again in resamples.

    First those whose silhouettes exceed data without segments the most, then the elbow: where groups are very far
    apart, what differs within them, such as labels, decides over the silhouettes, but not over the elbow.
    """

    def above(candidate: Candidate) -> float:
        return candidate.silhouette - mean_of([_silhouette(found, candidate.k) for found in nulls])

    others = [
        candidate
        for candidate in best_first(choice.candidates, choice.least_share)
        if candidate is not choice.chosen
        and min(stability_of[candidate.k].jaccard) >= WEAK_JACCARD
        and above(candidate) > 0
    ]
    ranked = sorted(others, key=lambda candidate: (-above(candidate), candidate.k))
    elbow = [candidate for candidate in ranked[OTHERS_TRIED:] if candidate.k == choice.elbow_k]
    return [*ranked[:OTHERS_TRIED], *elbow]


def _draw(null: Null, seed: int, draw: int) -> tuple[Floats, np.random.Generator]:
    """One draw without segments, and the generator for what is done with it."""
    generator = np.random.default_rng(np.random.SeedSequence([seed, STREAM, draw]))
    return null.draw(generator), generator


def _between(null: Null, centres: Sequence[Centres], seed: int, draw: int) -> Between:
    """Where users of one draw without segments lie at the data's centres.

    At centres of its own nothing would lie between them wherever k-means splits by one label.
    """
    return between(_draw(null, seed, draw)[0], centres)


def _searched(null: Null, choice: Choice, seed: int, draw: int) -> tuple[Candidate, ...]:
    """What the search that the data had finds in one draw without segments."""
    scaled, generator = _draw(null, seed, draw)
    ks = [candidate.k for candidate in choice.candidates]
    return search(scaled, ks, int(generator.integers(2**31)), lambda *_: None)


def _silhouette(found: Sequence[Candidate], k: int) -> float:
    """The silhouette of k segments; 1 where a draw has fewer different rows than that: each row is at its centre."""
    return next((candidate.silhouette for candidate in found if candidate.k == k), 1.0)


def _trial(candidate: Candidate, nulls: Sequence[Sequence[Candidate]], stability: float, least_share: float) -> Trial:
    same = [each for found in nulls for each in found if each.k == candidate.k]
    silhouettes = [each.silhouette for each in same]
    gap = _gap(candidate.inertia, [each.inertia for each in same], len(candidate.labels))
    return Trial(
        k=candidate.k,
        silhouette=candidate.silhouette,
        null_silhouette=(min(silhouettes), float(np.mean(silhouettes)), max(silhouettes)) if silhouettes else None,
        inertia=candidate.inertia,
        gap=None if gap is None else gap[0],
        gap_error=None if gap is None else gap[1],
        stability=stability,
        smallest_users=candidate.smallest_rows,
        allowed=candidate.smallest_share >= least_share,
    )


def _gap(inertia: float, null_inertias: Sequence[float], rows: int) -> tuple[float, float] | None:
    """The gap statistic and its error (Tibshirani et al. 2001); None where rows lie on their centres: no logarithm."""
    if min((inertia, *null_inertias)) <= rows * ROUNDING or not null_inertias:
        return None
    logs = np.log(null_inertias)
    return float(logs.mean() - math.log(inertia)), float(logs.std() * math.sqrt(1 + 1 / len(logs)))


def verdict_of(evidence: Evidence) -> tuple[Verdict, str]:
    """The verdict, and the reason in words, with the share of users between segments."""
    figures = _figures(evidence)
    objection = _objection(evidence)
    if objection is not None:
        thresholds = f"; {_as_thresholds(evidence.multimodal_columns)}" if evidence.multimodal_columns else ""
        return Verdict.NONE, f"{objection}; {figures}{thresholds}"
    doubts = _doubts(evidence)
    if doubts:
        return Verdict.WEAK, f"{figures}, but {' and '.join(doubts)}"
    return Verdict.CLEAR, (
        f"{figures}; every segment is found again in bootstrap resamples, and there is a gap between it and its "
        "nearest neighbour"
    )


def _figures(evidence: Evidence) -> str:
    figures = (
        f"{percent(evidence.between)} of users lie between segments, "
        f"{percent(mean_of(evidence.null_between))} would in data without segments"
    )
    if evidence.separation is None:
        figures += (
            ", too few to tell, so the silhouette decides: "
            f"{decimal(evidence.silhouette)} against {decimal(evidence.null_mean)}"
        )
    return figures


def _objection(evidence: Evidence) -> str | None:
    """Why there are no segments, if so."""
    if not evidence.related_columns:
        return "no two columns are related"
    if evidence.halved:
        return (
            "a few users are so far from all others that any number of segments leaves one too small, and the two "
            "shown are only halves"
        )
    if evidence.kinds_per_segment < LEAST_KINDS_PER_SEGMENT:
        return "the columns have so few distinct values that the segments are just a table of them"
    # With nineteen draws, p ≤ 0.05 means that none has reached the data.
    if evidence.reached or not evidence.reaches(WEAK_SEPARATION, WEAK_EFFECT):
        return "the segments are not separate enough"
    if evidence.separation is not None and evidence.joined:
        return "the segments lead from one to the next without a gap, as along a curve"
    if evidence.least_jaccard < WEAK_JACCARD:
        return (
            f"in bootstrap resamples one segment overlaps with its match by only {_percent(evidence.least_jaccard)} "
            f"({_percent(WEAK_JACCARD)} are needed)"
        )
    return None


def _doubts(evidence: Evidence) -> list[str]:
    """Why segments are not clear."""
    doubts = []
    if not evidence.reaches(CLEAR_SEPARATION, CLEAR_EFFECT):
        doubts.append("the difference is small")
    if evidence.least_jaccard < CLEAR_JACCARD:
        doubts.append(
            f"one segment overlaps with its match in bootstrap resamples by only {_percent(evidence.least_jaccard)}"
        )
    if not evidence.has_gaps:
        doubts.append("there is no gap between some neighbouring segments")
    return doubts


def _as_thresholds(headers: Sequence[str]) -> str:
    *first, last = (f'"{header}"' for header in headers)
    if not first:
        return f"{last} is multimodal by itself: a threshold describes it better than segments"
    return f"{', '.join(first)} and {last} are multimodal by themselves: thresholds describe them better than segments"


def _percent(share: float) -> str:
    """Rounded down: a value below a limit must not read as the limit."""
    return f"{math.floor(100 * share + ROUNDING)} %"
