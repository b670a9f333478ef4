"""Child processes that end when this one does, even if it is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_LINES_SHOWN = 15
_GUARD = Path(__file__).with_name("guard.py")


class GuardedProcess:
    """A running command that is stopped at the latest when this process is gone, even by SIGKILL.

    It has a session of its own, so that Ctrl-C in a terminal reaches this process only, which then stops the command.
    """

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], output: Path, directory: Path | None = None
    ) -> None:
        """Start the command with exactly this environment; append its standard output and error to `output`.

        Raises FileNotFoundError when the command does not exist.
        """
        self.output = output
        self._gone, kept_open = os.pipe()
        try:
            with output.open("ab") as log:
                self._guard = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_GUARD), str(kept_open), *command],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=dict(environment),
                    cwd=directory,
                    pass_fds=(kept_open,),
                    start_new_session=True,
                )
        finally:
            os.close(kept_open)
        pid = os.read(self._gone, 20)
        if not pid:
            self._close()
            raise FileNotFoundError(f"{command[0]} cannot be started; see {output}")
        self.pid = int(pid)

    def poll(self) -> int | None:
        """The exit status, or None while the command runs."""
        return self._guard.poll()

    def wait(self, timeout_s: float) -> int:
        """The exit status, waited for. Raises TimeoutError."""
        try:
            return self._guard.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"process {self.pid} still runs after {timeout_s} s") from None

    def run_to_end(self, timeout_s: float) -> int:
        """The exit status of a command that ends by itself; it is killed after the timeout, and on an interrupt."""
        try:
            self.wait(timeout_s)
        except TimeoutError:
            self.kill()
        except BaseException:
            self.kill()
            raise
        return self._close()

    def terminate(self) -> None:
        """Ask the command to stop; no wait."""
        if self.poll() is None:
            self._guard.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the command at once, without giving it a chance to do anything; return when it is gone."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._close()  # the guard ends when the system has taken the command away with all that it held

    def stop(self, grace_s: float) -> int:
        """Ask the command to stop, kill it after the grace time, and return its exit status."""
        self.terminate()
        return self.run_to_end(grace_s)

    def _close(self) -> int:
        if self._guard.stdin is not None and not self._guard.stdin.closed:
            self._guard.stdin.close()
            os.read(self._gone, 1)  # returns at the end of the pipe: when no process has the other end open any more
            os.close(self._gone)
        return self._guard.wait()


def last_lines(*files: Path) -> str:
    """The end of some logs for an error message: their paths, then the last lines, each on a line of its own."""
    lines = [
        line
        for file in files
        if file.is_file()
        for line in file.read_text(errors="replace").splitlines()[-_LINES_SHOWN:]
    ]
    return "\n    ".join([f"its last lines ({', '.join(map(str, files))}):", *(lines or ["none"])])
