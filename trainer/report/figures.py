"""The pictures of a report: values in, bytes out, the same bytes for the same values.

They are drawn narrow, so that their text is readable on a phone.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_hex
from matplotlib.patches import Rectangle

from trainer.findings import Card, Findings, HeatRow, Lineage, Map, Proxy
from trainer.report.curves import curves
from trainer.report.drawing import (
    INK,
    LINE,
    QUIET,
    WIDTH,
    Cell,
    Drawing,
    Picture,
    axes_within,
    bare_axes,
    draw_badge,
    draw_cell,
    empty_figure,
    pictures_of,
)
from trainer.report.palette import Look, looks
from trainer.text.shortening import in_two_lines, shortened, told_apart
from trainer.text.wording import (
    count,
    decimal,
    describes_segments,
    fates,
    percent,
    reassigned,
    sentence,
    short_count,
    strength,
    title_of,
)

HEAT_LIMIT = 2.0
"""Standard deviations at which a cell reaches the full colour."""
MARKED_FROM = 0.5
"""Standard deviations from which a cell has an arrow."""

LABEL_COLUMNS = 20
"""Of each of the two lines that a label of the heat map may take; a wide letter at the first line's end leaves one."""

_HEAT_COLOURS = LinearSegmentedColormap.from_list("heat", ["#0072B2", "#FFFFFF", "#E08A00"])
_SHARE_COLOURS = LinearSegmentedColormap.from_list("share", ["#FFFFFF", "#5B6770"])


def pictures(findings: Findings) -> tuple[Picture, ...]:
    """The pictures of the report: always the evidence, and the segments if there are any."""
    return pictures_of(
        lambda: [*_evidence(findings), *(_segments(findings) if describes_segments(findings.judgement) else ())]
    )


def migration(lineage: Lineage) -> Picture:
    """Users by segment before and after."""
    look = looks(lineage.after_segments, gone=lineage.before_segments)
    (picture,) = pictures_of(lambda: [_migration(lineage, look)])
    return picture


def looks_of(findings: Findings) -> dict[int, Look]:
    """The look of each segment in the report, the same in every picture."""
    lineage = findings.lineage
    gone = () if lineage is None else (*lineage.before_segments, *lineage.after_segments)
    return looks((card.segment for card in findings.cards), gone)


def _evidence(findings: Findings) -> list[Drawing]:
    return [*curves(findings.judgement), *_proxies(findings.proxies)]


def _segments(findings: Findings) -> list[Drawing]:
    look = looks_of(findings)
    drawings = [
        _sizes(findings.cards, look),
        _map(findings.map, findings.cards, look),
        _profile(findings.heat, findings.cards, look),
    ]
    if findings.lineage is not None:
        drawings.append(_migration(findings.lineage, look))
    return drawings


# --- what they are ---------------------------------------------------------------------------------------------------


def _sizes(cards: Sequence[Card], look: Mapping[int, Look]) -> Drawing:
    row, top = 42.0, 4.0
    height = row * len(cards) + top
    figure = empty_figure(WIDTH, height)
    axes = bare_axes(figure)
    most = max(card.share for card in cards)
    for place, card in enumerate(cards):
        y = top + row * place
        mine = look[card.segment]
        draw_badge(axes, 13, y + 10, card.segment, mine)
        axes.text(26, y + 10, shortened(_name(card), 45), va="center", fontsize=11)
        width = max(2.0, 200 * card.share / most)
        axes.add_artist(
            Rectangle((2, y + 20), width, 13, facecolor=mine.colour, hatch=mine.hatch, edgecolor="#FFFFFF", linewidth=0)
        )
        axes.text(width + 8, y + 26.5, f"{count(card.users)} · {percent(card.share)}", va="center", color=QUIET)
    described = "; ".join(
        f"{title_of(card.segment, card.name)}, {count(card.users)} users, {percent(card.share)}" for card in cards
    )
    return Drawing("figure-sizes", f"Users by segment, largest first. {described}.", figure)


def _map(found: Map, cards: Sequence[Card], look: Mapping[int, Look]) -> Drawing:
    figure = empty_figure(WIDTH, 312)
    axes = axes_within(figure, left=26, bottom=26, right=6, top=6)
    badges: list[tuple[float, float, int]] = []
    for card in cards:
        mine = look[card.segment]
        members = [i for i, segment in enumerate(found.segment) if segment == card.segment]
        if not members:
            continue
        xs, ys = [found.x[i] for i in members], [found.y[i] for i in members]
        badges.append((_middle(xs), _middle(ys), card.segment))
        axes.scatter(
            xs,
            ys,
            s=9,
            marker=mine.marker,
            color=mine.colour,
            linewidth=0,
            alpha=0.6,
            rasterized=True,  # thousands of points as shapes are half a megabyte and slow on a phone
        )
    for x, y, segment in badges:  # after all of the points, which makes one image of them
        draw_badge(axes, x, y, segment, look[segment])
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(f"first axis: {percent(found.explained[0])} of the variance")
    axes.set_ylabel(f"second axis: {percent(found.explained[1])}")
    text = (
        f"Scatter of {count(len(found.x))} users on their first two principal components, which explain "
        f"{percent(sum(found.explained))} of the variance; each segment has its own colour and marker, and its number "
        "at its middle."
    )
    return Drawing("figure-map", text, figure)


def _profile(rows: Sequence[HeatRow], cards: Sequence[Card], look: Mapping[int, Look]) -> Drawing:
    longest = max((len(text) for row in rows for text in row.texts), default=1)
    cell, head, label = max(40.0, 5.4 * min(longest, 10) + 14), 30.0, 112.0
    groups = list(dict.fromkeys(row.group for row in rows))
    short = told_apart([row.label for row in rows], 2 * LABEL_COLUMNS - 1)
    labels = [in_two_lines(short[row.label], LABEL_COLUMNS) for row in rows]
    highs = [27.0 if "\n" in text else 19.0 for text in labels]
    width = max(WIDTH, label + cell * len(cards) + 2)
    cell = (width - label - 2) / len(cards)
    height = head + sum(highs) + 17 * len(groups) + 34
    figure = empty_figure(width, height)
    axes = bare_axes(figure)
    for column, card in enumerate(cards):
        draw_badge(axes, label + cell * (column + 0.5), 14, card.segment, look[card.segment])
    y = head
    for group in groups:
        axes.text(2, y + 8, shortened(group, 24), va="center", fontsize=9, color=QUIET, fontweight="bold")
        y += 17
        for row, text_of_row, high in zip(rows, labels, highs, strict=True):
            if row.group != group:
                continue
            # Under the cells, so that a label of very wide letters hides none of them.
            axes.text(2, y + high / 2, text_of_row, va="center", fontsize=9, linespacing=1.1, zorder=0.5)
            for column, (value, text) in enumerate(zip(row.values, row.texts, strict=True)):
                draw_cell(axes, label + cell * column, y, (cell, high), _heat(value, text))
            y += high
    _key(axes, label, y + 8, width - label - 2)
    return Drawing("figure-profile", _profile_in_words(rows, cards), figure)


def _key(axes: Axes, x: float, y: float, width: float) -> None:
    """What the colours of the heat map mean."""
    steps = (-2, -1, 0, 1, 2)
    wide = min(width, 230.0) / len(steps)
    for place, step in enumerate(steps):
        colour = to_hex(_HEAT_COLOURS(Normalize(-HEAT_LIMIT, HEAT_LIMIT)(step)))
        text = decimal(step, 0) if step <= 0 else f"+{step}"
        draw_cell(axes, x + wide * place, y, (wide, 15), Cell(text, colour))
    axes.text(2, y + 7.5, "standard deviations", va="center", fontsize=9, color=QUIET)


def _profile_in_words(rows: Sequence[HeatRow], cards: Sequence[Card]) -> str:
    described = []
    for column, card in enumerate(cards):
        values = [(row.values[column], row) for row in rows]
        differ = sorted(
            ((value, row) for value, row in values if value is not None and abs(value) >= MARKED_FROM),
            key=lambda found: -abs(found[0]),
        )
        words = [f"{row.label} {'high' if value > 0 else 'low'} ({row.texts[column]})" for value, row in differ[:4]]
        described.append(f"{title_of(card.segment, card.name)}: {', '.join(words) or 'near the mean of all users'}")
    return f"Heat map of {len(rows)} fields and labels by segment. {'; '.join(described)}."


# --- what changed ----------------------------------------------------------------------------------------------------


def _migration(lineage: Lineage, look: Mapping[int, Look]) -> Drawing:
    columns, rows = len(lineage.after_segments), len(lineage.before_segments)
    label, head, high = 56.0, 42.0, 24.0
    width = max(WIDTH, label + 34.0 * columns + 2)
    cell = min((width - label - 2) / columns, 80.0)
    figure = empty_figure(width, head + high * rows + 4)
    axes = bare_axes(figure)
    axes.text(label, 8, "now", fontsize=9.5, color=QUIET, va="center")
    axes.text(2, 28, "before", fontsize=9.5, color=QUIET, va="center")
    for column, segment in enumerate(lineage.after_segments):
        draw_badge(axes, label + cell * (column + 0.5), 28, segment, look[segment])
    for place, (segment, users) in enumerate(zip(lineage.before_segments, lineage.users, strict=True)):
        y = head + high * place
        draw_badge(axes, 24, y + high / 2, segment, look[segment])
        total = sum(value for value in users if value is not None) or 1
        for column, value in enumerate(users):
            share = 0.0 if value is None else value / total
            colour = to_hex(_SHARE_COLOURS(share))
            found = Cell(short_count(value) if value != 0 else "·", colour, "////" if value is None else "")
            draw_cell(axes, label + cell * column, y, (cell, high), found)
            if lineage.after_segments[column] == segment:
                frame = Rectangle(
                    (label + cell * column + 1, y + 1), cell - 2, high - 2, fill=False, edgecolor=INK, linewidth=1.6
                )
                axes.add_artist(frame)
    moves = sentence(reassigned(lineage.reassigned))
    text = f"Users by segment before (rows) and now (columns): {fates(lineage)}. {moves}"
    return Drawing("figure-migration", text, figure)


# --- privacy ---------------------------------------------------------------------------------------------------------


def _proxies(proxies: Sequence[Proxy]) -> list[Drawing]:
    if not proxies:
        return []
    row, head, left, right = 36.0, 20.0, 4.0, 8.0
    wide = WIDTH - left - right
    figure = empty_figure(WIDTH, head + row * len(proxies) + 26)
    axes = bare_axes(figure)
    bottom = head + row * len(proxies)
    limits = (0.0, 0.1, 0.3, 0.5, 1.0)
    for limit in limits:
        axes.plot([left + wide * limit] * 2, [head - 2, bottom], color=LINE, linewidth=0.8, zorder=0)
        axes.text(
            left + wide * limit,
            bottom + 11,
            f"{limit:g}",
            ha="left" if limit == 0 else "right" if limit == 1 else "center",
            va="center",
            fontsize=9,
            color=QUIET,
        )
    for low, high in itertools.pairwise(limits):
        axes.text(left + wide * (low + high) / 2, 9, strength(low), ha="center", va="center", fontsize=9, color=QUIET)
    headers = told_apart([proxy.header for proxy in proxies], 36)
    for place, proxy in enumerate(proxies):
        y = head + row * place
        over_the_lines = {"facecolor": "#FFFFFF", "edgecolor": "none", "pad": 1}
        text = f"{headers[proxy.header]}: {decimal(proxy.strength)}"
        axes.text(left, y + 10, text, va="center", fontsize=10.5, bbox=over_the_lines)
        line = y + 24
        axes.plot([left + wide * proxy.low, left + wide * proxy.high], [line, line], color=INK, linewidth=2.2)
        axes.plot([left + wide * proxy.strength], [line], marker="o", markersize=7, color=INK)
    described = "; ".join(
        f"{proxy.header} {decimal(proxy.strength)} ({decimal(proxy.low)} to {decimal(proxy.high)}), "
        f"{strength(proxy.strength)}"
        for proxy in proxies
    )
    return [
        Drawing("figure-proxies", f"How strongly segments predict demographic fields, Cramér’s V. {described}.", figure)
    ]


def _heat(value: float | None, text: str) -> Cell:
    if value is None:
        return Cell(shortened(text, 10), "#FFFFFF", "////")
    arrow = "▲ " if value >= MARKED_FROM else "▼ " if value <= -MARKED_FROM else ""
    return Cell(
        arrow + shortened(text, 10), to_hex(_HEAT_COLOURS(Normalize(-HEAT_LIMIT, HEAT_LIMIT, clip=True)(value)))
    )


def _name(card: Card) -> str:
    return f"Segment {card.segment}" if card.name == f"Segment {card.segment}" else card.name


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
