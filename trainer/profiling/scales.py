"""Labels that have an order that everybody knows: ranges such as 18-24, and words such as low, medium, high."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from typing import Final

_SCALES: Final = tuple(
    tuple(frozenset(step.split("|")) for step in scale.split(" < "))
    for scale in (
        "none < bronze < silver < gold < platinum < diamond",
        "xxs < xs < s < m < l < xl < xxl < xxxl",
        (
            "very low|muy bajo|muy baja|sehr niedrig < low|bajo|baja|baixo|baixa|basso|bassa|niedrig|gering|faible|laag"
            "|niska|niski|niskie < medium|med|mid|middle|moderate|average|normal|medio|media|médio|média|mittel|moyen"
            "|moyenne|gemiddeld|średnia|średni|średnie < high|alto|alta|hoch|élevé|élevée|hoog|wysoka|wysoki|wysokie"
            " < very high|muy alto|muy alta|sehr hoch"
        ),
        "very small < small < medium < large < very large|extra large",
        "never < rarely|seldom < sometimes|occasionally < often|frequently|usually < always",
        "never < yearly|annually|rarely|less often < quarterly < monthly < biweekly|fortnightly < weekly < daily",
        "strongly disagree < disagree < neutral|neither agree nor disagree < agree < strongly agree",
        "very dissatisfied < dissatisfied < neutral < satisfied < very satisfied",
        "very bad|very poor < bad|poor < fair|medium|average|ok|okay < good < very good < excellent",
        "free < basic < standard < premium",
        "beginner|novice < intermediate < advanced < expert",
        (
            "no schooling|none < primary|primary school|elementary|elementary school"
            " < middle school|< hs grad|less than high school|some high school"
            " < secondary|secondary school|high school|hs grad|highschool < some college"
            " < technical|vocational|associate|associates"
            " < bachelor|bachelors|college|college grad|undergraduate < master|masters|postgraduate|advanced"
            " < phd|doctorate|doctoral"
        ),
        "child|children < teen|teenager < young adult < adult < senior|elderly",
    )
)
_SIZES: Final = {"s", "m", "l"}
# No blank can belong to two parts of a step, so that any cell is read in the time that its length takes.
_NUMBER: Final = r"[$€£]?\s*+(\d+(?:[.,]\d+)?)\s*+([kKmM]?)"
_UNIT: Final = r"\s*+(?:%|[$€£]|years?|yrs?|days?|months?|stars?|USD|EUR|old)?\s*+"
_BETWEEN: Final = re.compile(rf"{_NUMBER}{_UNIT}(?:-|–|—|to|bis|\.\.)\s*+{_NUMBER}{_UNIT}")
_BELOW: Final = re.compile(rf"(?:<=?|≤|under|below|less than|up to|bis)\s*+{_NUMBER}{_UNIT}", re.IGNORECASE)
_ABOVE: Final = re.compile(
    rf"(?:(?:>=?|≥|over|above|more than|from|ab)\s*+{_NUMBER}{_UNIT}"
    rf"|{_NUMBER}{_UNIT}(?:\+|and (?:above|over|more|older)|or more))",
    re.IGNORECASE,
)
_SINGLE: Final = re.compile(rf"{_NUMBER}{_UNIT}", re.IGNORECASE)
_STEP: Final = re.compile(r"([^\W\d]\D*)(\d{1,2})")
# More are not a scale, but names such as those of streets or shops.
_MOST_STEPS: Final = 20
_NUMBERED: Final = re.compile(r"(\d+)(?:[.):=]| [-–])\s*+(\D.*)")


def known_order(labels: Iterable[str]) -> tuple[str, ...] | None:
    """The labels from lowest to highest, where their order is known; None for fewer than two, or for other labels."""
    found = [*labels]
    if len(found) < 2:
        return None
    return _numbered(found) or _ranges(found) or _worded(found)


def numbered_steps(labels: Collection[str]) -> tuple[str, ...]:
    """Labels such as l0, l1, l2 or "1 - Basis", "2 - Plus", "3 - Max" in the order of their numbers; empty for others.

    They may be steps of a scale, or the codes of a list.
    """
    first = {int(match[1]): label for label in labels if (match := _NUMBERED.fullmatch(label.strip()))}
    if max(3, len(labels)) <= len(first) <= _MOST_STEPS:
        return tuple(first[number] for number in sorted(first))
    steps = {int(match[2]): label for label in labels if (match := _STEP.fullmatch(label.strip()))}
    prefixes = {label.strip().rstrip("0123456789") for label in labels}
    if (
        not max(3, len(labels)) <= len(steps) <= _MOST_STEPS
        or len(prefixes) > 1
        or max(steps) - min(steps) >= len(steps)
    ):
        return ()
    return tuple(steps[number] for number in sorted(steps))


def _numbered(labels: list[str]) -> tuple[str, ...] | None:
    """Labels such as "1. < HS Grad", "2. HS Grad": numbers alone make no order, as "1. White", "2. Black" show.

    They do where steps between others have no name: "1 - Not at all", "2", "3 - Very much".
    """
    matches = {label: match for label in labels if (match := _NUMBERED.fullmatch(label.strip()))}
    bare = [label for label in labels if label.strip().isdecimal()]
    if len(matches) + len(bare) < len(labels) or not matches:
        return None
    if bare and len(labels) <= _MOST_STEPS:
        steps = {label: int(matches[label][1] if label in matches else label) for label in labels}
        return tuple(sorted(labels, key=lambda label: steps[label])) if len({*steps.values()}) == len(labels) else None
    plain = {match[2]: label for label, match in matches.items()}
    if len(plain) < len(labels):
        return None
    found = _ranges([*plain]) or _worded([*plain])
    return None if found is None else tuple(plain[label] for label in found)


def _ranges(labels: list[str]) -> tuple[str, ...] | None:
    limits = {label: found for label in labels if (found := _range(label.strip())) is not None}
    if len(limits) < len(labels) or len({*limits.values()}) < len(labels):
        return None
    if all(low == high for low, high in limits.values()) and (
        len(labels) > _MOST_STEPS or not all(re.search("[a-z]{3}", label) for label in labels)  # plain numbers
    ):
        return None
    return tuple(sorted(labels, key=lambda label: limits[label]))


def _range(label: str) -> tuple[float, float] | None:
    if match := _BETWEEN.fullmatch(label):
        low, low_unit, high, high_unit = match.groups()
        limits = _number(low, low_unit or high_unit), _number(high, high_unit)
        return limits if limits[0] <= limits[1] else None
    if match := _BELOW.fullmatch(label):
        return -math.inf, _number(match[1], match[2])
    if match := _ABOVE.fullmatch(label):
        number, unit = (match[1], match[2]) if match[1] else (match[3], match[4])
        return _number(number, unit), math.inf
    if match := _SINGLE.fullmatch(label):
        return (_number(match[1], match[2]),) * 2
    return None


def _number(digits: str, unit: str) -> float:
    plain = digits.replace(",", "") if re.fullmatch(r"\d+,\d{3}", digits) else digits.replace(",", ".")
    return float(plain) * {"": 1, "k": 1e3, "m": 1e6}[unit.lower()]


def _worded(labels: list[str]) -> tuple[str, ...] | None:
    plain = {
        label: re.sub(r"['’.]|\bdegree$", "", re.sub(r"[\s_-]+", " ", label.casefold())).strip() for label in labels
    }
    if len({*plain.values()}) < len(labels) or ({*plain.values()} <= _SIZES and len(labels) < 3):
        return None
    for scale in _SCALES:
        steps = {label: step for label in labels for step, words in enumerate(scale) if plain[label] in words}
        if len(steps) == len(labels) == len({*steps.values()}):
            return tuple(sorted(labels, key=lambda label: steps[label]))
    return None
