"""The report: findings as one self-contained page, and its pictures as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from schemas.counting import counted
from trainer.findings import Effect, Findings, Measure
from trainer.history.arrow_copy import LARGEST_NUMBER
from trainer.judging.verdict import CLEAR_JACCARD, GREATEST_DIP_P_VALUE, WEAK_JACCARD
from trainer.privacy import LEAST_SHOWN, SUPPRESSED, shown_text
from trainer.report.drawing import WIDTH, Picture
from trainer.report.figures import looks_of, pictures
from trainer.text import wording
from trainer.text.shortening import plain, shortened, told_apart

REPORT_FILE = "report.html"

SHOWN_EFFECTS = 5
"""Per card; the rest is behind a click."""
LONGEST_SUBJECT = 80
"""Columns of a field with its label on a card."""
LOW_EXPLAINED = 0.5
"""The map gets a warning below this share of explained variance."""
CLOSE_CORRELATION = 0.7
"""From here on, the number that gives the tiers says about half or more of the strongest axis (r²)."""
STRONG_PROXY = 0.3
"""Cramér's V from which a proxy gets a warning."""


@dataclass(frozen=True, slots=True)
class Bar:
    """An effect as a bar from the middle of a line, in percent of the line's length."""

    start: float
    length: float
    size: float
    low: float
    high: float


def report_files(findings: Findings) -> Mapping[str, bytes]:
    """The report of these findings: report.html, and each of its pictures as .svg and .png, by plain file names.

    Equal findings give equal bytes. With verdict none the segments are not described: no cards, map or heat map.
    """
    drawn = pictures(findings)
    found = {REPORT_FILE: _page(findings, drawn)}
    for picture in drawn:
        found[f"{picture.name}.svg"] = picture.svg
        found[f"{picture.name}.png"] = picture.png
    return found


def _page(findings: Findings, drawn: Sequence[Picture]) -> bytes:
    template = _environment().from_string(
        files("trainer.report").joinpath("templates", "report.html.j2").read_text(encoding="utf-8")
    )
    judgement = findings.judgement
    scales = _scales(findings)
    page = template.render(
        findings=findings,
        judgement=judgement,
        lineage=findings.lineage,
        describes_segments=wording.describes_segments(judgement),
        verdict=judgement.verdict.value,
        pictures={picture.name: picture for picture in drawn},
        wide={picture.name for picture in drawn if picture.width > WIDTH},
        looks=looks_of(findings),
        subjects=told_apart(
            [wording.subject(effect) for card in findings.cards for effect in card.effects], LONGEST_SUBJECT
        ),
        shortened=shortened,
        bar=lambda effect: _bar(effect, scales[effect.measure]),
        shown_effects=SHOWN_EFFECTS,
        low_explained=LOW_EXPLAINED,
        close_correlation=CLOSE_CORRELATION,
        strong_proxies=[proxy for proxy in findings.proxies if proxy.strength >= STRONG_PROXY],
        words=wording,
        counted=counted,
        suppressed=SUPPRESSED,
        least_shown=LEAST_SHOWN,
        shown_text=shown_text,
        clear_jaccard=CLEAR_JACCARD,
        weak_jaccard=WEAK_JACCARD,
        dip_limit=GREATEST_DIP_P_VALUE,
        largest_number=LARGEST_NUMBER,
    )
    return (page.strip() + "\n").encode()


def _environment() -> Environment:
    """Every text in the page is escaped, and a missing value is an error."""
    return Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_readable,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _readable(value: Any) -> Any:
    """A value as it is printed: labels without control characters, never the word None."""
    if value is None:
        raise ValueError("the report would print None")
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _scales(findings: Findings) -> dict[Measure, float]:
    """The effect size at the end of a bar, per measure: the greatest in this report."""
    scales = dict.fromkeys(Measure, 0.0)
    for card in findings.cards:
        for effect in card.effects:
            greatest = max(abs(effect.size), abs(effect.low), abs(effect.high))
            scales[effect.measure] = max(scales[effect.measure], greatest)
    return scales


def _bar(effect: Effect, scale: float) -> Bar:
    def place(value: float) -> float:
        return round(50 + 49 * value / scale, 2) if scale else 50.0

    size = place(effect.size)
    return Bar(
        start=min(50.0, size),
        length=round(abs(size - 50), 2),
        size=size,
        low=place(effect.low),
        high=place(effect.high),
    )
