from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.kafka.processes import GuardedProcess, last_lines
from tests.support.transport_contract import PATIENCE_S

ENVIRONMENT = {"PATH": os.environ["PATH"]}
ROOT = Path(__file__).parents[4]
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(3600)"
)

Start = Callable[..., GuardedProcess]


@pytest.fixture
def python(tmp_path: Path) -> Iterator[Start]:
    """Starts Python code as a guarded process, ended with the test."""
    started: list[GuardedProcess] = []

    def start(code: str) -> GuardedProcess:
        command = [sys.executable, "-I", "-S", "-c", code]
        started.append(GuardedProcess(command, environment=ENVIRONMENT, output=tmp_path / "output"))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_command_that_ends_gives_its_status_and_its_output(python: Start) -> None:
    process = python("import sys; print('out'); print('error', file=sys.stderr); sys.exit(3)")

    assert process.run_to_end(PATIENCE_S) == 3
    assert sorted(process.output.read_text().split()) == ["error", "out"]


def test_a_command_gets_exactly_the_given_environment(python: Start) -> None:
    process = python("import os; print(*os.environ.keys() - {'LC_CTYPE'})")  # Python's own addition

    assert process.run_to_end(PATIENCE_S) == 0
    assert process.output.read_text().split() == ["PATH"]


def test_a_command_that_is_asked_to_stop_may_end_in_good_order(python: Start) -> None:
    process = python(
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); "
        "print('ready', flush=True); signal.pause()"
    )
    wait_for(lambda: "ready" in process.output.read_text())

    assert process.poll() is None
    assert process.stop(PATIENCE_S) == 5


def test_a_command_that_will_not_stop_is_killed(python: Start) -> None:
    process = python(STUBBORN)
    wait_for(lambda: "ready" in process.output.read_text())

    assert process.stop(0.2) == 128 + signal.SIGKILL
    assert not alive(process.pid)


def test_a_killed_command_is_gone_when_kill_returns(python: Start) -> None:
    process = python(STUBBORN)
    wait_for(lambda: "ready" in process.output.read_text())

    process.kill()

    assert not alive(process.pid)


def test_a_command_ended_by_a_signal_has_its_status(python: Start) -> None:
    process = python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")

    assert process.run_to_end(PATIENCE_S) == 128 + signal.SIGSEGV


def test_a_command_that_does_not_exist_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        GuardedProcess(["no-such-program"], environment=ENVIRONMENT, output=tmp_path / "output")


def test_a_command_ends_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    asker = (
        "import sys, time; from pathlib import Path; from demo.kafka.processes import GuardedProcess\n"
        f"command = [sys.executable, '-c', 'import time; time.sleep(3600)']\n"
        f"process = GuardedProcess(command, environment={{}}, output=Path({str(tmp_path / 'output')!r}))\n"
        "print(process.pid, flush=True); time.sleep(3600)"
    )
    with subprocess.Popen([sys.executable, "-c", asker], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()

        wait_for(lambda: not alive(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not end the child of a killed parent")
def test_a_command_ends_with_its_guard(python: Start) -> None:
    process = python("import time; time.sleep(3600)")
    guard = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1])

    os.kill(guard, signal.SIGKILL)

    wait_for(lambda: not alive(process.pid))


def test_the_last_lines_of_a_log_come_with_its_path(tmp_path: Path) -> None:
    log = tmp_path / "some.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))

    shown = last_lines(tmp_path / "missing.log", log)

    assert str(log) in shown
    assert shown.endswith("line 99")
    assert "line 80" not in shown
