"""What a fit found, as plain values: the report draws them, findings.json keeps them, `show` prints them.

Segments are identified by their stable numbers. A count of users that is too small to be shown is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from models.manifest import Reassigned, Verdict
from schemas.roles import Kind

# --- how many, and are they real ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trial:
    """One number of segments that was tried on the judged sample, and the same search on data without segments."""

    k: int
    silhouette: float
    null_silhouette: tuple[float, float, float] | None
    """Least, mean and greatest silhouette of the data sets without segments at this k; None where there are none."""
    inertia: float
    """Sum of squared distances to the nearest centre."""
    gap: float | None
    """Mean log inertia of the data sets without segments − log inertia of the data (Tibshirani et al. 2001)."""
    gap_error: float | None
    """Standard deviation of the draws' log inertia · √(1 + 1/draws)."""
    stability: float | None
    """The least stable segment's mean Jaccard with its match in bootstrap resamples (Hennig 2007)."""
    smallest_users: int
    """Users of its smallest segment, in the sample."""
    allowed: bool
    """Whether its smallest segment is large enough."""


@dataclass(frozen=True, slots=True)
class Border:
    """Whether there is a gap between a segment and its nearest neighbour."""

    segment: int
    neighbour: int
    dip_p_value: float
    """Hartigan's dip test of the users of both, projected on the line between their centres."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether the segments are real, with the evidence."""

    verdict: Verdict
    reason: str
    k: int
    k_was_given: bool
    runner_up: int | None
    elbow_k: int | None
    silhouette: float
    """S, of the judged k on the sample."""
    null_silhouettes: tuple[float, ...]
    """S₀: the silhouettes of as many segments in some data sets with the same columns and no segments."""
    effect: float
    """E = (S − mean S₀) / (1 − mean S₀)."""
    between: float
    """B: the share of users between the centres of a bootstrap resample that did not draw them."""
    null_between: tuple[float, ...]
    """B₀: the share of users between the same centres in each data set without segments."""
    separation: float | None
    """G = 1 − B / mean B₀; None where mean B₀ is too small to tell."""
    p_value: float
    """(1 + number of draws with B₀ ≤ B) / (draws + 1); with S₀ ≥ S where there is no separation."""
    jaccard: Mapping[int, float]
    """Segment -> mean Jaccard with its match in bootstrap resamples."""
    borders: tuple[Border, ...]
    multimodal_columns: tuple[str, ...]
    """Headers of the numeric columns that are multimodal by themselves (dip test)."""
    sample_rows: int
    trials: tuple[Trial, ...]
    """In ascending k."""
    silhouette_k: int | None = None
    """The number with the highest silhouette, if another one was chosen for its better verdict."""


# --- what are they ---------------------------------------------------------------------------------------------------


class Measure(StrEnum):
    """The measure of a segment's difference from all other users."""

    STANDARDISED_DIFFERENCE = "standardised difference"
    """(mean − mean of the others) / standard deviation over all users."""
    CLIFFS_DELTA = "Cliff's delta"
    """P(higher than the others) − P(lower), −1 … 1 (Cliff 1993)."""
    SHARE_DIFFERENCE = "difference in share"
    """Share with the label or item − share of the others with it, a fraction."""


@dataclass(frozen=True, slots=True)
class FieldTest:
    """Whether a field differs between segments that were fitted without it."""

    field: str
    header: str
    p_value: float
    """Against labels of a clustering refitted without the field."""
    survives: bool
    """Benjamini–Hochberg over all fields at 5 %."""


@dataclass(frozen=True, slots=True)
class Effect:
    """How one segment differs in one field, label or item."""

    field: str
    header: str
    group: str
    kind: Kind
    level: str | None
    """The label or item; None for numbers and ordinal fields."""
    measure: Measure
    size: float
    low: float
    high: float
    """95 % bootstrap interval: resamples were clustered and matched."""
    inside: float
    """Mean (number), mean rank from 0 (ordinal) or share (label, item) of the segment's users."""
    outside: float
    """The same of all other users."""
    lift: float | None
    """inside / share of all users; None for means, and where under 20 users of the segment would be expected."""
    levels: tuple[str, ...] = ()
    """The levels of an ordinal field, lowest first."""

    @property
    def is_certain(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Card:
    """One segment, described for people."""

    segment: int
    name: str
    users: int
    """Users of the history; never below the least number that may be shown."""
    share: float
    outliers: int | None
    effects: tuple[Effect, ...]
    """Strongest first; certain ones in fields that survive their test, or else where the centre differs; empty with
    verdict none."""
    suggestion: str
    """What marketing might do with it, derived from the effects; empty with verdict none."""


@dataclass(frozen=True, slots=True)
class Tiers:
    """Low to high users by one number, for data without segments: nothing separates one tier from the next."""

    field: str
    header: str
    kind: Kind
    """A number or a date."""
    correlation: float
    """Of the number with the first principal component of the data, its size: 0 … 1."""
    cuts: tuple[float, ...]
    """Ascending; a user at a cut belongs to the tier above it."""
    shares: tuple[float, ...]
    """Of the sampled users, lowest tier first: one more than cuts."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A limit between two peaks of one number."""

    field: str
    header: str
    kind: Kind
    """A number or a date."""
    value: float


@dataclass(frozen=True, slots=True)
class Proxy:
    """How strongly the segments predict a demographic field."""

    field: str
    header: str
    strength: float
    """Bias-corrected Cramér's V (Bergsma 2013), 0 … 1."""
    low: float
    high: float
    """95 % bootstrap interval: resamples were clustered and matched."""


# --- pictures --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Map:
    """The sample on its first two principal components."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    segment: tuple[int, ...]
    explained: tuple[float, float]
    """Share of the variance that each axis explains."""


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One field, label or item across the segments."""

    label: str
    group: str
    values: tuple[float | None, ...]
    """In the order of the cards: (mean of the segment − mean of all) / standard deviation of all; None: suppressed."""
    texts: tuple[str, ...]
    """The same cells in the field's own unit, ready to print; "<20" where suppressed."""


# --- compared with the version before ---------------------------------------------------------------------------------


class Fate(StrEnum):
    """What became of a segment between two versions."""

    KEPT = "kept"
    SPLIT = "split"
    MERGED = "merged"
    NEW = "new"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class SegmentFate:
    """What became of one segment."""

    segment: int
    name: str
    fate: Fate
    jaccard: float | None
    """Highest Jaccard with a segment of the other version (kept: with its predecessor); None: too few shared users."""
    others: tuple[int, ...]
    """Kept: its earlier number. Split or merged: the segments that it came from or went into. Otherwise empty."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Two versions over the same users: who moves where when the second replaces the first."""

    reassigned: Reassigned
    """How many users change their segment, and the version that is replaced."""
    before_accepted_no_structure: bool
    """Whether the earlier version was promoted although no segments were found in its data."""
    before_segments: tuple[int, ...]
    after_segments: tuple[int, ...]
    users: tuple[tuple[int | None, ...], ...]
    """users[i][j]: were in before_segments[i], are in after_segments[j]; None: too few to be shown."""
    fates: tuple[SegmentFate, ...]
    """First those of after_segments, in order; then those of earlier segments that were split, merged or retired."""


# --- data and origin -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ColumnQuality:
    """The quality of one column of the history."""

    field: str
    header: str
    group: str
    kind: Kind
    left_out_because: str | None
    """None if it counts in the distance."""
    clipped_share: float | None
    """Share of users beyond the clip limits; None for other kinds."""
    unseen_share: float | None
    """Share of users with an undeclared label; None for all but ordinal fields."""
    missing_share: float = 0.0
    """Share of users without a value."""


@dataclass(frozen=True, slots=True)
class MissingValues:
    """Where one field lacks values."""

    field: str
    header: str
    share_by_segment: tuple[str, ...]
    """In the order of the cards, ready to print; "<20" where suppressed."""
    p_value: float
    """Of the segments, fitted without the field, lacking the value equally often (chi-square)."""
    is_related: bool
    """Bonferroni over all fields that lack values, at 1 %."""


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality of the history."""

    rows: int
    rows_skipped: int
    columns: tuple[ColumnQuality, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """How a version was made."""

    created_at: datetime
    parent: str | None
    seed: int
    options: Mapping[str, str]
    libraries: Mapping[str, str]
    profile: str
    profile_digest: str
    data_sha256: str
    model_digest: str


@dataclass(frozen=True, slots=True)
class Findings:
    """All findings of a fit, the content of findings.json and the whole input of the report."""

    judgement: Judgement
    tests: tuple[FieldTest, ...]
    cards: tuple[Card, ...]
    """By size, largest first."""
    proxies: tuple[Proxy, ...]
    map: Map
    heat: tuple[HeatRow, ...]
    lineage: Lineage | None
    quality: Quality
    origin: Origin
    missing: tuple[MissingValues, ...] = ()
    """Of each field that lacks values; empty with verdict none."""
    tiers: Tiers | None = None
    """With verdict none, if a number can be cut."""
    thresholds: tuple[Threshold, ...] = ()
    """With verdict none, of each number that is multimodal by itself and has a clear valley."""
