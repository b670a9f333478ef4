"""The environment of a benchmark's worker, and the model that it serves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def worker_environment(bootstrap_servers: str, scratch: Path) -> dict[str, str]:
    """The variables of a worker that serves the model of `write_model`; none of the caller's settings reaches it."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {
        **inherited,
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "MODELS_DIR": str(scratch / "models"),
        "WORKER_HTTP_PORT": "0",
        "WORKER_LOG_LEVEL": "warning",
    }


def write_model(scratch: Path, environment: Mapping[str, str]) -> None:
    """Fit the demo's users and put the model into production."""
    history = str(scratch / "history.csv")
    run("demo", "history", history, environment=environment)
    run("trainer", "fit", history, "--promote", environment=environment)


def run(module: str, *arguments: str, environment: Mapping[str, str]) -> None:
    """Run one of the project's commands to its end; raises CalledProcessError."""
    subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=dict(environment),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
