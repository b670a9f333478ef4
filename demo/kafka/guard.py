"""Runs one command that must not outlive the process that asked for it. A script: guard.py DESCRIPTOR COMMAND…

The asker holds the other end of standard input and never writes: its end, however sudden, is the end of that pipe.
Then the command is asked to stop, and killed if it takes too long. Should this guard itself be killed, Linux kills the
command. The guard forwards signals to the command; the exit status is the command's (128 + n after signal n).
To DESCRIPTOR goes the command's process id; guard and command keep it open, so that the asker sees when both are
really gone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading

_GRACE_S = 10
_PR_SET_PDEATHSIG = 1


def _die_with_the_guard(guard_pid: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard_pid:  # the guard went away before the line above took effect
            os._exit(1)


def _stop_at_end_of_input(command: subprocess.Popen[bytes]) -> None:
    os.read(0, 1)
    command.terminate()
    try:
        command.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        command.kill()


def main(descriptor: int, arguments: list[str]) -> int:
    """Run the command until it ends, or until the process that asked for it is gone."""
    guard_pid = os.getpid()
    # Linux binds the signal that ends the command to the thread that started it: this is the one that stays.
    command = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        preexec_fn=lambda: _die_with_the_guard(guard_pid),  # noqa: PLW1509 - no thread has been started yet
    )
    os.write(descriptor, f"{command.pid}\n".encode())
    for forwarded in (signal.SIGTERM, signal.SIGINT):
        signal.signal(forwarded, lambda number, _frame: command.send_signal(number))
    threading.Thread(target=_stop_at_end_of_input, args=(command,), daemon=True).start()
    status = command.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
