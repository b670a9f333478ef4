"""What is left of a command that is broken off.

A disk that fills up is played by a limit on the size of files: writing past it fails as a full disk does.
"""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from models.store import ModelStore
from tests.support.histories import planted, write

CHECKOUT = Path(__file__).parents[3]

# The limit is set in the process itself, after its imports, so that none of theirs meets it.
LIMITED = """
import resource, sys
import trainer.commands.fit, trainer.report.page
from trainer.__main__ import main
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
raise SystemExit(main(sys.argv[2:]))
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    write(tmp_path / "history.csv", planted(3_000))
    (tmp_path / "scratch").mkdir()
    return tmp_path


def run(here: Path, limit_bytes: int, *words: str) -> tuple[int, str]:
    """Exit status and errors of a command no file of which may be longer than that."""
    found = subprocess.run(
        [sys.executable, "-c", LIMITED, str(limit_bytes), *words],
        cwd=here,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT), "TMPDIR": str(here / "scratch")},
        capture_output=True,
        text=True,
        check=False,
    )
    return found.returncode, found.stderr


def last_line(errors: str) -> str:
    assert "Traceback" not in errors
    return errors.splitlines()[-1]


@pytest.mark.parametrize("command", [("fit", "history.csv", "--k", "3"), ("fit", "history.csv", "--skip-bad-rows")])
def test_a_disk_that_fills_up_under_the_checked_copy_is_named_and_nothing_is_left(
    here: Path, command: Sequence[str]
) -> None:
    status, errors = run(here, 30_000, *command)
    assert status == 2
    for part in (f"{here / 'scratch'} (File too large)", "TMPDIR"):
        assert part in last_line(errors)
    assert [*(here / "scratch").iterdir()] == []
    assert not (here / "model-store").exists()


def test_a_disk_that_fills_up_while_a_version_is_published_leaves_none(here: Path) -> None:
    status, errors = run(here, 220_000, "fit", "history.csv", "--k", "3", "--columns", "related")
    assert status == 2
    line = last_line(errors)
    assert line.startswith("segment-trainer: the new version cannot be written below model-store (File too large): ")
    assert line.endswith("nothing was published; make room, or give another --models")
    assert ModelStore(here / "model-store").versions() == ()
    assert [path.name for path in (here / "model-store" / "versions").iterdir()] == []
    assert [*(here / "scratch").iterdir()] == []


def test_a_disk_that_fills_up_under_the_assigned_users_leaves_the_old_file(here: Path) -> None:
    assert run(here, resource.RLIM_INFINITY, "fit", "history.csv", "--k", "3", "--promote")[0] == 0
    (here / "out.csv").write_text("old", encoding="utf-8")
    before = sorted(path.name for path in here.iterdir())
    status, errors = run(here, 220_000, "assign", "history.csv", "-o", "out.csv")
    assert status == 2
    assert "out.csv cannot be written (File too large)" in last_line(errors)
    assert (here / "out.csv").read_text(encoding="utf-8") == "old"
    assert sorted(path.name for path in here.iterdir()) == before


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_fit_that_is_ended_while_it_reads(here: Path, sent: signal.Signals) -> None:
    header, *rows = (here / "history.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (here / "long.csv").write_text(header + "".join(rows) * 40, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "trainer", "fit", "long.csv"],
        cwd=here,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT), "TMPDIR": str(here / "scratch")},
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "reading long.csv …\n"
        running.send_signal(sent)
        assert "Traceback" not in running.stderr.read()
    assert running.returncode == (130 if sent is signal.SIGINT else -sent)
    assert [*(here / "scratch").iterdir()] == []
    assert not (here / "model-store").exists()
