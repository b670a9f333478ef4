"""What `python -m tests.chaos` prints, and how it ends."""

import tempfile
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos import __main__ as command
from tests.chaos.judgement import CRASH, Verdict, Violation
from tests.chaos.plan import Kind, Plan, random_plan
from tests.chaos.run import Result


def result(*violations: tuple[str, str], mutants: int = 0) -> Result:
    verdict = Verdict(100, 7, 0, 0, 0, 2.5, tuple(Violation(*each) for each in violations))
    return Result(verdict, Counter({Kind.KILL: 3}), 9, mutants, 12.0)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Result]:
    """What the next runs come to, in this order."""
    results: list[Result] = []

    def run(_plan: Plan, _seed: int, _events: int, directory: Path, *_: object, **__: object) -> Result:
        assert directory.is_dir()
        return results.pop(0)

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return results


def test_runs_that_keep_every_promise_end_in_a_table_and_with_status_0(
    runs: list[Result], capsys: pytest.CaptureFixture[str]
) -> None:
    runs += [result(), result()]
    assert command.main(["7", "8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"seed 7: 100000 events, {len(random_plan(7).faults)} faults"
    assert [line.split(" | ")[:8] for line in lines[-3:-1]] == [
        [f"| {seed}", "100", "7", "0", "0", "0", "2.5", "0"] for seed in (7, 8)
    ]
    assert lines[-1] == "every promise was kept"


def test_a_violation_is_printed_with_the_path_of_the_logs_and_how_to_repeat_it(
    runs: list[Result], capsys: pytest.CaptureFixture[str]
) -> None:
    runs += [result(), result(("duplicates", "input 0/3 has 2 outcomes"))]
    assert command.main(["--events", "50", "7", "8"]) == 1
    out = capsys.readouterr().out
    assert "duplicates: 1\n      input 0/3 has 2 outcomes\n" in out
    (kept,) = (line.rpartition(" ")[2] for line in out.splitlines() if "logs of broker and workers:" in line)
    assert (Path(kept) / "violations.txt").read_text() == "duplicates: 1\n    input 0/3 has 2 outcomes\n"
    assert "again: python -m tests.chaos 8 --events 50\n" in out
    assert out.endswith("failed: 8\n")


def test_a_run_is_repeated_with_the_same_client(runs: list[Result], capsys: pytest.CaptureFixture[str]) -> None:
    runs += [result(("duplicates", "input 0/3 has 2 outcomes"))]
    assert command.main(["--client", "confluent", "7"]) == 1
    assert "again: python -m tests.chaos 7 --events 100000 --client confluent\n" in capsys.readouterr().out


def test_a_run_is_repeated_with_the_same_format(runs: list[Result], capsys: pytest.CaptureFixture[str]) -> None:
    runs += [result(("duplicates", "input 0/3 has 2 outcomes"))]
    assert command.main(["--format", "json", "7"]) == 1
    assert "again: python -m tests.chaos 7 --events 100000 --format json\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("came_to", "status"),
    [
        pytest.param(result(("duplicates", "input 0/3"), mutants=1), 0, id="damage"),
        pytest.param(result(mutants=1), 1, id="no damage"),
        pytest.param(result(("recovery", "slow"), mutants=1), 1, id="something that is no damage"),
        pytest.param(result(("duplicates", "input 0/3")), 1, id="damage that the mutation did not do"),
        pytest.param(result(("missing", "input 0/3"), (CRASH, "worker-0.log"), mutants=1), 1, id="a crash"),
    ],
)
def test_a_mutant_is_found_out_by_damage_that_it_did(runs: list[Result], came_to: Result, status: int) -> None:
    runs.append(came_to)
    assert command.main(["--mutant", "bare_group_id"]) == status
