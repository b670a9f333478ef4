"""What could wait without end has an end. Each case is a process of its own, because the deadline ends processes."""

import subprocess
import sys
import time

PROGRAM = """
import sys, threading, time
from worker.deadline import Deadline

class Blocked:
    def write(self, text): time.sleep(3600)
    def flush(self): pass

stop = threading.Event()
def a_wait_without_end(): threading.Event().wait()
with Deadline(stop, drain_s={drain_s}) as deadline:
{body}
"""


def ended(body: str, drain_s: float = 5.0) -> tuple[int, str, float]:
    """Exit status, stdout and stderr, and seconds of a process that runs these lines under a deadline."""
    program = PROGRAM.format(body="\n".join("    " + line for line in body.splitlines()), drain_s=drain_s)
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr, time.monotonic() - begun


def test_a_step_past_its_time_ends_the_process_with_one_line_and_the_stacks() -> None:
    status, output, _ = ended("with deadline.within(0.3, 'committing a batch'): a_wait_without_end()")
    assert status == 1
    assert "deadline_passed" in output
    assert "committing a batch" in output
    assert "a_wait_without_end" in output


def test_a_step_in_time_ends_nothing() -> None:
    body = "for _ in range(3):\n    with deadline.within(0.5, 'a step'): time.sleep(0.3)\nprint('through')"
    status, output, _ = ended(body)
    assert (status, output) == (0, "through\n")


def test_a_step_that_fails_in_time_ends_nothing() -> None:
    body = "try:\n    with deadline.within(0.1, 'a step'): raise ValueError\nexcept ValueError: time.sleep(0.6)"
    assert ended(body)[:2] == (0, "")


def test_a_stop_that_is_not_followed_ends_the_process_without_stacks() -> None:
    body = "stop.set()\nwith deadline.within(60, 'committing a batch'): a_wait_without_end()"
    status, output, seconds = ended(body, drain_s=0.5)
    assert status == 1
    assert "not_drained" in output
    assert "a_wait_without_end" not in output
    assert seconds < 5


def test_a_stop_that_is_followed_in_time_ends_nothing() -> None:
    assert ended("stop.set()\ntime.sleep(0.3)", drain_s=1.0)[0] == 0


def test_a_log_that_nobody_reads_does_not_keep_the_process() -> None:
    body = (
        "import structlog\n"
        "structlog.configure(logger_factory=structlog.PrintLoggerFactory(Blocked()))\n"
        "with deadline.within(0.1, 'a step'): a_wait_without_end()"
    )
    status, _, seconds = ended(body)
    assert status == 1
    assert seconds < 10
