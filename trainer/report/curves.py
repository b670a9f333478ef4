"""The curves by number of segments, with the choice marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.findings import Judgement, Trial
from trainer.judging.verdict import CLEAR_JACCARD, WEAK_JACCARD
from trainer.report.drawing import BAND, INK, LINE, QUIET, WIDTH, Drawing, axes_within, empty_figure
from trainer.report.labels import BACKGROUND, Align, Label, Spot, around, place_labels
from trainer.text.wording import decimal, percent


def curves(judgement: Judgement) -> list[Drawing]:
    """One curve per measure; none if only one k was tried."""
    trials = judgement.trials
    if len(trials) < 2:
        return []
    drawings = [_silhouette(judgement), _elbow(judgement)]
    gaps = [trial for trial in trials if trial.gap is not None]
    if len(gaps) > 1:
        drawings.append(_gap(judgement, gaps))
    stable = [trial for trial in trials if trial.stability is not None]
    if len(stable) > 1:
        drawings.append(_stability(judgement, stable))
    return drawings


def _silhouette(judgement: Judgement) -> Drawing:
    figure, axes = _curve("Silhouette: how far apart", judgement)
    trials = judgement.trials
    nulls = [(trial.k, trial.null_silhouette) for trial in trials if trial.null_silhouette is not None]
    if nulls:
        ks = [k for k, _ in nulls]
        axes.fill_between(ks, [n[0] for _, n in nulls], [n[2] for _, n in nulls], color=BAND, linewidth=0)
        axes.plot(ks, [n[1] for _, n in nulls], color=QUIET, linewidth=1.2, linestyle=(0, (4, 3)))
    _points(axes, judgement, [(trial, trial.silhouette) for trial in trials])
    highest = max([*(trial.silhouette for trial in trials), *(null[2] for _, null in nulls)])
    lowest = min([0.0, *(trial.silhouette for trial in trials), *(null[0] for _, null in nulls)])
    axes.set_ylim(lowest, highest + 0.22 * (highest - lowest or 1))
    labels = [_label_of_chosen(axes, judgement)]
    labels += [
        Label("runner-up", around(trial.k, trial.silhouette), INK) for trial in trials if trial.k == judgement.runner_up
    ]
    if nulls:
        labels.append(Label("data without segments", [*_beside(nulls)], QUIET))
    place_labels(figure, axes, labels)
    means = {k: f" ({decimal(mean)} without segments)" for k, (_, mean, _) in nulls}
    described = ", ".join(f"{trial.k}: {decimal(trial.silhouette)}{means.get(trial.k, '')}" for trial in trials)
    return Drawing("figure-silhouette", f"Silhouette by number of segments. {described}. {_marks(judgement)}", figure)


def _beside(nulls: Sequence[tuple[int, tuple[float, float, float]]]) -> Iterator[Spot]:
    """Places of a label for a band: under and above it, at its ends and then between them."""
    aligns: tuple[Align, ...] = ("left", "right", "center")
    for distance in (5.0, 10.0, 15.0):
        for k, (low, _, high) in sorted(nulls, key=lambda null: min(null[0] - nulls[0][0], nulls[-1][0] - null[0])):
            for align in aligns:
                yield Spot(k, low, 0, -distance, align, "top")
                yield Spot(k, high, 0, distance, align, "bottom")


def _elbow(judgement: Judgement) -> Drawing:
    figure, axes = _curve("Elbow: remaining distance", judgement)
    most = max(trial.inertia for trial in judgement.trials) or 1.0
    _points(axes, judgement, [(trial, trial.inertia / most) for trial in judgement.trials])
    axes.set_ylim(0, 1.22)
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    labels = [_label_of_chosen(axes, judgement)]
    bent = "There is no elbow."
    for trial in judgement.trials:
        if trial.k == judgement.elbow_k:
            labels.append(Label("elbow", around(trial.k, trial.inertia / most), QUIET))
            bent = f"The elbow is at {trial.k}."
    place_labels(figure, axes, labels)
    described = ", ".join(f"{trial.k}: {percent(trial.inertia / most)}" for trial in judgement.trials)
    text = f"Sum of squared distances to the nearest centre, of its greatest value, by number of segments. {described}."
    return Drawing("figure-elbow", f"{text} {bent} {_marks(judgement)}", figure)


def _gap(judgement: Judgement, trials: Sequence[Trial]) -> Drawing:
    figure, axes = _curve("Gap: tighter than without segments", judgement)
    gaps = [(trial, trial.gap or 0.0) for trial in trials]
    errors = [trial.gap_error or 0.0 for trial in trials]
    ks = [trial.k for trial in trials]
    axes.errorbar(ks, [gap for _, gap in gaps], yerr=errors, fmt="none", ecolor=QUIET, elinewidth=1.1, capsize=3)
    _points(axes, judgement, gaps)
    low = min(gap - error for (_, gap), error in zip(gaps, errors, strict=True))
    high = max(gap + error for (_, gap), error in zip(gaps, errors, strict=True))
    room = high - low or 1.0
    axes.set_ylim(low - 0.08 * room, high + 0.24 * room)
    place_labels(figure, axes, [_label_of_chosen(axes, judgement)])
    described = ", ".join(
        f"{trial.k}: {decimal(gap)} ± {decimal(error)}" for (trial, gap), error in zip(gaps, errors, strict=True)
    )
    return Drawing("figure-gap", f"Gap statistic by number of segments. {described}. {_marks(judgement)}", figure)


def _stability(judgement: Judgement, trials: Sequence[Trial]) -> Drawing:
    figure, axes = _curve("Stability: found again in resamples", judgement)
    for level in (CLEAR_JACCARD, WEAK_JACCARD):
        axes.axhline(level, color=LINE, linewidth=1, zorder=BACKGROUND)
    values = [(trial, trial.stability or 0.0) for trial in trials]
    _points(axes, judgement, values)
    axes.set_ylim(min(0.3, *(value - 0.04 for _, value in values)), 1.2)
    place_labels(figure, axes, [_label_of_chosen(axes, judgement)])
    axes.set_yticks(
        [WEAK_JACCARD, CLEAR_JACCARD, 1.0], [decimal(level) for level in (WEAK_JACCARD, CLEAR_JACCARD, 1.0)]
    )
    described = ", ".join(f"{trial.k}: {decimal(value)}" for trial, value in values)
    text = f"Overlap of the least stable segment with its match in resamples, by number of segments. {described}."
    return Drawing("figure-stability", f"{text} {_marks(judgement)}", figure)


def _curve(title: str, judgement: Judgement) -> tuple[Figure, Axes]:
    """An empty figure with a tick per k, the judged one marked."""
    figure = empty_figure(WIDTH, 218)
    axes = axes_within(figure, left=44, bottom=38, right=10, top=30)
    axes.set_title(title, x=-34 / (WIDTH - 54))
    axes.set_xlabel("number of segments")
    ks = [trial.k for trial in judgement.trials]
    axes.set_xlim(min(ks) - 0.4, max(ks) + 0.4)
    step = 1 if len(ks) <= 12 else 2
    axes.set_xticks(ks[::step], [str(k) for k in ks[::step]])
    axes.axvline(judgement.k, color=BAND, linewidth=9, zorder=BACKGROUND)
    axes.tick_params(length=3)
    return figure, axes


def _label_of_chosen(axes: Axes, judgement: Judgement) -> Label:
    """The label of the judged number of segments, at the top of its column."""
    top = axes.get_ylim()[1]
    spots = [
        Spot(judgement.k, top, right, -2.0 - down, align, "top") for down in (0, 14, 28) for right, align in _SIDES
    ]
    return Label("given" if judgement.k_was_given else "chosen", spots, INK, weight="bold")


_SIDES: tuple[tuple[float, Align], ...] = ((0.0, "center"), (-4.0, "left"), (4.0, "right"))


def _points(axes: Axes, judgement: Judgement, values: Sequence[tuple[Trial, float]]) -> None:
    """The curve: a dot per k, a cross if a segment would be too small, a diamond and a ring at the two best."""
    axes.plot([trial.k for trial, _ in values], [value for _, value in values], color=INK, linewidth=1.4, zorder=2)
    for trial, value in values:
        marker, size, face = "o", 4.5, INK
        if trial.k == judgement.k:
            marker, size = "D", 8.0
        elif trial.k == judgement.runner_up:
            size, face = 7.5, "#FFFFFF"
        elif not trial.allowed:
            marker, size = "x", 6.0
        axes.plot(
            [trial.k],
            [value],
            linestyle="none",
            zorder=3,
            marker=marker,
            markersize=size,
            markerfacecolor=face,
            markeredgecolor=INK,
            markeredgewidth=1.4,
        )


def _marks(judgement: Judgement) -> str:
    """The marks of a curve in words."""
    sentences = [f"{'Given' if judgement.k_was_given else 'Chosen'}: {judgement.k}."]
    if judgement.runner_up is not None:
        sentences.append(f"Runner-up: {judgement.runner_up}.")
    small = [str(trial.k) for trial in judgement.trials if not trial.allowed]
    if small:
        sentences.append(f"Excluded because a segment would be too small: {', '.join(small)}.")
    return " ".join(sentences)
