from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.report import Drain, Figures


def drain(events_per_s: float, cpu_s_per_million: float) -> Drain:
    return Drain(1_000, 1.0, events_per_s, cpu_s_per_million, rss_mb=100, peak_mb=110, peak_grown_mb=5)


def written(figures: Figures, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(report, "ROOT", folder)
    report.write(figures, folder)
    return (folder / f"sweep-{figures.swept_over}.md").read_text()


def test_a_sweep_over_names_or_numbers_keeps_its_order_and_has_ratios_round_by_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    formats = Figures(2, "formats")
    formats.swept["worker"] = {
        "cloudevents": [drain(1_000, 50), drain(2_000, 50)],
        "avro": [drain(500, 60), drain(1_600, 60)],
    }
    table = written(formats, tmp_path, monkeypatch)
    assert table.index("| cloudevents ") < table.index("| avro ")
    assert "worker, avro / cloudevents, median of 2 pairs (min–max): 0.650 (0.500–0.800) × events/s, 1.200 (" in table
    assert [*json.loads((tmp_path / "sweep-formats.json").read_text())["swept"]["worker"]] == ["cloudevents", "avro"]
    plot = (tmp_path / "sweep-formats.svg").read_text()
    assert "cloudevents" in plot
    assert "avro" in plot

    segments = Figures(1, "segments", swept={"worker": {2: [drain(1_000, 50)], 1_000: [drain(800, 70)]}})
    table = written(segments, tmp_path, monkeypatch)
    assert table.index("| 2 ") < table.index("| 1,000 ")
    assert "worker, 1,000 / 2, median of 1 pairs" in table


def test_a_contender_that_failed_has_neither_rows_nor_ratios_of_the_steps_it_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = Figures(1, "formats", failed={"worker": "failed: no progress"})
    figures.swept["worker"] = {"cloudevents": [drain(1_000, 50)]}
    table = written(figures, tmp_path, monkeypatch)
    assert "| avro" not in table
    assert "median of" not in table.lower().partition("medians of")[0]
    assert "worker: failed: no progress" in table
