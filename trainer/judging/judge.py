"""Are the segments real? The evidence is gathered on the sample."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from models.encoding import Floats
from trainer.findings import Judgement, Trial
from trainer.fitting.choose_k import Candidate, Choice, Start, best_first, different_rows, search
from trainer.fitting.sample import Sample
from trainer.fitting.scikit import on_all_cores
from trainer.judging import dip_test
from trainer.judging.between import Between, Centres, are_joined, bends, between, counted, out_of_bag
from trainer.judging.null_model import Null, learn_null
from trainer.judging.stability import Plan, Stability, stabilities
from trainer.judging.verdict import (
    LEAST_ROOM,
    ROUNDING,
    WEAK_JACCARD,
    Evidence,
    least_separations,
    verdict_of,
)
from trainer.text.progress import Watcher
from trainer.text.wording import mean_of

# With one other number, four groups in a row are missed in a third of the tables; more would find more by chance.
OTHERS_TRIED = 2
# The fewest that allow p ≤ 0.05.
DRAWS = 19
# Searching a draw for segments takes time. Five give the curves; all are searched only where the silhouette decides and
# the verdict is still open.
SEARCHED_DRAWS = 5
RESAMPLES = 50
RESAMPLES_OF_CURVE = 10
# Keeps the random draws here apart from those of the resamples.
STREAM = 2


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
    different = different_rows(sample.scaled)

    def evidence_on(candidate: Candidate) -> Evidence:
        stability = stability_of[candidate.k]
        placed = out_of_bag(sample.scaled, stability.resamples)
        here, centres = counted(placed), [each.centres for each in placed]
        drawn = [*on_all_cores(partial(_between, null, centres, seed), range(DRAWS), sample.scaled)]
        return Evidence(
            k=candidate.k,
            related_columns=len(related),
            halved=candidate.start is Start.HALVES,
            kinds_per_segment=different / candidate.k,
            silhouette=candidate.silhouette,
            null_silhouettes=tuple(_silhouette(found, candidate.k) for found in nulls),
            between=here.share,
            null_between=tuple(each.share for each in drawn),
            joined=are_joined(here, drawn, least_separations(bends(sample.scaled, placed)), LEAST_ROOM),
            least_jaccard=min(stability.jaccard),
            borders=dip_test.borders(sample, candidate.labels, candidate.centroids),
            multimodal_columns=multimodal,
        )

    search_draws(range(SEARCHED_DRAWS))
    chosen, evidence = first, evidence_on(first)
    for other in _others(choice, stability_of, nulls) if evidence.is_open_to_others else ():
        # The resamples of the curve say whether it is worth the rest.
        if evidence_on(other).is_better_than(evidence):
            (stability_of[other.k],) = resampled([Plan(other, RESAMPLES)])
            closer = evidence_on(other)
            if closer.is_better_than(evidence):
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
