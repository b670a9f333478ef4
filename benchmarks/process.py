"""What a running process has used so far."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def cpu_s(pid: int) -> float:
    """Seconds of CPU time, in user and in system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> Mapping[str, float]:
    """VmRSS and VmHWM of a process: its current and peak memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}
