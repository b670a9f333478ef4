"""How long Segmentation.assign takes: `python -m benchmarks.assign HISTORY.csv`.

Fits the history twice, with the columns that are related to another one (the default) and with all of them, and times
one call for batches of several sizes. The best time is that of the code alone; the median includes the load of other
programs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from schemas import UserProfile
from trainer.fitting.columns import ColumnRule
from trainer.history.history import read_history
from trainer.lineage.succession import NOTHING_BEFORE
from trainer.pipeline import FitOptions, fit
from trainer.text.progress import Silence

BATCHES = (1, 50, 500, 2_000)
CALLS_S = 0.01
REPEATS = 100


def main() -> None:
    """Print one row per model and batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("history", type=Path, help="a history of at least 2,000 users, such as demo/sample_history.csv")
    arguments = parser.parse_args()
    print(f"{'columns':>8} {'in the distance':>16} {'rows':>6} {'best µs':>9} {'median µs':>10} {'µs/row':>9}")
    with read_history(arguments.history, UserProfile, lambda *_: None) as history:
        users = next(history.chunks()).columns
        for rule in ColumnRule:
            options = FitOptions(None, None, rule, seed=1, max_k=10, min_segment_users=20, not_named=frozenset())
            fitted = fit(history, options, NOTHING_BEFORE, Silence())
            for rows in BATCHES:
                batch = {name: values[:rows] for name, values in users.items()}
                best, median = _times_us(partial(fitted.segmentation.assign, batch))
                kept = len(fitted.columns.kept)
                print(f"{rule:>8} {kept:>16} {rows:>6} {best:>9.1f} {median:>10.1f} {best / rows:>9.2f}")


def _times_us(call: Callable[[], object]) -> tuple[float, float]:
    call()
    started = time.perf_counter()
    call()
    calls = max(1, int(CALLS_S / (time.perf_counter() - started)))
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - started) / calls * 1e6)
    return min(times), statistics.median(times)


if __name__ == "__main__":
    main()
