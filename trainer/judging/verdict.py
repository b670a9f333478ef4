"""The verdict follows from the evidence by fixed limits.

Only one thing counts for segments: that fewer users lie between them than in data with the same columns but without
segments. Stability in bootstrap resamples and gaps between neighbours can only count against them: one cloud that is
cut in two is found again, too. The silhouette chooses their number, but it rewards compact segments as much as separate
ones; it decides only where even data without segments have hardly a user between the centres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.encoding import Floats
from models.manifest import Verdict
from trainer.findings import Border
from trainer.fitting.choose_k import FEWEST_SEGMENTS
from trainer.text.wording import decimal, mean_of, percent

CLEAR_SEPARATION = 0.75
WEAK_SEPARATION = 0.35
# Where the users between two segments lie this far aside of the line between the centres, as around a bend.
BENT = 0.15
WEAK_SEPARATION_AT_A_BEND = 0.45
# The one border of two segments must show it alone: of 38 half circles, two were cut in two with .47 and .50.
WEAK_SEPARATION_OF_TWO_AT_A_BEND = 0.50
# Of four groups in a row, for example, two segments have less, four have more.
PREFERRED_SEPARATION = 0.40
# Where data without segments have a smaller share of users between the centres, a gap cannot be seen.
LEAST_ROOM = 0.05
CLEAR_EFFECT = 0.20
WEAK_EFFECT = 0.05
CLEAR_JACCARD = 0.75
WEAK_JACCARD = 0.60
GREATEST_DIP_P_VALUE = 0.05
# With fewer kinds of users the segments are only the rows of a table of their labels.
LEAST_KINDS_PER_SEGMENT = 3
# Below half of what weak needs; the mean silhouettes of a few draws and of all differ by some thousandths.
HOPELESS_EFFECT = WEAK_EFFECT / 2
WORST_FIRST = (Verdict.NONE, Verdict.WEAK, Verdict.CLEAR)
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
        Nor where segments are only a table of labels: fewer segments merge its rows.
        """
        is_curve = self.joined and self.k > FEWEST_SEGMENTS and not self.is_crowded
        is_table = self.kinds_per_segment < LEAST_KINDS_PER_SEGMENT
        return self.related_columns > 0 and not (is_curve or is_table) and verdict_of(self)[0] is not Verdict.CLEAR

    @property
    def is_crowded(self) -> bool:
        """Whether too many users lie between the segments."""
        return self.separation is not None and self.separation < WEAK_SEPARATION

    def is_better_than(self, other: Evidence) -> bool:
        """Whether its verdict is better, or as good with segments that are separate enough to be preferred.

        It must rest on the users between the segments.
        """

        def rank(evidence: Evidence) -> tuple[int, bool]:
            verdict, _ = verdict_of(evidence)
            separate = evidence.separation is None or evidence.separation >= PREFERRED_SEPARATION
            return WORST_FIRST.index(verdict), verdict is not Verdict.NONE and separate

        return self.separation is not None and rank(self) > rank(other)

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


def least_separations(bends: Floats) -> Floats:
    """The separation below which each two segments are joined, by how bent the way between them is, both (k, k)."""
    two = len(bends) == FEWEST_SEGMENTS
    return np.where(
        bends < BENT, WEAK_SEPARATION, WEAK_SEPARATION_OF_TWO_AT_A_BEND if two else WEAK_SEPARATION_AT_A_BEND
    )


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
