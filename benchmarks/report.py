"""What was measured, as a table on the terminal, and as JSON, Markdown and plots in files."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmarks.contenders import ALL, ROOT, Contender, Guarantee
from benchmarks.open_loop import Latency
from demo.kafka import jars, java

_MEASURED = ("events/s (min–max)", "CPU-s per million (min–max)", "RSS MB (peak, its growth after 10 %)")
_COLOURS = {Guarantee.EXACTLY_ONCE: "#1b6ca8", Guarantee.AT_LEAST_ONCE: "#e0a030", Guarantee.MAY_LOSE: "#b04030"}


@dataclass(frozen=True, slots=True)
class Drain:
    """One contender's way through a backlog."""

    events: int
    seconds: float
    """From its first event to its last."""
    events_per_s: float
    cpu_s_per_million: float
    rss_mb: float
    """At the end."""
    peak_mb: float
    peak_grown_mb: float
    """By how much the peak grew after a tenth of the backlog."""


@dataclass
class Figures:
    """All that was measured, by the names of the contenders."""

    rounds: int
    swept_over: str | None = None
    drains: dict[str, list[Drain]] = field(default_factory=dict)
    latencies: dict[str, dict[float, Latency | str]] = field(default_factory=dict)
    """By the rate; in words where there is no figure."""
    swept: dict[str, dict[int | str, list[Drain]]] = field(default_factory=dict)
    """By the size of the backlog, the number of segments or fields, or the format; in the order of the sweep."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why a contender has no figures."""
    pairs: dict[str, str] = field(default_factory=dict)
    """Worker -> the worker of another commit, its partner in each round."""


def machine() -> Mapping[str, str]:
    """Where and with what the figures were measured."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": commit.stdout.strip() or "unknown",
        "processor": f"{models[0].split(':')[1].strip() if models else platform.machine()}, {os.cpu_count()} cores",
        "memory": f"{memory_kb / (1 << 20):.0f} GiB",
        "system": f"Linux {platform.release()}",
        "python": platform.python_version(),
        "java": java.VERSION,
        "kafka": jars.VERSION,
    }


def label(value: int | str) -> str:
    """A step of a sweep in words."""
    return f"{value:,}" if isinstance(value, int) else value


def latency_text(found: Latency | str) -> str:
    """The figures in words."""
    if isinstance(found, str):
        return found
    return f"p50 {found.p50:.1f}, p99 {found.p99:.1f}, p99.9 {found.p999:.1f}, max {found.max:.1f} ms"


def write(figures: Figures, folder: Path) -> None:
    """Print the table, and write all files."""
    there = machine()
    rates = sorted({rate for found in figures.latencies.values() for rate in found})
    name = f"sweep-{figures.swept_over}" if figures.swept_over else "bench"
    table = _swept_table(figures) if figures.swept_over else _table(figures, rates)
    lines = [*_aligned(table), "", *_ratios(figures), *_failures(figures)]
    print("\n" + "\n".join(lines))
    about = "; ".join(f"{name} {value}" for name, value in there.items())
    (folder / f"{name}.md").write_text("\n".join([*lines, "", f"Medians of {figures.rounds} rounds; {about}.", ""]))
    document = {"machine": there, **asdict(figures)}
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1, default=str) + "\n")
    if figures.swept:
        _plot(folder / f"{name}.svg", lambda axes: _swept(axes, figures))
    if figures.drains:
        _plot(folder / "bench-throughput.svg", lambda axes: _throughput(axes, figures))
    if any(isinstance(found, Latency) for by_rate in figures.latencies.values() for found in by_rate.values()):
        _plot(folder / "bench-latency.svg", lambda axes: _latency(axes, figures))
    print(f"\nwritten: {', '.join(str(each.relative_to(ROOT)) for each in sorted(folder.glob(f'{name}*')))}")


def _table(figures: Figures, rates: Sequence[float]) -> Iterable[list[str]]:
    titles = ["contender", "guarantee", *_MEASURED]
    titles += [f"ms at {rate:,.0f}/s: p50 / p99 / p99.9 / max" for rate in rates]
    yield titles
    for name, contender in _in_order(figures):
        drains = figures.drains.get(name, [])
        row = [_title(name, contender), contender.guarantee if contender else Guarantee.EXACTLY_ONCE]
        row += _medians(drains) if drains else ["–", "–", "–"]
        found = figures.latencies.get(name, {})
        row += [_cell(found.get(rate)) for rate in rates]
        yield row


def _swept_table(figures: Figures) -> Iterable[list[str]]:
    yield [figures.swept_over or "", "contender", *_MEASURED]
    for value in dict.fromkeys(value for found in figures.swept.values() for value in found):
        for name, contender in _in_order(figures):
            if drains := figures.swept.get(name, {}).get(value):
                yield [label(value), _title(name, contender), *_medians(drains)]


def _medians(drains: Sequence[Drain]) -> list[str]:
    return [
        _spread([drain.events_per_s for drain in drains], "{:,.0f}"),
        _spread([drain.cpu_s_per_million for drain in drains], "{:.1f}"),
        "{:.0f} ({:.0f}, {:+.0f})".format(
            *(
                statistics.median(values)
                for values in zip(
                    *((drain.rss_mb, drain.peak_mb, drain.peak_grown_mb) for drain in drains), strict=True
                )
            )
        ),
    ]


def _title(name: str, contender: Contender | None) -> str:
    return contender.description if contender else name


def _aligned(table: Iterable[list[str]]) -> Iterable[str]:
    rows = [*table]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    rows.insert(1, ["-" * width for width in widths])
    for row in rows:
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"


def _in_order(figures: Figures) -> Iterable[tuple[str, Contender | None]]:
    known = {contender.name: contender for contender in ALL}
    by_partner = {other: name for name, other in figures.pairs.items()}
    measured = {*figures.drains, *figures.latencies, *figures.swept, *figures.failed}
    names = [*known]

    def place(name: str) -> tuple[int, str]:
        return names.index(by_partner.get(name, name)), name

    for name in sorted(measured, key=place):
        yield name, known.get(name)


def _cell(found: Latency | str | None) -> str:
    if not isinstance(found, Latency):
        return found or "–"
    return f"{found.p50:.1f} / {found.p99:.1f} / {found.p999:.1f} / {found.max:.1f}"


def _spread(values: Sequence[float], form: str) -> str:
    return f"{form} ({form}–{form})".format(statistics.median(values), min(values), max(values))


def _ratios(figures: Figures) -> Iterable[str]:
    for name, other in figures.pairs.items():
        yield from _ratio(f"{name} / {other}", figures.drains.get(name, []), figures.drains.get(other, []))
    for name, (first, *others) in figures.swept.items():
        for value in others:
            both = (figures.swept[name][each] for each in (value, first))
            yield from _ratio(f"{name}, {label(value)} / {label(first)}", *both)


def _ratio(what: str, drains: Sequence[Drain], of: Sequence[Drain]) -> Iterable[str]:
    """Round by round, of those that both have finished."""
    if rounds := [*zip(drains, of, strict=False)]:
        rates = [one.events_per_s / other.events_per_s for one, other in rounds]
        costs = [one.cpu_s_per_million / other.cpu_s_per_million for one, other in rounds]
        ratios = f"{_spread(rates, '{:.3f}')} × events/s, {_spread(costs, '{:.3f}')} × CPU per event"
        yield f"{what}, median of {len(rounds)} pairs (min–max): {ratios}"


def _failures(figures: Figures) -> Iterable[str]:
    for name, reason in figures.failed.items():
        yield f"{name}: {reason}"


def _throughput(axes: Axes, figures: Figures) -> None:
    bars = [
        (contender, statistics.median(drain.events_per_s for drain in figures.drains[name]))
        for name, contender in _in_order(figures)
        if contender and name in figures.drains
    ]
    bars.sort(key=lambda bar: ([*Guarantee].index(bar[0].guarantee), -bar[1]), reverse=True)
    axes.barh(
        [contender.description for contender, _ in bars],
        [rate for _, rate in bars],
        color=[_COLOURS[contender.guarantee] for contender, _ in bars],
    )
    axes.set_xlabel("events/s, one process, the same complete job")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.legend(handles=[Patch(color=colour, label=guarantee) for guarantee, colour in _COLOURS.items()])


def _latency(axes: Axes, figures: Figures) -> None:
    for name, contender in _in_order(figures):
        found = figures.latencies.get(name, {})
        points = [(rate, at) for rate, at in sorted(found.items()) if isinstance(at, Latency)]
        if points:
            (line,) = axes.plot(
                [rate for rate, _ in points],
                [at.p99 for _, at in points],
                marker="o",
                label=_title(name, contender),
            )
            axes.plot(
                [rate for rate, _ in points], [at.p50 for _, at in points], marker=".", ls=":", c=line.get_color()
            )
    axes.set_xlabel("events/s, open loop")
    axes.set_ylabel("ms from due to read: p99, dotted p50")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,g}")
    axes.minorticks_off()
    axes.set_xticks([*{rate for found in figures.latencies.values() for rate in found}])
    axes.set_yticks([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000])
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))


def _swept(axes: Axes, figures: Figures) -> None:
    for name, contender in _in_order(figures):
        found = figures.swept.get(name, {})
        costs = [statistics.median(drain.cpu_s_per_million for drain in drains) for drains in found.values()]
        axes.plot([*map(label, found)], costs, marker="o", ls=":", label=_title(name, contender))
    axes.set_xlabel(figures.swept_over or "")
    axes.set_ylabel("CPU-µs per event")
    axes.set_ylim(bottom=0)
    axes.legend()


def _plot(path: Path, draw: Callable[[Axes], None]) -> None:
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    with rc_context({"svg.fonttype": "none"}):  # text as text
        figure.savefig(path, format="svg")
