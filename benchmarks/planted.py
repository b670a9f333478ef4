"""Planted groups: does a fit find their number, and their members? python -m benchmarks.planted [--seeds N]

Each case hides groups in some of the 15 columns of a history and fills the others with noise; a last line counts the
noise histories in which some columns were found to be related.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import adjusted_rand_score

from models.manifest import Verdict
from schemas import UserProfile
from schemas.roles import Kind, profile_fields
from trainer.fit import ColumnRule, FitOptions, Fitted, fit
from trainer.history import read_history
from trainer.progress import Silence

USERS = 1_500
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

Truth = npt.NDArray[np.intp]
Values = dict[str, list[object]]


@dataclass(frozen=True)
class Planted:
    """Columns of users under their event names, and the group of each."""

    columns: Values
    truth: Truth


def noise(generator: np.random.Generator) -> Values:
    """Users of whom nothing hangs together."""
    columns: Values = {}
    for field in FIELDS:
        if field.kind is Kind.NUMBER:
            low, high = RANGES[field.name]
            columns[field.name] = _numbers(field.name, generator.uniform(low, high, USERS))
        elif field.kind is Kind.SEVERAL_OF:
            columns[field.name] = [_interests(INTERESTS, generator) for _ in range(USERS)]
        else:
            columns[field.name] = generator.choice(LABELS[field.name], USERS).tolist()
    return columns


def groups_in_numbers(shares: Sequence[float], spread: float) -> Callable[[np.random.Generator], Planted]:
    """Groups of these shares in the seven numbers; spread is the standard deviation as a share of a column's range."""

    def plant(generator: np.random.Generator) -> Planted:
        truth = generator.choice(len(shares), USERS, p=shares)
        columns = noise(generator)
        for name, (low, high) in RANGES.items():
            centres = generator.permutation(np.linspace(0.12, 0.88, len(shares)))
            places = np.clip(centres[truth] + spread * generator.normal(size=USERS), 0, 1)
            columns[name] = _numbers(name, low + (high - low) * places)
        return Planted(columns, truth)

    return plant


def groups_in_labels(generator: np.random.Generator) -> Planted:
    """Three groups in device, age, education, income and interests only; the seven numbers are noise."""
    groups = 3
    truth = generator.integers(0, groups, USERS)
    columns = noise(generator)
    for name in ("age", "education_level", "income_level"):
        levels = LABELS[name]
        centres = generator.permutation(np.linspace(0, len(levels) - 1, groups))
        places = np.clip(np.rint(centres[truth] + 0.7 * generator.normal(size=USERS)), 0, len(levels) - 1)
        columns[name] = [levels[int(place)] for place in places]
    devices = generator.permutation(LABELS["device_usage"])[:groups]
    columns["device_usage"] = [
        str(devices[group]) if generator.random() < 0.8 else str(generator.choice(LABELS["device_usage"]))
        for group in truth
    ]
    pools = [pool.tolist() for pool in np.array_split(generator.permutation(INTERESTS), groups)]
    columns["top_interests"] = [
        _interests(pools[group] if generator.random() < 0.8 else INTERESTS, generator) for group in truth
    ]
    return Planted(columns, truth)


CASES: Mapping[str, tuple[int, Callable[[np.random.Generator], Planted]]] = {
    "three groups": (3, groups_in_numbers([1 / 3] * 3, spread=0.08)),
    "six uneven groups": (6, groups_in_numbers([0.30, 0.25, 0.20, 0.12, 0.08, 0.05], spread=0.06)),
    "groups in labels only": (3, groups_in_labels),
}


def _numbers(name: str, values: npt.NDArray[np.float64]) -> list[object]:
    return [*np.rint(values).astype(int).tolist()] if name in COUNTS else [*np.round(values, 4).tolist()]


def _interests(pool: Sequence[str], generator: np.random.Generator) -> str:
    return ", ".join(generator.choice(pool, generator.integers(1, 4), replace=False).tolist())


def fitted(columns: Values, rule: ColumnRule, seed: int) -> Fitted:
    """The fit of these users, by way of a file, as a user would do it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([UserProfile.history_id_column, *(field.header for field in FIELDS)])
            rows = zip(*(columns[field.name] for field in FIELDS), strict=True)
            writer.writerows([f"user-{i}", *row] for i, row in enumerate(rows))
        history = read_history(path, UserProfile, lambda _: None)
    return fit(history, FitOptions(k=None, groups=None, columns=rule, seed=seed), Silence())


def main(argv: Sequence[str] | None = None) -> int:
    """Print one line a case and rule: the k found for each seed, and the adjusted Rand index with the truth."""
    parser = argparse.ArgumentParser(prog="benchmarks.planted", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="histories of each case (default: 10)")
    seeds = range(parser.parse_args(argv).seeds)
    print(
        f"{'case':<24}{'columns':<10}{'planted k found':<18}{'adjusted Rand, mean (least)':<30}{'s a fit':<10}k found"
    )
    for name, (planted_k, plant) in CASES.items():
        for rule in ColumnRule:
            found: list[int] = []
            agreement: list[float] = []
            started = time.perf_counter()
            for seed in seeds:
                planted = plant(np.random.default_rng(seed))
                result = fitted(planted.columns, rule, seed)
                found.append(result.segmentation.k)
                agreement.append(float(adjusted_rand_score(planted.truth, result.assignments.segment)))
            seconds = (time.perf_counter() - started) / len(seeds)
            score = f"{statistics.mean(agreement):.3f} ({min(agreement):.3f})"
            share = f"{found.count(planted_k)} of {len(seeds)}"
            print(f"{name:<24}{rule:<10}{share:<18}{score:<30}{seconds:<10.1f}{found}", flush=True)
    verdicts = [fitted(noise(np.random.default_rng(seed)), ColumnRule.RELATED, seed).verdict for seed in seeds]
    print(f"noise: columns found related in {sum(verdict is not Verdict.NONE for verdict in verdicts)} of {len(seeds)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
