"""`python -m tests.chaos SEED…`: faults that follow from each seed; a table; exit status 1 on any violation.

First the suite shows that it can fail: workers that lack one precaution each have to be found out.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from demo.formats import SETTINGS
from tests.chaos.mutants import MUTATIONS
from tests.chaos.plan import Kind, Plan, directed_plan, random_plan
from tests.chaos.run import Result, run
from tests.support.kafka_world import CLIENTS

_SHOWN_MOST = 40
_DIRECTED_EVENTS = 3_000


class _How(NamedTuple):
    """What the workers of a run are like, and what they read."""

    client: str
    written_as: str

    @property
    def flags(self) -> str:
        """What repeats a run with them."""
        client = "" if self.client == CLIENTS[0] else f" --client {self.client}"
        return client + ("" if self.written_as == "cloudevents" else f" --format {self.written_as}")


def main(arguments: Sequence[str]) -> int:
    """All that was asked for, one run after another; 0 when every promise was kept and every mutant was found out."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "seeds", nargs="*", type=int, metavar="SEED", help="one run with the faults that follow from it"
    )
    parser.add_argument("--events", type=int, default=100_000, metavar="N", help="in each run (default: 100000)")
    parser.add_argument(
        "--directed", action="store_true", help="a run with the fixed list of faults, and the worker as it is"
    )
    parser.add_argument(
        "--mutant",
        action="append",
        default=[],
        choices=[*MUTATIONS],
        help="a run with the fixed list of faults that has to find out these workers; may be given several times",
    )
    parser.add_argument(
        "--client",
        choices=CLIENTS,
        default=CLIENTS[0],
        help="the Kafka client of all workers but mutants (default: %(default)s)",
    )
    parser.add_argument(
        "--format",
        choices=[*SETTINGS],
        default="cloudevents",
        help="of all events but those for mutants; json and avro have other events in between, which are ignored "
        "(default: %(default)s)",
    )
    given = parser.parse_args(arguments)
    how = _How(given.client, given.format)
    failed = [name for name in given.mutant if not _found_out(name)]
    rows: list[tuple[str, Result]] = []
    if given.directed:
        rows.append(
            (
                "fixed",
                _one("the fixed list of faults", "--directed", directed_plan(), 0, _DIRECTED_EVENTS, how),
            )
        )
    for seed in given.seeds:
        repeat = f"{seed} --events {given.events}"
        rows.append((str(seed), _one(f"seed {seed}", repeat, random_plan(seed), seed, given.events, how)))
    if rows:
        print("\n".join(_table(rows)), flush=True)
    failed += [name for name, result in rows if result.verdict.violations]
    print(f"failed: {', '.join(failed)}" if failed else "every promise was kept", flush=True)
    return 1 if failed else 0


def _found_out(mutation: str) -> bool:
    directory = Path(tempfile.mkdtemp(prefix=f"chaos-{mutation}-"))
    print(f"a worker with {mutation}, and the fixed list of faults", flush=True)
    result = run(directed_plan(), 0, _DIRECTED_EVENTS, directory, _say, mutation)
    kinds = sorted({kind for kind, _ in result.verdict.violations})
    if result.verdict.damaged and result.mutants:
        print(f"  found out in {result.length_s:.0f} s: {', '.join(kinds)}", flush=True)
        shutil.rmtree(directory)
        return True
    why = "no damage was seen" if result.mutants else "the mutation made no difference"
    print(f"  NOT found out, {why} ({', '.join(kinds) or 'no violation'}); logs: {directory}", flush=True)
    return False


def _one(name: str, repeat: str, plan: Plan, seed: int, events: int, how: _How) -> Result:
    directory = Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"{name}: {events} events, {len(plan.faults)} faults", flush=True)
    result = run(plan, seed, events, directory, _say, client=how.client, written_as=how.written_as)
    if not result.verdict.violations:
        shutil.rmtree(directory)
        print(f"  kept every promise, {result.length_s:.0f} s", flush=True)
        return result
    lines = [*result.verdict.lines()]
    for line in lines[:_SHOWN_MOST]:
        print(f"  {line}", flush=True)
    if len(lines) > _SHOWN_MOST:
        print(f"  … {len(lines) - _SHOWN_MOST} more lines", flush=True)
    violations = directory / "violations.txt"
    violations.write_text("\n".join(lines) + "\n")
    print(f"  all of them: {violations}\n  logs of broker and workers: {directory}", flush=True)
    print(f"  again: python -m tests.chaos {repeat}{how.flags}", flush=True)
    return result


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


_COLUMNS: tuple[tuple[str, Callable[[Result], object]], ...] = (
    ("inputs", lambda result: result.verdict.inputs),
    ("ignored", lambda result: result.verdict.ignored),
    ("missing", lambda result: result.verdict.missing),
    ("duplicates", lambda result: result.verdict.duplicates),
    ("out of order", lambda result: result.verdict.out_of_order),
    ("recovery s", lambda result: "–" if (s := result.verdict.recovery_s) is None else f"{s:.1f}"),
    ("violations", lambda result: len(result.verdict.violations)),
    ("faults", lambda result: result.injected.total()),
    *((kind, lambda result, kind=kind: result.injected[kind]) for kind in Kind),
)


def _table(rows: Sequence[tuple[str, Result]]) -> list[str]:
    """A line for each run, in Markdown, so that it can be shown as it is."""
    lines = [
        ["seed", *(name for name, _ in _COLUMNS)],
        ["---"] * (1 + len(_COLUMNS)),
        *([name, *(str(value(result)) for _, value in _COLUMNS)] for name, result in rows),
    ]
    return [f"| {' | '.join(line)} |" for line in lines]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
