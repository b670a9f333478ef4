"""Findings made up for tests of the report: clear segments, segments that run into each other, none, and odd ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from models.manifest import Reassigned, Verdict
from schemas.roles import Kind
from trainer.findings import (
    Border,
    Card,
    ColumnQuality,
    Effect,
    Fate,
    FieldTest,
    Findings,
    HeatRow,
    Judgement,
    Lineage,
    Map,
    Measure,
    Origin,
    Proxy,
    Quality,
    SegmentFate,
    Tiers,
    Trial,
)

BEFORE = "20261024T120000Z-0a1b2c3d"
SCRIPT = "<script>alert(1)</script>"
HEBREW = "שלום עולם"
CHINESE = "数据科学 / 摄影"
EMOJI = "👩‍🔬 science 🎮"

NUMBERS = (
    ("click_through_rate", "Click-Through Rates (CTR)", 0.061, 0.171, 2),
    ("weekend_hours_online", "Time Spent Online (hrs/weekend)", 2.1, 6.4, 1),
    ("weekday_hours_online", "Time Spent Online (hrs/weekday)", 1.4, 3.3, 1),
    ("likes_and_reactions", "Likes and Reactions", 1_840, 7_120, 0),
    ("followed_accounts", "Followed Accounts", 120, 390, 0),
    ("conversion_rate", "Conversion Rates", 0.021, 0.048, 3),
    ("ad_interaction_seconds", "Ad Interaction Time (sec)", 34, 122, 0),
)
LABELS = (
    ("Device Usage: Mobile Only", "device"),
    ("Device Usage: Desktop Only", "device"),
    ("Top Interests: Gaming", "interest"),
    ("Top Interests: Photography", "interest"),
)
DEMOGRAPHICS = (
    ("age", "Age", Kind.ORDERED, 0.08, 0.03, 0.13),
    ("gender", "Gender", Kind.CATEGORY, 0.02, 0.0, 0.07),
    ("location", "Location", Kind.CATEGORY, 0.12, 0.07, 0.18),
    ("education_level", "Education Level", Kind.ORDERED, 0.05, 0.0, 0.1),
    ("income_level", "Income Level", Kind.ORDERED, 0.37, 0.31, 0.44),
)


def clear() -> Findings:
    """Five segments that are apart, refitted from a version before with four."""
    names = (
        "Weekend-heavy, high click-through",
        "Few likes, short sessions",
        "Desktop, gaming",
        "Follows many, converts often",
        "Segment 5",
    )
    numbers, users = (0, 1, 2, 4, 5), (4_310, 3_480, 2_250, 1_405, 900)
    cards = tuple(
        _card(number, name, size, size / 12_345, place)
        for place, (number, name, size) in enumerate(zip(numbers, names, users, strict=True))
    )
    return Findings(
        judgement=Judgement(
            verdict=Verdict.CLEAR,
            reason="1.2 % of users lie between segments, 11 % would in data without segments",
            k=5,
            k_was_given=False,
            runner_up=4,
            elbow_k=4,
            silhouette=0.462,
            null_silhouettes=tuple(0.20 + 0.001 * draw for draw in range(19)),
            effect=0.319,
            between=0.012,
            null_between=tuple(0.10 + 0.001 * draw for draw in range(19)),
            separation=0.89,
            p_value=0.05,
            jaccard=dict(zip(numbers, (0.97, 0.96, 0.93, 0.95, 0.91), strict=True)),
            borders=tuple(Border(number, 0 if number else 1, 0.001 * (1 + number)) for number in numbers),
            multimodal_columns=(),
            sample_rows=3_000,
            trials=_trials((0.28, 0.36, 0.43, 0.462, 0.41, 0.37, 0.33, 0.30, 0.28), too_small_from=9),
        ),
        tests=_tests(),
        cards=cards,
        proxies=tuple(
            Proxy(field, header, strength, low, high) for field, header, _, strength, low, high in DEMOGRAPHICS
        ),
        map=_map(numbers, apart=3.2, explained=(0.38, 0.21)),
        heat=_heat(len(cards)),
        lineage=Lineage(
            reassigned=Reassigned(against=BEFORE, share=0.193, users=2_371, compared=12_300),
            before_accepted_no_structure=False,
            before_segments=(0, 1, 2, 3),
            after_segments=numbers,
            users=(
                (4_180, 31, 0, None, None),
                (44, 3_390, None, 0, 22),
                (None, 0, 2_214, 25, 0),
                (0, None, 0, 1_371, 872),
            ),
            fates=(
                SegmentFate(0, names[0], Fate.KEPT, 0.96, (0,)),
                SegmentFate(1, names[1], Fate.KEPT, 0.94, (1,)),
                SegmentFate(2, names[2], Fate.KEPT, 0.97, (2,)),
                SegmentFate(4, names[3], Fate.SPLIT, 0.48, (3,)),
                SegmentFate(5, names[4], Fate.SPLIT, 0.39, (3,)),
                SegmentFate(3, "Follows many", Fate.SPLIT, 0.48, (4, 5)),
            ),
        ),
        quality=_quality(),
        origin=_origin(BEFORE),
    )


def weak() -> Findings:
    """Three segments that run into each other, in a first version whose map shows little."""
    findings = clear()
    cards = tuple(
        replace(card, users=users, share=users / 1_000, outliers=None)
        for card, users in zip(findings.cards, (520, 310, 170), strict=False)
    )
    return replace(
        findings,
        judgement=replace(
            findings.judgement,
            verdict=Verdict.WEAK,
            reason="5 % of users lie between segments, 11 % would in data without segments, but there is no gap",
            k=3,
            runner_up=2,
            elbow_k=None,
            silhouette=0.291,
            effect=0.108,
            between=0.05,
            separation=0.54,
            jaccard={0: 0.84, 1: 0.71, 2: 0.66},
            borders=(Border(0, 1, 0.02), Border(1, 2, 0.41), Border(2, 1, 0.41)),
            sample_rows=1_000,
            trials=_trials((0.26, 0.291, 0.25, 0.24, 0.23, 0.22, 0.22, 0.21, 0.21), too_small_from=8),
        ),
        cards=cards,
        map=_map((0, 1, 2), apart=1.1, explained=(0.19, 0.12)),
        heat=_heat(3),
        lineage=None,
        quality=replace(findings.quality, rows=1_000, rows_skipped=0),
        origin=_origin(None),
    )


def none() -> Findings:
    """Noise, after a version that was accepted without structure."""
    findings = clear()
    return replace(
        findings,
        judgement=replace(
            findings.judgement,
            verdict=Verdict.NONE,
            reason="11 % of users lie between segments, 11 % would in data without segments",
            silhouette=0.112,
            null_silhouettes=tuple(0.104 + 0.0007 * draw for draw in range(19)),
            effect=0.002,
            between=0.1065,
            separation=0.02,
            p_value=0.4,
            jaccard=dict.fromkeys((0, 1, 2, 3, 4), 0.36),
            multimodal_columns=("Likes and Reactions",),
            sample_rows=1_000,
            trials=_trials((0.098, 0.104, 0.109, 0.112, 0.11, 0.109, 0.108, 0.107, 0.106), null=0.105),
        ),
        lineage=None if findings.lineage is None else replace(findings.lineage, before_accepted_no_structure=True),
        proxies=tuple(replace(proxy, strength=0.02, low=0.0, high=0.06) for proxy in findings.proxies),
        quality=replace(findings.quality, rows=1_000),
        tiers=Tiers(
            "likes_and_reactions", "Likes and Reactions", Kind.NUMBER, 0.71, (2_300.0, 6_100.0), (0.33, 0.345, 0.325)
        ),
    )


def odd() -> Findings:
    """Ten segments, a heat map as long as it gets, and labels that try to break a page."""
    labels = (
        SCRIPT,
        HEBREW,
        CHINESE,
        EMOJI,
        "W" * 200,
        "$x_1$ and $\\frac{$",
        "a\"b'c&amp;",
        "line\nbreak\x0b\u202eend",
    )
    numbers = tuple(range(10))
    cards = tuple(
        replace(
            _card(number, labels[number % len(labels)], 1_000 - 60 * number, 0.1, number),
            effects=tuple(
                _item_effect(f"{labels[item % len(labels)]} {item}", 0.4 - 0.02 * item) for item in range(12)
            ),
        )
        for number in numbers
    )
    heat = tuple(
        HeatRow(
            f"Top Interests: {labels[item % len(labels)]} {item}",
            "interest",
            tuple(None if (item + column) % 11 == 0 else ((item * 7 + column * 3) % 9 - 4) / 2 for column in numbers),
            tuple("<20" if (item + column) % 11 == 0 else f"{(item + column) % 100} %" for column in numbers),
        )
        for item in range(25)
    )
    findings = clear()
    lineage = Lineage(
        reassigned=Reassigned(against=BEFORE, share=0.004, users=3, compared=12_345_670),
        before_accepted_no_structure=True,
        before_segments=numbers,
        after_segments=numbers,
        users=tuple(tuple(1_234_567 if i == j else (i * j) % 50 or None for j in numbers) for i in numbers),
        fates=tuple(SegmentFate(number, cards[number].name, Fate.KEPT, 0.9, (number,)) for number in numbers),
    )
    columns = tuple(
        replace(column, header=f"{labels[place % len(labels)]} {place}")
        for place, column in enumerate(findings.quality.columns)
    )
    return replace(
        findings,
        judgement=replace(findings.judgement, k=10, k_was_given=True, runner_up=None, reason=f"of {SCRIPT}"),
        cards=cards,
        heat=heat,
        map=_map(numbers, apart=4.0, explained=(0.2, 0.1)),
        lineage=lineage,
        tests=tuple(replace(test, header=labels[i % len(labels)]) for i, test in enumerate(findings.tests)),
        proxies=tuple(replace(proxy, header=labels[i % len(labels)]) for i, proxy in enumerate(findings.proxies)),
        quality=replace(findings.quality, columns=columns, notes=labels),
        origin=replace(findings.origin, options={"only": SCRIPT}),
    )


def _card(number: int, name: str, users: int, share: float, place: int) -> Card:
    effects = [_number_effect((place + step) % len(NUMBERS), high=(place + step) % 3 != 1) for step in range(3)]
    effects += [
        Effect(
            field="device_usage",
            header="Device Usage",
            group="device",
            kind=Kind.CATEGORY,
            level="Mobile Only",
            measure=Measure.SHARE_DIFFERENCE,
            size=0.47,
            low=0.41,
            high=0.52,
            inside=0.78,
            outside=0.31,
            lift=1.9,
        ),
        Effect(
            field="income_level",
            header="Income Level",
            group="demographic",
            kind=Kind.ORDERED,
            level=None,
            measure=Measure.CLIFFS_DELTA,
            size=-0.42,
            low=-0.5,
            high=-0.33,
            inside=1.2,
            outside=2.9,
            lift=None,
            levels=("0-20k", "20k-40k", "40k-60k", "60k-80k", "80k-100k", "100k+"),
        ),
        _item_effect("Gaming", 0.18),
    ]
    return Card(
        segment=number,
        name=name,
        users=users,
        share=share,
        outliers=None if place == 3 else 20 + place,
        effects=tuple(effects) if place != 4 else (),
        suggestion="They click far more often than others: show them offers that lead straight to a product."
        if place != 4
        else "",
    )


def _number_effect(place: int, *, high: bool) -> Effect:
    field, header, low_value, high_value, _ = NUMBERS[place]
    inside, outside = (high_value, low_value) if high else (low_value, high_value)
    size = (1.0 if high else -1.0) * (1.9 - 0.15 * place)
    return Effect(
        field=field,
        header=header,
        group="behaviour",
        kind=Kind.NUMBER,
        level=None,
        measure=Measure.STANDARDISED_DIFFERENCE,
        size=size,
        low=size - 0.14,
        high=size + 0.16,
        inside=inside,
        outside=outside,
        lift=None,
    )


def _item_effect(item: str, size: float) -> Effect:
    return Effect(
        field="top_interests",
        header="Top Interests",
        group="interest",
        kind=Kind.SEVERAL_OF,
        level=item,
        measure=Measure.SHARE_DIFFERENCE,
        size=size,
        low=size - 0.03,
        high=size + 0.04,
        inside=0.3 + size,
        outside=0.3,
        lift=None,
    )


def _trials(silhouettes: tuple[float, ...], *, null: float = 0.208, too_small_from: int = 99) -> tuple[Trial, ...]:
    return tuple(
        Trial(
            k=k,
            silhouette=silhouette,
            null_silhouette=(null - 0.006 - 0.003 * k, null - 0.003 * k, null + 0.006 - 0.003 * k),
            inertia=21_000 / (k**0.9),
            gap=0.2 + 0.6 * silhouette - 0.004 * k,
            gap_error=0.012,
            stability=0.98 - 0.03 * abs(k - 5) - 0.01 * k,
            smallest_users=900 // k if k < too_small_from else 12,
            allowed=k < too_small_from,
        )
        for k, silhouette in enumerate(silhouettes, start=2)
    )


def _tests() -> tuple[FieldTest, ...]:
    numbers = [
        FieldTest(field, header, 0.001 * (1 + i), survives=True) for i, (field, header, *_) in enumerate(NUMBERS)
    ]
    others = [
        FieldTest("device_usage", "Device Usage", 0.0004, survives=True),
        FieldTest("income_level", "Income Level", 0.011, survives=True),
        FieldTest("age", "Age", 0.31, survives=False),
        FieldTest("gender", "Gender", 0.62, survives=False),
    ]
    return (*numbers, *others)


def _map(numbers: tuple[int, ...], *, apart: float, explained: tuple[float, float]) -> Map:
    generator = np.random.default_rng(7)
    segment = generator.choice(numbers, 3_000)
    angle = 2 * np.pi * np.searchsorted(numbers, segment) / len(numbers)
    x = apart * np.cos(angle) + generator.normal(size=len(segment))
    y = apart * np.sin(angle) + generator.normal(size=len(segment))
    return Map(tuple(x.tolist()), tuple(y.tolist()), tuple(segment.tolist()), explained)


def _heat(columns: int) -> tuple[HeatRow, ...]:
    rows = []
    for place, (_, header, low, high, decimals) in enumerate(NUMBERS):
        values = [((place + 2 * column) % 5 - 2) * 0.8 for column in range(columns)]
        texts = [f"{low + (high - low) * (value + 1.6) / 3.2:,.{decimals}f}" for value in values]
        rows.append(HeatRow(header, "behaviour", tuple(values), tuple(texts)))
    for place, (label, group) in enumerate(LABELS):
        found: list[float | None] = [((place + column) % 4 - 1.5) * 0.5 for column in range(columns)]
        shares = [f"{30 + 20 * (value or 0):.0f} %" for value in found]
        if place == len(LABELS) - 1:
            found[-1], shares[-1] = None, "<20"
        rows.append(HeatRow(label, group, tuple(found), tuple(shares)))
    return tuple(rows)


def _quality() -> Quality:
    columns = [
        ColumnQuality(field, header, "behaviour", Kind.NUMBER, None, 0.001 * place, None)
        for place, (field, header, *_) in enumerate(NUMBERS)
    ]
    columns += [
        ColumnQuality(field, header, "demographic", kind, "unrelated to every other column", None, None)
        for field, header, kind, *_ in DEMOGRAPHICS
    ]
    columns[-1] = replace(columns[-1], left_out_because=None, unseen_share=0.004)
    return Quality(
        rows=12_345,
        rows_skipped=17,
        columns=tuple(columns),
        notes=(
            "Language has one value only and was dropped",
            "100,000 different interests: the 40 most frequent count",
        ),
    )


def _origin(parent: str | None) -> Origin:
    return Origin(
        created_at=datetime(2026, 11, 24, 12, 0, tzinfo=UTC),
        parent=parent,
        seed=0,
        options={"k": "chosen", "only": "all", "columns": "related"},
        libraries={"python": "3.11.2", "numpy": "2.4.0", "scikit-learn": "1.9.0"},
        profile="UserProfile",
        profile_digest="8f" * 32,
        data_sha256="3c" * 32,
        model_digest="d1" * 32,
    )
