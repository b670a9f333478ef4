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
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from scipy.special import ndtr
from scipy.stats import beta
from sklearn import datasets
from sklearn.metrics import adjusted_rand_score

from models.encoding import Floats
from models.manifest import Verdict
from schemas import UserProfile
from schemas.roles import Kind, ProfileField, profile_fields
from trainer.findings import Judgement
from trainer.fitting.choose_k import LEAST_USERS, MOST_SEGMENTS, SearchRange, choose_k
from trainer.fitting.columns import ColumnRule, choose_columns
from trainer.fitting.encoders import Learned, encoder, learn_labels, learn_number
from trainer.fitting.relations import related, relations
from trainer.fitting.sample import JUDGED_ROWS, Sample
from trainer.fitting.scikit import Labels, one_thread
from trainer.history.history import read_history
from trainer.judging.judge import CLEAR_EFFECT, WEAK_EFFECT, judge
from trainer.text.progress import Silence, Watcher, watched

USERS = 1_000
POWER_SEEDS = 10
FIELDS = profile_fields(UserProfile)
RANGES = {
    "likes_and_reactions": (100, 10_000),
    "followed_accounts": (10, 500),
    "weekday_hours_online": (0.5, 5),
    "weekend_hours_online": (1, 8),
    "click_through_rate": (0, 0.25),
    "conversion_rate": (0, 0.1),
    "ad_interaction_seconds": (5, 180),
}
COUNTS = frozenset({"likes_and_reactions", "followed_accounts", "ad_interaction_seconds"})
LABELS: Mapping[str, Sequence[str]] = {
    **{field.name: field.levels for field in FIELDS if field.kind is Kind.ORDERED},
    "gender": ("Female", "Male"),
    "location": ("Rural", "Suburban", "Urban"),
    "language": ("English", "Hindi", "Mandarin", "Spanish"),
    "device_usage": ("Desktop Only", "Mobile + Desktop", "Mobile Only", "Tablet"),
}
INTERESTS = tuple(f"Interest {letter}" for letter in "ABCDEFGHIJKLMNOPQRSTU")
# In standard deviations within a group, in each of seven columns.
SEPARATIONS = (1.0, 1.25, 1.5, 2.0, 2.5)
EFFECTS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40)

Truth = npt.NDArray[np.intp]
Rng = np.random.Generator
Values = dict[str, Any]


@dataclass(frozen=True)
class Users:
    """Columns under their event names; and the group of each user, where there are groups."""

    values: Values
    truth: Truth | None = None
    fields: tuple[ProfileField, ...] = FIELDS


# --- users without groups --------------------------------------------------------------------------------------------


def independent(rng: Rng) -> Users:
    """Users with independent columns, all uniform."""
    values: Values = {}
    for field in FIELDS:
        if field.kind is Kind.NUMBER:
            values[field.name] = rng.uniform(*RANGES[field.name], USERS)
        elif field.kind is Kind.SEVERAL_OF:
            values[field.name] = [_items(INTERESTS, rng) for _ in range(USERS)]
        else:
            values[field.name] = rng.choice(LABELS[field.name], USERS)
    return Users(values)


def _items(pool: Sequence[str], rng: Rng) -> tuple[str, ...]:
    return tuple(rng.choice(pool, rng.integers(1, 4), replace=False).tolist())


def _with_numbers(values: Values, positions: Floats) -> Values:
    """The seven numbers at these positions in their ranges (users × 7): 0 is the low end, 1 the high one."""
    numbers = {
        name: low + (high - low) * position
        for (name, (low, high)), position in zip(RANGES.items(), positions.T, strict=True)
    }
    return values | numbers


def one_cloud(rng: Rng) -> Users:
    """Seven normal numbers, each pair with a correlation of .5."""
    positions = 0.5 + 0.15 * _correlated(rng.normal(size=USERS), 0.7, len(RANGES), rng)
    return Users(_with_numbers(independent(rng).values, positions))


def _correlated(trait: Floats, strength: float, columns: int, rng: Rng) -> Floats:
    """Normal columns, each with this correlation to the trait; shape (users, columns)."""
    noise = rng.normal(size=(len(trait), columns))
    correlated: Floats = strength * trait[:, None] + np.sqrt(1 - strength**2) * noise
    return correlated


def hidden_factor(rng: Rng) -> Users:
    """One hidden trait behind all fifteen columns, of every kind."""
    trait = rng.normal(size=USERS)
    values = _with_numbers(independent(rng).values, ndtr(_correlated(trait, 0.7, len(RANGES), rng)))
    for name, labels in LABELS.items():
        kind = next(field.kind for field in FIELDS if field.name == name)
        levels = np.array(labels if kind is Kind.ORDERED else rng.permutation(labels))
        parts = ndtr(_correlated(trait, 0.7, 1, rng)[:, 0]) * len(levels)
        values[name] = levels[np.minimum(parts.astype(np.intp), len(levels) - 1)]
    pull = rng.normal(size=len(INTERESTS))
    liked = np.argsort(-(trait[:, None] * pull + rng.gumbel(size=(USERS, len(INTERESTS)))), axis=1)
    counts = rng.integers(1, 4, USERS)
    values["top_interests"] = [
        tuple(INTERESTS[item] for item in row[:count]) for row, count in zip(liked, counts, strict=True)
    ]
    return Users(values)


def log_normals(rng: Rng) -> Users:
    """Seven log-normal numbers, the logarithms of each pair with a correlation of .56."""
    logs = 0.8 * _correlated(rng.normal(size=USERS), 0.75, len(RANGES), rng)
    return Users(_with_numbers(independent(rng).values, 0.05 * np.exp(logs)))


def curved_cloud(rng: Rng) -> Users:
    """Seven numbers along half a circle, each seen from its own side, with some noise around it."""
    angles = np.pi * rng.uniform(size=USERS)[:, None] + rng.uniform(0, 2 * np.pi, len(RANGES))
    positions = 0.5 + 0.35 * np.cos(angles) + 0.06 * rng.normal(size=angles.shape)
    return Users(_with_numbers(independent(rng).values, positions))


def heavy_tails(rng: Rng) -> Users:
    """Seven numbers of one correlated cloud with tails of Student's t with 3 degrees of freedom, all at once."""
    stretch = np.sqrt(3 / rng.chisquare(3, USERS))
    cloud = _correlated(rng.normal(size=USERS), 0.7, len(RANGES), rng)
    return Users(_with_numbers(independent(rng).values, 0.5 + 0.05 * stretch[:, None] * cloud))


def two_labels(rng: Rng) -> Users:
    """Location and device related in any way, and nothing else."""
    values = independent(rng).values
    locations, devices = LABELS["location"], LABELS["device_usage"]
    pairs = rng.choice(len(locations) * len(devices), USERS, p=rng.dirichlet(np.ones(len(locations) * len(devices))))
    values["location"] = np.array(locations)[pairs // len(devices)]
    values["device_usage"] = np.array(devices)[pairs % len(devices)]
    return Users(values)


# --- users in groups -------------------------------------------------------------------------------------------------


def groups_in_numbers(shares: Sequence[float], spread: float) -> Callable[[Rng], Users]:
    """Groups of exactly these shares in the seven numbers; spread is one standard deviation, in ranges of a column."""

    def plant(rng: Rng) -> Users:
        ends = np.rint(np.cumsum(shares) * USERS)
        truth = rng.permutation(np.searchsorted(ends, np.arange(USERS), side="right"))
        centres = np.column_stack([rng.permutation(np.linspace(0.12, 0.88, len(shares))) for _ in RANGES])
        positions = np.clip(centres[truth] + spread * rng.normal(size=(USERS, len(RANGES))), 0, 1)
        return Users(_with_numbers(independent(rng).values, positions), truth)

    return plant


def with_strays(plant: Callable[[Rng], Users], share: float) -> Callable[[Rng], Users]:
    """The same, but a share of the users belongs to no group: anywhere in the numbers' ranges, and beyond."""

    def strayed(rng: Rng) -> Users:
        users = plant(rng)
        stray = rng.random(USERS) < share
        anywhere = _with_numbers({}, rng.uniform(0, 1.5, size=(USERS, len(RANGES))))
        numbers = {name: np.where(stray, anywhere[name], users.values[name]) for name in RANGES}
        return Users(users.values | numbers, users.truth)

    return strayed


def groups_in_labels(step: int) -> Callable[[Rng], Users]:
    """Three groups in device, age, education, income and interests only; the seven numbers are noise.

    From one ordered column to the next the groups change positions by this step: with 1 each group is lowest in one of
    them, with 0 the groups are low, middle and high in all three, as steps of one trait are.
    """

    def plant(rng: Rng) -> Users:
        groups = 3
        truth = rng.integers(0, groups, USERS)
        values = independent(rng).values
        order = rng.permutation(groups)
        for i, name in enumerate(("age", "education_level", "income_level")):
            levels = np.array(LABELS[name])
            centres = np.linspace(0, len(levels) - 1, groups)[np.roll(order, i * step)]
            positions = np.clip(np.rint(centres[truth] + 0.7 * rng.normal(size=USERS)), 0, len(levels) - 1)
            values[name] = levels[positions.astype(np.intp)]
        devices = rng.permutation(LABELS["device_usage"])[:groups]
        loyal = rng.random(USERS) < 0.8
        values["device_usage"] = np.where(loyal, devices[truth], rng.choice(LABELS["device_usage"], USERS))
        pools = [pool.tolist() for pool in np.array_split(rng.permutation(INTERESTS), groups)]
        values["top_interests"] = [_items(pools[group] if rng.random() < 0.8 else INTERESTS, rng) for group in truth]
        return Users(values, truth)

    return plant


def groups_apart(groups: int, separation: float) -> Callable[[Rng], Users]:
    """Equal groups; neighbours differ by so many standard deviations in each number."""

    def plant(rng: Rng) -> Users:
        truth = rng.integers(0, groups, USERS)
        centres = np.column_stack([rng.permutation(groups) for _ in RANGES])
        positions = 0.5 + 0.05 * (separation * centres[truth] + rng.normal(size=(USERS, len(RANGES))))
        return Users(_with_numbers(independent(rng).values, positions), truth)

    return plant


PLANTED: Mapping[str, Callable[[Rng], Users]] = {
    "three equal groups": groups_in_numbers([1 / 3] * 3, spread=0.08),
    "six groups, 36 to 5 %": groups_in_numbers([0.36, 0.24, 0.16, 0.11, 0.08, 0.05], spread=0.06),
    "two groups, 5 % strays": with_strays(groups_in_numbers([0.6, 0.4], spread=0.08), share=0.05),
    "groups in labels only": groups_in_labels(step=1),
    "… steps of one trait": groups_in_labels(step=0),
    "overlapping groups": groups_in_numbers([1 / 3] * 3, spread=0.25),
}
NOTHING: Mapping[str, Callable[[Rng], Users]] = {
    "independent noise": independent,
    "one correlated cloud": one_cloud,
    "one hidden factor": hidden_factor,
    "correlated log-normals": log_normals,
    "curved cloud": curved_cloud,
    "heavy tails": heavy_tails,
    "two related labels": two_labels,
}
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
    usable = [each.field for each in learned if each.useless_because is None]
    connected = related(relations(table, usable))
    kept = connected or frozenset(field.name for field in usable)
    sample = Sample(table, users.fields, encoder(learned, kept))
    found, labels = _judged(sample, connected, len(table), seed)
    rand = None if users.truth is None else float(adjusted_rand_score(users.truth, labels))
    return Seen(found, rand, time.perf_counter() - started)


def _judged(sample: Sample, connected: frozenset[str], rows: int, seed: int) -> tuple[Judgement, Labels]:
    with one_thread():
        choice = choose_k(sample.scaled, SearchRange(MOST_SEGMENTS, LEAST_USERS, rows), seed, None, lambda *_: None)
        judged = judge(sample, choice, connected, seed, Silence())
    return judged.judgement, judged.labels


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


def run(names: Iterable[str], cases: Mapping[str, Callable[[Rng], Users]], seeds: int, watcher: Watcher) -> Runs:
    """Each case once per seed."""
    runs: Runs = {}
    for name in names:
        runs[name] = []
        for seed in range(seeds):
            watcher.at(name, seed, seeds)
            runs[name].append(seen(cases[name](np.random.default_rng(seed)), seed))
    return runs


def upper_bound(hits: int, runs: int) -> float:
    """The upper 95 % bound of a rate with so few hits (Clopper & Pearson 1934)."""
    return 1.0 if hits == runs else float(beta.ppf(0.95, hits + 1, runs - hits))


def _verdicts(found: Sequence[Judgement]) -> str:
    verdicts = Counter(each.verdict for each in found)
    return "".join(f"{verdicts[verdict]:>6}" for verdict in (Verdict.CLEAR, Verdict.WEAK, Verdict.NONE))


def _effects(found: Sequence[Judgement]) -> list[float]:
    return [each.effect for each in found]


def print_planted(runs: Runs) -> None:
    """One line per case: verdicts, members, effect, and the numbers of segments."""
    print(f"\n{'planted groups':<24}{VERDICTS}  {'Rand: mean, least':<19}{'E: mean, least':<16}{'s':<6}k found")
    for name, case in runs.items():
        found = [each.judgement for each in case]
        effects, rands = _effects(found), [each.rand for each in case if each.rand is not None]
        ks = Counter(judgement.k for judgement in found).most_common()
        rand = f"{statistics.mean(rands):.3f}, {min(rands):.3f}"
        effect = f"{statistics.mean(effects):.3f}, {min(effects):.3f}"
        counted = ", ".join(f"{k}: {count}" for k, count in ks)
        print(f"{name:<24}{_verdicts(found)}  {rand:<19}{effect:<16}{_seconds(case):<6}{counted}")


def print_nothing(runs: Runs) -> None:
    """One line per case: how often segments were found where there are none, and the upper bound of that rate."""
    print(f"\n{'no groups':<24}{VERDICTS}  {'not none, 95 % bound':<22}{'E: mean, greatest':<19}s")
    for name, case in runs.items():
        found = [each.judgement for each in case]
        effects, false = _effects(found), sum(each.verdict is not Verdict.NONE for each in found)
        rate = f"{false / len(found):.0%}, at most {upper_bound(false, len(found)):.1%}"
        effect = f"{statistics.mean(effects):.3f}, {max(effects):.3f}"
        print(f"{name:<24}{_verdicts(found)}  {rate:<22}{effect:<19}{_seconds(case)}")


def _seconds(case: Sequence[Seen]) -> str:
    return f"{statistics.mean(each.seconds for each in case):.1f}"


def print_power(watcher: Watcher) -> None:
    """How far apart groups must be: of ten sets, how many are not none, have the right k, and are clear."""
    print("\ngroups apart by … standard deviations in each of seven numbers: not none / right k / clear, of 10")
    print(f"{'':<24}" + "".join(f"{separation:>13}" for separation in SEPARATIONS) + "   9 of 10 from")
    for groups in (2, 3, 5):
        cells: list[str] = []
        enough: list[float] = []
        for separation in SEPARATIONS:
            name = f"{groups} groups, {separation} apart"
            case = run([name], {name: groups_apart(groups, separation)}, POWER_SEEDS, watcher)[name]
            found = [each.judgement for each in case if each.judgement.verdict is not Verdict.NONE]
            clear = sum(judgement.verdict is Verdict.CLEAR for judgement in found)
            cells.append(f"{len(found)} / {sum(judgement.k == groups for judgement in found)} / {clear}")
            enough += [separation] if len(found) >= 0.9 * POWER_SEEDS else []
        least = f"{min(enough)}" if enough else "–"
        print(f"{f'{groups} equal groups':<24}" + "".join(f"{cell:>13}" for cell in cells) + f"   {least}")


def print_public(watcher: Watcher) -> None:
    """One line per data set of scikit-learn."""
    print(f"\n{'public data':<24}{'rows':>6}{'classes':>9}{'k':>4}{'Rand':>7}{'S':>7}{'E':>7}{'Jaccard':>9}  verdict")
    for name in PUBLIC:
        watcher.at(name)
        users = shipped(name)
        found = seen(users, seed=0)
        judgement = found.judgement
        classes = "–" if users.truth is None else str(len(np.unique(users.truth)))
        rand = "–" if found.rand is None else f"{found.rand:.2f}"
        print(
            f"{name:<24}{judgement.sample_rows:>6}{classes:>9}{judgement.k:>4}{rand:>7}{judgement.silhouette:>7.2f}"
            f"{judgement.effect or 0.0:>7.2f}{min(judgement.jaccard.values()):>9.2f}  {judgement.verdict}"
        )


def print_calibration(runs: Runs) -> None:
    """For each limit of the effect, the share of the runs that reach it, before p-values and vetoes."""
    print(f"\n{'share with E of at least':<24}" + "".join(f"{effect:>6}" for effect in EFFECTS))
    for name, shares in _calibration(runs).items():
        print(f"{name:<24}" + "".join(f"{share:>6.0%}" for share in shares))


def _calibration(runs: Runs) -> Mapping[str, list[float]]:
    return {
        name: [sum((each.judgement.effect or 0.0) >= limit for each in case) / len(case) for limit in EFFECTS]
        for name, case in runs.items()
    }


def plot_calibration(runs: Runs, path: Path) -> None:
    """The same as a picture: cases with groups as full lines, those without as broken ones."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for name, shares in _calibration(runs).items():
        axes.plot(EFFECTS, shares, label=name, linestyle="-" if name in PLANTED else "--", marker=".")
    for limit, verdict in ((WEAK_EFFECT, Verdict.WEAK), (CLEAR_EFFECT, Verdict.CLEAR)):
        axes.axvline(limit, color="black", linewidth=0.8)
        axes.annotate(f" {verdict}", (limit, 1.02), annotation_clip=False)
    axes.set_xlabel("limit of the effect E")
    axes.set_ylabel("share of the runs that reach it")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path)


def print_history(path: Path, seeds: int, watcher: Watcher) -> None:
    """The verdicts on a history of user profiles over the seeds, with the columns that are related and with all."""
    print(f"\n{path.name:<24}{'clear':>6}{'weak':>6}{'none':>6}  E: greatest")
    with read_history(path, UserProfile, lambda *_: None) as history:
        for rule in ColumnRule:
            runs: list[Judgement] = []
            for seed in range(seeds):
                watcher.at(f"{path.name}, columns {rule}", seed, seeds)
                columns = choose_columns(history, None, rule, seed, Silence())
                sample = Sample(history.sample(JUDGED_ROWS, seed), history.fields, columns.encoder)
                runs.append(_judged(sample, columns.related, history.rows, seed)[0])
            print(f"{f'columns {rule}':<24}{_verdicts(runs)}  {max(_effects(runs)):.3f}")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables of the selected cases."""
    tables = ("power", "public")
    parser = argparse.ArgumentParser(prog="benchmarks.judgement", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="sets of users of each case (default: 100)")
    parser.add_argument(
        "--cases", nargs="+", metavar="NAME", choices=[*PLANTED, *NOTHING, *tables],
        default=[*PLANTED, *NOTHING, *tables], help=f"{', '.join([*PLANTED, *NOTHING, *tables])} (default: all)",
    )  # fmt: skip
    parser.add_argument("--history", type=Path, metavar="FILE", help="judge this history of user profiles too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the last table into this PNG or SVG")
    options = parser.parse_args(argv)
    with watched(sys.stderr) as watcher:
        planted = run([name for name in PLANTED if name in options.cases], PLANTED, options.seeds, watcher)
        if planted:
            print_planted(planted)
        nothing = run([name for name in NOTHING if name in options.cases], NOTHING, options.seeds, watcher)
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
