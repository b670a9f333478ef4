"""Findings in words: how figures are written, and what they mean, in one sentence each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from models.manifest import Reassigned, Verdict
from schemas.roles import Kind
from trainer.findings import (
    Card,
    Effect,
    Fate,
    Findings,
    Judgement,
    Lineage,
    Measure,
    MissingValues,
    SegmentFate,
    Tiers,
)
from trainer.privacy import LEAST_SHOWN, SUPPRESSED
from trainer.text.shortening import plain

_NO_BREAK = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"
_LONGEST_PLAIN = 1e15

# Bergsma's V reads like a correlation; these words are Cohen's for one.
_STRENGTHS = ((0.1, "hardly"), (0.3, "weakly"), (0.5, "clearly"))
_STRONGEST = "strongly"
PERHAPS = 0.05
"""Up to this p-value, without a correction for the number of fields, a relation is possible."""


# --- figures ---------------------------------------------------------------------------------------------------------


def count(users: int | None) -> str:
    """A count, in groups of three digits; "<20" for None."""
    return SUPPRESSED if users is None else f"{users:,}"


def mean_of(values: Sequence[float]) -> float:
    """The arithmetic mean of at least one value."""
    return sum(values) / len(values)


def short_count(users: int | None) -> str:
    """A count for a small cell: 1,234, 12k, 3.4M; "<20" for None."""
    if users is None or users < 10_000:
        return count(users)
    if users < 999_500:
        return f"{users / 1_000:.0f}k"
    return f"{users / 1_000_000:.1f}M"


def percent(fraction: float) -> str:
    """A fraction in percent, with a decimal where rounding would turn nearly none or nearly all into none or all."""
    hundredths = 100 * fraction
    digits = f"{hundredths:.0f}"
    if digits in {"0", "-0", "100"} and hundredths not in {0, 100}:
        digits = f"{hundredths:.1f}"
        digits = {"0.0": "<0.1", "-0.0": "<0.1", "100.0": ">99.9"}.get(digits, digits)
    return f"{_signed(digits)}{_NO_BREAK}%"


def decimal(value: float, decimals: int = 2) -> str:
    """A number with this many decimals, in groups of three digits."""
    if abs(value) >= _LONGEST_PLAIN:
        digits, _, exponent = f"{value:.1e}".partition("e")
        return f"{_signed(digits)} × 10^{int(exponent)}"
    return _signed(f"{value:,.{decimals}f}")


def probability(p_value: float) -> str:
    """A p-value as in "p = 0.05", or "p < 0.001"."""
    if p_value < 0.001:
        return "p < 0.001"
    return "p = " + f"{p_value:.{2 if p_value >= 0.1 else 3}f}".rstrip("0").rstrip(".")


def pair(inside: float, outside: float) -> tuple[str, str]:
    """Two numbers with as many decimals as it takes to see their difference."""
    apart = abs(inside - outside) or max(abs(inside), abs(outside)) or 1.0
    decimals = min(max(1 - math.floor(math.log10(apart)), 0), 6)
    return decimal(inside, decimals), decimal(outside, decimals)


def _signed(digits: str) -> str:
    return digits.replace("-", _MINUS) if digits.strip("-0.,") else digits.removeprefix("-")


# --- labels ----------------------------------------------------------------------------------------------------------


def sentence(text: str) -> str:
    """A plain text with a capital at its start and a full stop at its end."""
    text = capitalised(plain(text))
    return text + ("" if text.endswith((".", "!", "?")) or not text else ".")


def capitalised(text: str) -> str:
    """A text with a capital at its start, unless its first word has a spelling of its own, such as iPhone."""
    return text[:1].upper() + text[1:] if text.partition(" ")[0].islower() else text


def title_of(segment: int, name: str) -> str:
    """The name of a segment with its number, once."""
    return name if name == f"Segment {segment}" else f"Segment {segment}: {name}"


# --- the verdict -----------------------------------------------------------------------------------------------------


def describes_segments(judgement: Judgement) -> bool:
    """Whether the report describes the segments: not with verdict none."""
    return judgement.verdict in {Verdict.CLEAR, Verdict.WEAK}


def headline(judgement: Judgement) -> str:
    """The verdict in one sentence."""
    nothing = "there are no segments in these data"
    if judgement.k_was_given:  # no other number was tried
        nothing = f"these data do not fall into {judgement.k} segments"
    return {
        Verdict.CLEAR: f"Yes: {judgement.k} clearly separate segments",
        Verdict.WEAK: f"Perhaps: {judgement.k} segments, but not clearly separate",
        Verdict.NONE: f"No: {nothing}",
    }[judgement.verdict]


def between(judgement: Judgement) -> str:
    """How many users lie between segments, and how many would without segments."""
    without = mean_of(judgement.null_between)
    return f"{percent(judgement.between)}, and {percent(without)} in data without segments"


def evidence(judgement: Judgement) -> list[str]:
    """What the verdict rests on, one sentence per fact."""
    draws = len(judgement.null_between)
    least = min(judgement.jaccard, key=lambda segment: (judgement.jaccard[segment], segment))
    few, many = min(judgement.null_between), max(judgement.null_between)
    return [
        (
            f"{percent(judgement.between)} of users lie between segments: on the line from the border to the centre of "
            "their segment, they are in the third next to the border. They were not among the users from whom the "
            "centres were computed (bootstrap)."
        ),
        (
            f"In {draws} synthetic data sets, which have the same columns and associations but no segments, "
            f"{percent(few)} to {percent(many)} of users lie between the same centres. {_comparison(judgement)}"
        ),
        (
            f"The silhouette of the {judgement.k} segments is {decimal(judgement.silhouette)}, measured on "
            f"{count(judgement.sample_rows)} users. 1 would mean that every user is at the centre of a segment, "
            "0 that every user is on a border. As many segments of data without segments reach "
            f"{decimal(mean_of(judgement.null_silhouettes))} on average: E = {decimal(judgement.effect)} on a scale "
            "from 0 (no better than unsegmented data) to 1 (perfect separation)."
        ),
        (
            "When users are resampled (bootstrap) and clustered again, the least stable segment "
            f"({least}) overlaps with its match by {percent(judgement.jaccard[least])}. This can only count against "
            "segments: one cloud that is cut in two is found again just as reliably."
        ),
    ]


def _comparison(judgement: Judgement) -> str:
    """How the data compare with the draws without segments."""
    if judgement.separation is None:
        draws = len(judgement.null_silhouettes)
        reached = sum(value >= judgement.silhouette for value in judgement.null_silhouettes)
        return (
            "That is too few to see a gap, so the silhouette decides. "
            f"{probability(judgement.p_value)}: {reached or 'none'} of the {draws} data sets have one as high."
        )
    draws = len(judgement.null_between)
    reached = sum(value <= judgement.between for value in judgement.null_between)
    return (
        f"Separation = {decimal(judgement.separation)} on a scale from 0 (as many as without segments) to 1 (none). "
        f"{probability(judgement.p_value)}: {reached or 'none'} of the {draws} data sets have as few."
    )


def choice(judgement: Judgement) -> list[str]:
    """How the number of segments was chosen, one sentence per fact."""
    if judgement.k_was_given:
        return [f"The number of segments, {judgement.k}, was given on the command line; it was not chosen."]
    sentences = [_reason_for_k(judgement)]
    if judgement.runner_up is not None:
        sentences.append(f"The runner-up is {judgement.runner_up}.")
    if judgement.elbow_k is not None:
        sentences.append(f"The curve of the remaining distance bends most at {judgement.elbow_k}.")
    return sentences


def _reason_for_k(judgement: Judgement) -> str:
    if judgement.silhouette_k is not None:
        return (
            f"The silhouette is highest for {judgement.silhouette_k} segments, but the evidence for {judgement.k} is "
            "better. At most three other numbers are tried: the two whose silhouettes are furthest above that of "
            "data without segments, and the elbow."
        )
    if judgement.silhouette >= max(trial.silhouette for trial in judgement.trials if trial.allowed):
        return (
            f"The silhouette chose {judgement.k}: it is highest there, among the numbers whose smallest segment is "
            "large enough."
        )
    return (
        f"The {judgement.k} segments in production were kept: a fresh start would improve the silhouette too "
        "little to justify new segments."
    )


# --- instead of segments ---------------------------------------------------------------------------------------------


def tiers(found: Tiers) -> list[str]:
    """The range of each tier, lowest first, such as "below 38", "38 to below 61" and "61 or more"."""
    cuts, unit = [_round(cut) for cut in found.cuts], _unit(found.kind)
    inner = [f"{low} to below {high}{unit}" for low, high in pairwise(cuts)]
    return [f"below {cuts[0]}{unit}", *inner, f"{cuts[-1]}{unit} or more"]


def no_tiers(findings: Findings) -> str:
    """Why there are no tiers."""
    kinds = {Kind.NUMBER, Kind.DAYS_SINCE}
    numbers = [each for each in findings.quality.columns if each.left_out_because is None and each.kind in kinds]
    withheld = [each.header for each in numbers if each.group in _not_named(findings)]
    if not numbers:
        return "no number is used in the distance"
    if len(withheld) < len(numbers):
        return f"no cut of a number in the distance leaves a tenth of the users, and {LEAST_SHOWN}, on both sides"
    return (
        f"only demographic numbers are used in the distance ({', '.join(withheld)}); to cut one of these, fit again "
        "with --name-demographics"
    )


def limits(header: str, findings: Findings) -> str:
    """A limit in a number with several peaks, where one was found, such as ", such as 7,"."""
    found = [each for each in findings.thresholds if each.header == header]
    return "".join(f", such as {_round(each.value)}{_unit(each.kind)}," for each in found)


def _round(cut: float) -> str:
    """A number that was rounded, with its own digits and no more."""
    return decimal(cut, max(0, -int(Decimal(repr(cut)).normalize().as_tuple().exponent)))


def _unit(kind: Kind) -> str:
    return " days ago" if kind is Kind.DAYS_SINCE else ""


# --- what sets a segment apart ---------------------------------------------------------------------------------------


def subject(effect: Effect) -> str:
    """The field of an effect, with its label or item."""
    return effect.header if effect.level is None else f"{effect.header}: {effect.level}"


def difference(effect: Effect) -> str:
    """An effect in the field's own unit, such as "0.17 against 0.06 elsewhere"."""
    if effect.level is not None:
        times = "" if effect.lift is None else f", {decimal(effect.lift, 1)} times the average"
        return f"{percent(effect.inside)} against {percent(effect.outside)} elsewhere{times}"
    if effect.kind is Kind.ORDERED:
        nearest, elsewhere = (effect.levels[round(place)] for place in (effect.inside, effect.outside))
        if nearest == elsewhere:
            return f"around {nearest} as elsewhere, but more often {'above' if effect.size > 0 else 'below'}"
        return f"around {nearest} against {elsewhere} elsewhere"
    inside, outside = pair(effect.inside, effect.outside)
    if effect.kind is Kind.DAYS_SINCE:
        return f"{inside} days ago against {outside} elsewhere"
    return f"{inside} against {outside} elsewhere"


def interval(effect: Effect) -> str:
    """The size of an effect with its 95 % interval."""
    if effect.measure is Measure.SHARE_DIFFERENCE and effect.low == effect.high:
        # The bound for privacy is the same in every resample.
        return f"at least {decimal(100 * abs(effect.size), 0)} points {'higher' if effect.size > 0 else 'lower'}"
    if effect.measure is Measure.SHARE_DIFFERENCE:
        return f"{_plus(100 * effect.size, 0)} points ({_plus(100 * effect.low, 0)} to {_plus(100 * effect.high, 0)})"
    unit = "sd" if effect.measure is Measure.STANDARDISED_DIFFERENCE else "δ"
    return f"{_plus(effect.size, 2)} {unit} ({_plus(effect.low, 2)} to {_plus(effect.high, 2)})"


def _plus(value: float, decimals: int) -> str:
    digits = decimal(value, decimals)
    return digits if digits.startswith(_MINUS) or not digits.strip("0.") else f"+{digits}"


def by_centre(card: Card, findings: Findings) -> bool:
    """Whether nothing is proven to set a segment apart, and its card shows where its centre differs."""
    proven = {test.field for test in findings.tests if test.survives}
    return not any(effect.is_certain and effect.field in proven for effect in card.effects)


def related(found: MissingValues) -> str:
    """Whether who lacks a value is related to the segments, no surer than it is."""
    if found.is_related:
        return f"yes ({probability(found.p_value)})"
    return f"perhaps ({probability(found.p_value)})" if found.p_value <= PERHAPS else "not proven"


def strength(cramers_v: float) -> str:
    """How well segments predict a field, in one word."""
    return next((word for limit, word in _STRENGTHS if cramers_v < limit), _STRONGEST)


def unnamed(findings: Findings) -> str:
    """How segments get names that only demographic fields set apart; empty if there are none."""
    withheld = _not_named(findings)
    for card in findings.cards:
        if (
            card.effects
            and card.name == f"Segment {card.segment}"
            and {each.group for each in card.effects} <= withheld
        ):
            return "demographic fields give no names or suggestions unless you fit with --name-demographics"
    return ""


def _not_named(findings: Findings) -> frozenset[str]:
    """The groups of fields that give no names, suggestions or tiers."""
    return frozenset(findings.origin.options.get("not named", "").split(","))


# --- what changed ----------------------------------------------------------------------------------------------------


def reassigned(found: Reassigned) -> str:
    """How many users change their segment when one version replaces another, in one sentence."""
    if 0 < found.users < LEAST_SHOWN:
        return f"fewer than {LEAST_SHOWN} of {count(found.compared)} users change their segment"
    return f"{percent(found.share)} of users ({count(found.users)} of {count(found.compared)}) change their segment"


def fates(lineage: Lineage) -> str:
    """How many segments were kept, split off and so on, and how many are gone, such as "3 kept, 1 new"."""
    after = len(lineage.after_segments)
    found = Counter(fate.fate for fate in lineage.fates[:after])
    words = {Fate.KEPT: "kept", Fate.SPLIT: "split off", Fate.MERGED: "merged", Fate.NEW: "new"}
    counts = [f"{found[fate]} {word}" for fate, word in words.items() if fate in found]
    gone = len(lineage.fates) - after
    return ", ".join([*counts, *([f"{gone} gone"] if gone else [])])


def became(fate: SegmentFate, lineage: Lineage) -> str:
    """What became of one segment, in words."""
    others = _list([str(other) for other in fate.others])
    gone = fate.segment not in lineage.after_segments
    match fate.fate:
        case Fate.KEPT:
            return "kept: mostly the same users"
        case Fate.SPLIT:
            return f"split up into {others}" if gone else f"split off from {others}"
        case Fate.MERGED:
            return f"merged into {others}" if gone else f"merged from {others}"
        case Fate.NEW:
            return "new: not derived from a single earlier segment"
        case Fate.RETIRED:
            return "retired: its number is never used again"


def in_short(findings: Findings) -> list[tuple[str, str]]:
    """The facts beside the verdict, with their names."""
    lineage, judgement = findings.lineage, findings.judgement
    facts = [("Users", count(findings.quality.rows))]
    if describes_segments(judgement) and findings.cards:
        largest, smallest = findings.cards[0], findings.cards[-1]
        facts.append(("Largest and smallest segment", f"{percent(largest.share)} and {percent(smallest.share)}"))
    facts.append(("Users between segments", between(judgement)))
    if describes_segments(judgement):
        changed = (
            "this is the first version" if lineage is None else f"{fates(lineage)}; {reassigned(lineage.reassigned)}"
        )
        facts.append(("Since the last version", sentence(changed)))
    return facts


def _list(words: list[str] | tuple[str, ...]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
