"""`make fuzz`: the long form, with figures, and how to repeat an event that breaks a promise."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

from tests.fuzz.fuzz import BATCH, Figures, run
from tests.fuzz.properties import Violated
from tests.fuzz.subjects import SUBJECTS


def main() -> int:
    """Try so many events; returns 1 if one of them breaks a promise, and saves that event."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="how many to try (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other events (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first event; repeats a part of a run")
    parser.add_argument("--subject", choices=[*SUBJECTS], default="whole", help="of which class (default: %(default)s)")
    given = parser.parse_args()
    if given.events < 1 or given.first < 0:
        parser.error("--events must be 1 or more, --first 0 or more")
    began_s = time.monotonic()
    every = max(20 * BATCH, given.events // 50 // BATCH * BATCH)

    def on_progress(tried: int) -> None:
        if tried % every == 0:
            print(
                f"{tried:,} of {given.events:,} events, {time.monotonic() - began_s:.0f} s", file=sys.stderr, flush=True
            )

    print(f"seed {given.seed}, events {given.first:,} to {given.first + given.events - 1:,}")
    peak_before = _peak_mib()
    try:
        subject = SUBJECTS[given.subject]
        numbers = range(given.first, given.first + given.events)
        figures = run(subject.scoring(), given.seed, numbers, on_progress, subject.mutant)
    except Violated as violated:
        _report(violated, given.subject, given.seed)
        return 1
    _print(figures, time.monotonic() - began_s, peak_before)
    return 0


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 if sys.platform != "darwin" else 1024) / 1024


def _report(violated: Violated, subject: str, seed: int) -> None:
    record = SUBJECTS[subject].mutant(seed, violated.number)
    folder = Path("build") / "fuzz"
    folder.mkdir(parents=True, exist_ok=True)
    saved = folder / f"{subject}-{seed}-{violated.number}.bin"
    saved.write_bytes(record.value or b"")
    print(
        f"VIOLATED by event {violated.number}: {violated}\n"
        f"its value ({len(record.value or b'')} bytes; null: {record.value is None}) is in {saved}, its key is "
        f"{record.key!r}, it has {len(record.headers)} headers\n"
        f"repeat: python -m tests.fuzz --subject {subject} --seed {seed} "
        f"--first {violated.number // BATCH * BATCH} --events {BATCH}",
        file=sys.stderr,
    )


def _print(figures: Figures, took_s: float, peak_before: float) -> None:
    print(f"tried          {figures.tried:>12,}   in {took_s:.0f} s, each alone and in batches of {BATCH}")
    print(f"assigned       {figures.assigned:>12,}")
    print(f"erased         {figures.erased:>12,}")
    for reason, count in figures.reasons.most_common():
        print(f"rejected       {count:>12,}   {reason}")
    print(f"median cost    {figures.median_us:>12,.1f} µs   processor time of one event alone")
    print(f"  of assigned  {figures.median_assigned_us:>12,.1f} µs   the same, of those that were assigned")
    print(f"  in a batch   {figures.in_batch_us:>12,.1f} µs   of one in a batch of {BATCH}, the median over batches")
    print(f"worst cost     {figures.worst_us:>12,.1f} µs   event {figures.worst_number}, alone")
    print(f"ratio          {figures.ratio:>12,.1f}      worst to median, both alone")
    print(f"objects before {figures.blocks_before:>12,}   held by Python after the first tenth")
    print(f"objects after  {figures.blocks_after:>12,}   at the end")
    print(f"peak before    {peak_before:>12,.0f} MiB of memory")
    print(f"peak after     {_peak_mib():>12,.0f} MiB")


if __name__ == "__main__":
    sys.exit(main())
