from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from tests.support.findings_examples import clear, none, odd, weak
from trainer.findings import Judgement
from trainer.report.curves import curves
from trainer.report.drawing import Drawing, pictures_of
from trainer.report.labels import BACKGROUND

EXAMPLES = {"clear": clear(), "weak": weak(), "none": none(), "odd": odd()}


def any_judgement(seed: int) -> Judgement:
    """Curves of any shape: steep, flat, jagged, crossing the band of data without segments, with any marks."""
    draw = np.random.default_rng(seed)
    trials = clear().judgement.trials
    k, runner_up, elbow = (int(found) for found in draw.choice([trial.k for trial in trials], 3, replace=False))
    level, spread = draw.uniform(0, 0.6), draw.choice([0.005, 0.05, 0.3])
    made = []
    for trial, silhouette, null in zip(
        trials, level + draw.normal(0, spread, len(trials)), level + draw.normal(0, spread, len(trials)), strict=True
    ):
        low, high = null - draw.uniform(0, 0.05), null + draw.uniform(0, 0.05)
        made.append(
            replace(
                trial,
                silhouette=float(silhouette),
                null_silhouette=(float(low), float(null), float(high)),
                inertia=float(draw.uniform(1, 10)),
                gap=float(draw.normal()),
                gap_error=float(draw.uniform(0, 1)),
                stability=float(draw.uniform(0, 1)),
                allowed=bool(draw.random() < 0.8),
            )
        )
    return replace(
        clear().judgement, trials=tuple(made), k=k, runner_up=runner_up, elbow_k=elbow, k_was_given=seed % 2 == 0
    )


def judgements() -> Iterator[tuple[str, Judgement]]:
    yield from ((name, findings.judgement) for name, findings in EXAMPLES.items())
    yield from ((f"any {seed}", any_judgement(seed)) for seed in range(30))


def drawn(judgement: Judgement) -> list[Drawing]:
    """The curves, drawn under the settings of the report."""
    found: list[Drawing] = []

    def draw() -> list[Drawing]:
        found.extend(curves(judgement))
        return []

    pictures_of(draw)
    return found


def dense(points: np.ndarray) -> np.ndarray:
    """Points along a line, a pixel or less apart."""
    parts = [np.linspace(a, b, int(np.hypot(*(b - a))) + 2) for a, b in pairwise(points)]
    return np.concatenate([points, *parts])


def inked(axes: Axes) -> Iterator[np.ndarray]:
    """The pixels of each curve, mark and error bar."""
    for line in axes.lines:
        if line.get_zorder() != BACKGROUND:
            points = line.get_transform().transform(np.column_stack(line.get_data()))
            yield points if line.get_linestyle() == "None" else dense(points)
    for collection in axes.collections:
        if isinstance(collection, LineCollection):
            yield from (dense(collection.get_transform().transform(path.vertices)) for path in collection.get_paths())


def boxes(axes: Axes) -> dict[str, Bbox]:
    renderer = FigureCanvasAgg(axes.figure).get_renderer()  # type: ignore[arg-type,no-untyped-call]  # a whole figure
    for text in axes.texts:
        text.get_window_extent(renderer)  # puts an annotation into its place
    return {text.get_text(): Text.get_window_extent(text, renderer) for text in axes.texts}


@pytest.mark.parametrize("judgement", [pytest.param(found, id=name) for name, found in judgements()])
def test_no_label_meets_a_curve_or_another_label_and_none_is_missing(judgement: Judgement) -> None:
    expected = {"given" if judgement.k_was_given else "chosen"}
    for drawing in drawn(judgement):
        (axes,) = drawing.figure.axes
        labels = boxes(axes)
        wanted = set(expected)
        if drawing.name == "figure-silhouette":
            wanted |= {"runner-up"} if judgement.runner_up else set()
            wanted |= {"data without segments"} if judgement.trials[0].null_silhouette else set()
        if drawing.name == "figure-elbow" and judgement.elbow_k:
            wanted |= {"elbow"}
        assert labels.keys() == wanted, drawing.name
        for text, box in labels.items():
            assert axes.bbox.x0 <= box.x0
            assert box.x1 <= axes.bbox.x1
            for points in inked(axes):
                inside = np.all((points >= box.min) & (points <= box.max), axis=1)
                assert not inside.any(), f"{text!r} lies on a curve of {drawing.name}"
            assert not any(box.overlaps(other) for name, other in labels.items() if name != text), text
