"""How reliable is the judgement? python -m benchmarks.judgement [--seeds N] [--cases NAME …] [--plot FILE]

Synthetic users, or data sets of scikit-learn, go through the trainer's own functions in memory. Planted groups: are
their number and members found, and judged to be segments? Columns without groups: how often are they judged to be
segments anyway? How far apart must groups be? And what would other limits have changed?
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import beta
from sklearn import datasets
from sklearn.metrics import adjusted_rand_score

from benchmarks import other_tables, tables
from benchmarks.tables import COUNTS, Rng, Users, groups_apart
from models.manifest import Verdict
from schemas import UserProfile
from schemas.roles import Kind, ProfileField
from trainer.findings import Judgement
from trainer.fitting.choose_k import LEAST_USERS, MOST_SEGMENTS, SearchRange, choose_k
from trainer.fitting.columns import ColumnRule, choose_columns
from trainer.fitting.duplicates import duplicates
from trainer.fitting.encoders import Learned, encoder, learn_labels, learn_number
from trainer.fitting.relations import related, relations
from trainer.fitting.sample import JUDGED_ROWS, Sample
from trainer.fitting.scikit import Labels, one_thread
from trainer.history.history import read_history
from trainer.judging.judge import judge
from trainer.judging.verdict import CLEAR_SEPARATION, WEAK_SEPARATION
from trainer.text.progress import Silence, Watcher, watched

POWER_SEEDS = 10
# In standard deviations within a group, in each of seven columns.
DISTANCES = (1.0, 1.25, 1.5, 2.0, 2.5)
SEPARATION_LIMITS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9)
PLANTED = {**tables.PLANTED, **other_tables.PLANTED}
NOTHING = {**tables.NOTHING, **other_tables.NOTHING}
PUBLIC = ("iris", "wine", "breast cancer", "digits", "diabetes")


def shipped(name: str) -> Users:
    """A data set that scikit-learn ships, as numbers; its classes are the groups, diabetes has none."""
    loaded = getattr(datasets, f"load_{name.replace(' ', '_')}")()
    fields = tuple(
        ProfileField(f"x{i}", str(header), "behaviour", Kind.NUMBER, ())
        for i, header in enumerate(loaded.feature_names)
    )
    values = {field.name: loaded.data[:, i] for i, field in enumerate(fields)}
    return Users(values, loaded.target if hasattr(loaded, "target_names") else None, fields)


# --- judging ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """The trainer's result for one set of users."""

    judgement: Judgement
    rand: float | None
    """Adjusted Rand index with the groups."""
    seconds: float


def seen(users: Users, seed: int) -> Seen:
    """Learn, select columns, search and judge as in a fit, on all users."""
    started = time.perf_counter()
    table = pd.DataFrame({field.name: _column(users.values[field.name], field) for field in users.fields})
    learned = [_learned(table[field.name], field) for field in users.fields]
    varying = [each.field for each in learned if each.useless_because is None]
    repeated = duplicates(table, varying)
    usable = [field for field in varying if field.name not in repeated]
    connected = related(relations(table, usable))
    kept = connected or frozenset(field.name for field in usable)
    sample = Sample(table, users.fields, encoder(learned, kept), frozenset(repeated))
    found, labels = _judged(sample, connected, len(table), seed)
    rand = None if users.truth is None else float(adjusted_rand_score(users.truth, labels))
    return Seen(found, rand, time.perf_counter() - started)


def _judged(sample: Sample, connected: frozenset[str], rows: int, seed: int) -> tuple[Judgement, Labels]:
    with one_thread():
        choice = choose_k(sample.scaled, SearchRange(MOST_SEGMENTS, LEAST_USERS, rows), seed, None, lambda *_: None)
        judged = judge(sample, choice, connected, seed, Silence())
    return judged.judgement, judged.chosen.labels


def _column(values: Any, field: ProfileField) -> pd.Series:
    if field.kind is Kind.NUMBER:
        # As in a file; rates with at most three digits.
        numbers = np.asarray(values, dtype=np.float64)
        return pd.Series(np.rint(numbers) if field.name in COUNTS else np.round(numbers, 4))
    return pd.Series(values, dtype=object) if field.kind is Kind.SEVERAL_OF else pd.Series(pd.Categorical(values))


def _learned(values: pd.Series, field: ProfileField) -> Learned:
    if field.kind is Kind.NUMBER:
        numbers = values.to_numpy(dtype=np.float64)
        return learn_number(field, lambda: [numbers], numbers)
    labels = values if field.kind is not Kind.SEVERAL_OF else [item for items in values for item in items]
    return learn_labels(field, dict(sorted(Counter(labels).items())), len(values))


# --- tables ----------------------------------------------------------------------------------------------------------


Runs = dict[str, list[Seen]]

VERDICTS = "".join(f"{verdict.value:>6}" for verdict in (Verdict.CLEAR, Verdict.WEAK, Verdict.NONE))


def run(names: Iterable[str], cases: Mapping[str, Callable[[Rng], Users]], seeds: range, watcher: Watcher) -> Runs:
    """Each case once per seed."""
    runs: Runs = {}
    for name in names:
        runs[name] = []
        for seed in seeds:
            watcher.at(name, len(runs[name]), len(seeds))
            runs[name].append(seen(cases[name](np.random.default_rng(seed)), seed))
    return runs


def upper_bound(hits: int, runs: int) -> float:
    """The upper 95 % bound of a rate with so few hits (Clopper & Pearson 1934)."""
    return 1.0 if hits == runs else float(beta.ppf(0.95, hits + 1, runs - hits))


def _verdicts(found: Sequence[Judgement]) -> str:
    verdicts = Counter(each.verdict for each in found)
    return "".join(f"{verdicts[verdict]:>6}" for verdict in (Verdict.CLEAR, Verdict.WEAK, Verdict.NONE))


def _separations(found: Sequence[Judgement]) -> list[float]:
    """Where data without segments leave no room for a gap, 0."""
    return [each.separation or 0.0 for each in found]


def print_planted(runs: Runs) -> None:
    """One line per case: verdicts, members, separation G, and the numbers of segments."""
    print(f"\n{'planted groups':<24}{VERDICTS}  {'Rand: mean, least':<19}{'G: mean, least':<16}{'s':<6}k found")
    for name, case in runs.items():
        found = [each.judgement for each in case]
        separations, rands = _separations(found), [each.rand for each in case if each.rand is not None]
        ks = Counter(judgement.k for judgement in found).most_common()
        rand = f"{statistics.mean(rands):.3f}, {min(rands):.3f}"
        separation = f"{statistics.mean(separations):.2f}, {min(separations):.2f}"
        counted = ", ".join(f"{k}: {count}" for k, count in ks)
        print(f"{name:<24}{_verdicts(found)}  {rand:<19}{separation:<16}{_seconds(case):<6}{counted}")


def print_nothing(runs: Runs) -> None:
    """One line per case: how often segments were found where there are none, and the upper bound of that rate."""
    print(f"\n{'no groups':<24}{VERDICTS}  {'not none, 95 % bound':<22}{'G: mean, greatest':<19}s")
    for name, case in runs.items():
        found = [each.judgement for each in case]
        separations, false = _separations(found), sum(each.verdict is not Verdict.NONE for each in found)
        rate = f"{false / len(found):.0%}, at most {upper_bound(false, len(found)):.1%}"
        separation = f"{statistics.mean(separations):.2f}, {max(separations):.2f}"
        print(f"{name:<24}{_verdicts(found)}  {rate:<22}{separation:<19}{_seconds(case)}")


def _seconds(case: Sequence[Seen]) -> str:
    return f"{statistics.mean(each.seconds for each in case):.1f}"


def print_power(watcher: Watcher) -> None:
    """How far apart groups must be: of ten sets, how many are not none, have the right k, and are clear."""
    print("\ngroups apart by … standard deviations in each of seven numbers: not none / right k / clear, of 10")
    print(f"{'':<24}" + "".join(f"{distance:>13}" for distance in DISTANCES) + "   9 of 10 from")
    for groups in (2, 3, 5):
        cells: list[str] = []
        enough: list[float] = []
        for distance in DISTANCES:
            name = f"{groups} groups, {distance} apart"
            case = run([name], {name: groups_apart(groups, distance)}, range(POWER_SEEDS), watcher)[name]
            found = [each.judgement for each in case if each.judgement.verdict is not Verdict.NONE]
            clear = sum(judgement.verdict is Verdict.CLEAR for judgement in found)
            cells.append(f"{len(found)} / {sum(judgement.k == groups for judgement in found)} / {clear}")
            enough += [distance] if len(found) >= 0.9 * POWER_SEEDS else []
        least = f"{min(enough)}" if enough else "–"
        print(f"{f'{groups} equal groups':<24}" + "".join(f"{cell:>13}" for cell in cells) + f"   {least}")


def print_public(watcher: Watcher) -> None:
    """One line per data set of scikit-learn."""
    print(f"\n{'public data':<24}{'rows':>6}{'classes':>9}{'k':>4}{'Rand':>7}{'S':>7}{'G':>7}{'Jaccard':>9}  verdict")
    for name in PUBLIC:
        watcher.at(name)
        users = shipped(name)
        found = seen(users, seed=0)
        judgement = found.judgement
        classes = "–" if users.truth is None else str(len(np.unique(users.truth)))
        rand = "–" if found.rand is None else f"{found.rand:.2f}"
        print(
            f"{name:<24}{judgement.sample_rows:>6}{classes:>9}{judgement.k:>4}{rand:>7}{judgement.silhouette:>7.2f}"
            f"{judgement.separation or 0.0:>7.2f}{min(judgement.jaccard.values()):>9.2f}  {judgement.verdict}"
        )


def print_calibration(runs: Runs) -> None:
    """For each limit of the separation, the share of the runs that reach it, before p-values and vetoes."""
    print(f"\n{'share with G of at least':<24}" + "".join(f"{limit:>6}" for limit in SEPARATION_LIMITS))
    for name, shares in _calibration(runs).items():
        print(f"{name:<24}" + "".join(f"{share:>6.0%}" for share in shares))


def _calibration(runs: Runs) -> Mapping[str, list[float]]:
    return {
        name: [
            sum(separation >= limit for separation in _separations([each.judgement for each in case])) / len(case)
            for limit in SEPARATION_LIMITS
        ]
        for name, case in runs.items()
    }


def plot_calibration(runs: Runs, path: Path) -> None:
    """The same as a picture: cases with groups as full lines, those without as broken ones."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for name, shares in _calibration(runs).items():
        axes.plot(SEPARATION_LIMITS, shares, label=name, linestyle="-" if name in PLANTED else "--", marker=".")
    for limit, verdict in ((WEAK_SEPARATION, Verdict.WEAK), (CLEAR_SEPARATION, Verdict.CLEAR)):
        axes.axvline(limit, color="black", linewidth=0.8)
        axes.annotate(f" {verdict}", (limit, 1.02), annotation_clip=False)
    axes.set_xlabel("limit of the separation G")
    axes.set_ylabel("share of the runs that reach it")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path)


def print_history(path: Path, seeds: int, watcher: Watcher) -> None:
    """The verdicts on a history of user profiles over the seeds, with the columns that are related and with all."""
    print(f"\n{path.name:<24}{'clear':>6}{'weak':>6}{'none':>6}  G: greatest")
    with read_history(path, UserProfile, lambda *_: None) as history:
        for rule in ColumnRule:
            runs: list[Judgement] = []
            for seed in range(seeds):
                watcher.at(f"{path.name}, columns {rule}", seed, seeds)
                columns = choose_columns(history, None, rule, seed, Silence())
                sample = Sample(history.sample(JUDGED_ROWS, seed), history.fields, columns.encoder, columns.repeated)
                runs.append(_judged(sample, columns.related, history.rows, seed)[0])
            print(f"{f'columns {rule}':<24}{_verdicts(runs)}  {max(_separations(runs)):.2f}")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables of the selected cases."""
    tables = ("power", "public")
    parser = argparse.ArgumentParser(prog="benchmarks.judgement", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="sets of users of each case (default: 100)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first seed (default: 0)")
    cases = [*PLANTED, *NOTHING, *tables]
    # argparse formats a help text.
    named = ", ".join(cases).replace("%", "%%")
    parser.add_argument(
        "--cases", nargs="+", metavar="NAME", choices=cases, default=cases, help=f"{named} (default: all)"
    )
    parser.add_argument("--history", type=Path, metavar="FILE", help="judge this history of user profiles too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the last table into this PNG or SVG")
    options = parser.parse_args(argv)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    with watched(sys.stderr) as watcher:
        planted = run([name for name in PLANTED if name in options.cases], PLANTED, seeds, watcher)
        if planted:
            print_planted(planted)
        nothing = run([name for name in NOTHING if name in options.cases], NOTHING, seeds, watcher)
        if nothing:
            print_nothing(nothing)
        if "power" in options.cases:
            print_power(watcher)
        if "public" in options.cases:
            print_public(watcher)
        if options.history is not None:
            print_history(options.history, options.seeds, watcher)
    if runs := planted | nothing:
        print_calibration(runs)
        if options.plot is not None:
            plot_calibration(runs, options.plot)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
