"""`python -m tests.chaos SEED…`: one run for each seed, a table, and exit status 1 on any violation."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.chaos.plan import directed_plan, random_plan
from tests.chaos.run import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("seeds", nargs="*", type=int)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--mutation")
    a = parser.parse_args()
    for seed in a.seeds:
        d = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
        plan = random_plan(seed) if seed else directed_plan()
        print(seed, d, flush=True)
        r = run(plan, seed, a.events, d, lambda line: print(line, flush=True), a.mutation)
        print(
            r.verdict.inputs,
            r.verdict.missing,
            r.verdict.doubled,
            r.verdict.out_of_order,
            r.connections,
            round(r.length_s),
            dict(r.injected),
        )
        print(*r.verdict.lines(), sep="\n", flush=True)
    return 0


sys.exit(main())
