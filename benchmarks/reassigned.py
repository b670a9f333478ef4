"""Last month's segments: how many users does a refit reassign? python -m benchmarks.reassigned [--users N] [--seeds N]

Each case draws two samples of one population. The first is fitted and put into production. The second is fitted with
that version in production, as in a monthly refit, and once more without, from scratch. Both times the segments are
matched with those in production over the second sample, and the users whose segment number changes are counted.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from demo.population import Population, Structure
from models import promoting
from models.manifest import Manifest, Verdict
from models.store import ModelStore
from schemas import UserProfile
from schemas.roles import Kind, profile_fields
from trainer.commands.bad_rows import BadRows
from trainer.commands.fit import fit_history
from trainer.fitting.columns import ColumnRule
from trainer.history.history import read_history
from trainer.lineage.lineage import columns_needed, overlap, stable_numbers
from trainer.pipeline import FitOptions
from trainer.text.progress import Silence

FIELDS = profile_fields(UserProfile)
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
# With this share of values exchanged among all users, the planted groups overlap.
BLURRED = 0.5

Values = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Refit:
    """What one refit did."""

    k_before: int
    k_warm: int
    k_scratch: int
    warm: float
    """Share of users reassigned, with a warm start from the version in production."""
    scratch: float
    """The same without it."""
    verdict: Verdict


def planted(users: int, seed: int) -> Values:
    """Users of five well separated groups."""
    return _drawn(Population(users, seed, Structure.PLANTED))


def overlapping(users: int, seed: int) -> Values:
    """The same groups, half of each column's values exchanged among all users."""
    generator = np.random.default_rng(seed)
    blurred: dict[str, Sequence[Any]] = {}
    for name, values in planted(users, seed).items():
        at = np.arange(users)
        chosen = np.flatnonzero(generator.random(users) < BLURRED)
        at[chosen] = generator.permutation(chosen)
        blurred[name] = [values[i] for i in at.tolist()]
    return blurred


def noise(users: int, seed: int) -> Values:
    """Users whose columns are independent."""
    return _drawn(Population(users, seed, Structure.NOISE))


CASES: Mapping[str, tuple[ColumnRule, Callable[[int, int], Values]]] = {
    "well separated": (ColumnRule.RELATED, planted),
    "overlapping": (ColumnRule.RELATED, overlapping),
    "noise": (ColumnRule.ALL, noise),
}


def refit(rule: ColumnRule, draw: Callable[[int, int], Values], users: int, seed: int) -> Refit:
    """Fit a sample, promote it, and fit another one with it and without it."""
    options = FitOptions(None, None, rule, seed, max_k=10, min_segment_users=20, not_named=frozenset())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = _write(folder / "first.csv", draw(users, 2 * seed + 1))
        second = _write(folder / "second.csv", draw(users, 2 * seed + 2))
        store, scratch_store = ModelStore(folder / "store"), ModelStore(folder / "scratch")
        before = _fitted(first, options, store, NOON)
        promoting.promote(store, before.id, "production", NOON, frozenset(Verdict))
        warm = _fitted(second, options, store, NOON + timedelta(days=30))
        scratch = _fitted(second, options, scratch_store, NOON + timedelta(days=30))
        assert warm.reassigned is not None
        model, fresh = store.load(before.id).segmentation, scratch_store.load(scratch.id).segmentation
        with read_history(second, UserProfile, lambda _done, _total: None) as history:
            chunks = (chunk.columns for chunk in history.chunks([*columns_needed(model, fresh)]))
            found = overlap(model, fresh, chunks)
        found = found.renumbered(stable_numbers(found, store.next_number("UserProfile")))
        return Refit(
            k_before=before.k,
            k_warm=warm.k,
            k_scratch=scratch.k,
            warm=warm.reassigned.share,
            scratch=found.reassigned / found.compared,
            verdict=warm.verdict,
        )


def _fitted(path: Path, options: FitOptions, store: ModelStore, at: datetime) -> Manifest:
    return fit_history(path, UserProfile, options, BadRows.REFUSE, store, at, Silence()).manifest


def _drawn(population: Population) -> Values:
    columns: dict[str, list[Any]] = {field.name: [] for field in FIELDS}
    for block in population.blocks():
        for name, values in columns.items():
            values.extend(block.profiles[name])
    return columns


def _write(path: Path, columns: Values) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([UserProfile.history_id_column, *(field.header for field in FIELDS)])
        cells = [
            map(", ".join, columns[field.name]) if field.kind is Kind.SEVERAL_OF else columns[field.name]
            for field in FIELDS
        ]
        writer.writerows([f"user-{i}", *row] for i, row in enumerate(zip(*cells, strict=True)))
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Print one line per case: the share of users that a refit reassigns, with a warm start and from scratch."""
    parser = argparse.ArgumentParser(prog="benchmarks.reassigned", description=__doc__)
    parser.add_argument("--users", type=int, default=3_000, help="users per sample (default: 3000)")
    parser.add_argument("--seeds", type=int, default=5, help="refits per case (default: 5)")
    asked = parser.parse_args(argv)
    print(f"{'case':<16}{'reassigned, mean (max)':<24}{'from scratch':<22}{'k before, refit, scratch':<42}verdicts")
    for name, (rule, draw) in CASES.items():
        refits = [refit(rule, draw, asked.users, seed) for seed in range(asked.seeds)]
        print(
            f"{name:<16}"
            f"{_shares([each.warm for each in refits]):<24}"
            f"{_shares([each.scratch for each in refits]):<22}"
            f"{' '.join(f'{each.k_before},{each.k_warm},{each.k_scratch}' for each in refits):<42}"
            f"{' '.join(each.verdict for each in refits)}",
            flush=True,
        )
    return 0


def _shares(shares: Sequence[float]) -> str:
    return f"{statistics.mean(shares):.1%} ({max(shares):.1%})"


if __name__ == "__main__":
    raise SystemExit(main())
