"""How long a fit takes and how much memory it needs: `python -m benchmarks.size --rows 1000 1000000`.

Writes a history of synthetic users for each number of rows and runs `segment-trainer fit` on it, in its own process.
Memory is the peak resident set of that process and its children, shared pages counted in each, sampled ten times per
second. Histories and versions are in a temporary folder: 10,000,000 rows need 5 GB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from demo.history import write_history
from demo.population import Population

ROWS = (1_000, 10_000, 100_000, 1_000_000)
LOOK_EVERY_S = 0.1
MB = 1 << 20


def main() -> None:
    """Print one row per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, help="users (default: 1,000 … 1,000,000)")
    parser.add_argument("--fit", nargs=argparse.REMAINDER, default=[], help="further arguments of segment-trainer fit")
    arguments = parser.parse_args()
    print(f"{'rows':>12} {'file MB':>9} {'seconds':>9} {'µs/row':>9} {'tree MB':>9} {'largest MB':>11}")
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory(prefix="size-", dir=os.environ.get("TMPDIR", "/var/tmp")) as scratch:  # noqa: S108
            history = Path(scratch) / "history.csv"
            write_history(history, Population(users=rows))
            seconds, tree_bytes, largest_bytes = _fit(history, Path(scratch) / "models", arguments.fit)
            print(
                f"{rows:>12,} {history.stat().st_size / MB:>9.1f} {seconds:>9.1f} {seconds / rows * 1e6:>9.1f} "
                f"{tree_bytes / MB:>9.0f} {largest_bytes / MB:>11.0f}",
                flush=True,
            )


def _fit(history: Path, models: Path, flags: list[str]) -> tuple[float, int, int]:
    """Seconds, and the most bytes that all processes and the largest of them had resident."""
    started = time.perf_counter()
    tree_bytes = largest_bytes = 0
    with subprocess.Popen(
        [sys.executable, "-m", "trainer", "fit", str(history), "--models", str(models), *flags],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        while running.poll() is None:
            resident = [_resident_bytes(process) for process in _tree(running.pid)]
            tree_bytes = max(tree_bytes, sum(resident))
            largest_bytes = max(largest_bytes, *resident)
            time.sleep(LOOK_EVERY_S)
        errors = running.stderr.read() if running.stderr else ""
    assert running.returncode == 0, errors
    return time.perf_counter() - started, tree_bytes, largest_bytes


def _tree(process: int) -> Iterator[int]:
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found = children.read_text(encoding="ascii").split()
        except OSError:  # it has ended in the meantime
            continue
        for child in found:
            yield from _tree(int(child))


def _resident_bytes(process: int) -> int:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
