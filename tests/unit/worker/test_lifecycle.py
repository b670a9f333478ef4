"""What could wait without end has an end. Each case is a process of its own, because the deadline ends processes."""

import subprocess
import sys

from tests.support.transport_contract import PATIENCE_S

PROGRAM = """
import sys, threading, time
from worker import lifecycle as module
from worker.lifecycle import Deadline

class Clock:
    # Stands still but for pass_time, so that no stall of this machine is taken for a step that lasts.
    now_s, looks = 0.0, 0
    def monotonic(self):
        self.looks += threading.current_thread().name == "deadline"
        return self.now_s

def pass_time(seconds):
    clock = module.time
    clock.now_s += seconds
    seen = clock.looks
    while clock.looks < seen + 2: time.sleep(0.01)

class Blocked:
    def write(self, text): time.sleep(3600)
    def flush(self): pass

stop = threading.Event()
def a_wait_without_end(): threading.Event().wait()
{clock}
with Deadline(stop, drain_s={drain_s}) as deadline:
{body}
"""


def ended(body: str, drain_s: float = 5.0, clock: str = "") -> tuple[int, str]:
    """Exit status, and stdout and stderr, of a process that runs these lines under a deadline."""
    lines = "\n".join("    " + line for line in body.splitlines())
    program = PROGRAM.format(body=lines, drain_s=drain_s, clock=clock)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return done.returncode, done.stdout + done.stderr


STANDS_STILL = "module.time = Clock()"


def test_a_step_past_its_time_ends_the_process_with_one_line_and_the_stacks() -> None:
    status, output = ended("with deadline.within(0.3, 'committing a batch'): a_wait_without_end()")
    assert status == 1
    assert "deadline_exceeded" in output
    assert "committing a batch" in output
    assert "a_wait_without_end" in output


def test_a_step_in_time_ends_nothing() -> None:
    body = "for _ in range(3):\n    with deadline.within(0.5, 'a step'): pass_time(0.3)\nprint('through')"
    assert ended(body, clock=STANDS_STILL) == (0, "through\n")


def test_a_step_that_fails_in_time_ends_nothing() -> None:
    body = "try:\n    with deadline.within(0.1, 'a step'): raise ValueError\nexcept ValueError: pass_time(0.6)"
    assert ended(body, clock=STANDS_STILL) == (0, "")


def test_a_stop_that_is_not_followed_ends_the_process_without_stacks() -> None:
    body = "stop.set()\nwith deadline.within(3600, 'committing a batch'): a_wait_without_end()"
    status, output = ended(body, drain_s=0.5)
    assert status == 1
    assert "not_drained" in output
    assert "a_wait_without_end" not in output


def test_a_stop_that_is_followed_in_time_ends_nothing() -> None:
    assert ended("stop.set()\npass_time(0.0)\npass_time(0.9)", drain_s=1.0, clock=STANDS_STILL) == (0, "")


def test_a_log_that_nobody_reads_does_not_keep_the_process() -> None:
    body = (
        "import structlog\n"
        "structlog.configure(logger_factory=structlog.PrintLoggerFactory(Blocked()))\n"
        "with deadline.within(0.1, 'a step'): a_wait_without_end()"
    )
    assert ended(body)[0] == 1
