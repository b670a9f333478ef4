"""Tests take no setting of whoever runs them, so that nobody tests against production by accident."""

from __future__ import annotations

import os
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Before any test module is imported, since some make their settings there: no variable, and no `.env`."""
    for name in [name for name in os.environ if name.startswith(("KAFKA_", "WORKER_", "MODEL", "PROFILE_CLASS"))]:
        del os.environ[name]
    nowhere = tempfile.TemporaryDirectory(prefix="tests-without-dot-env-")
    os.chdir(nowhere.name)
    config.add_cleanup(nowhere.cleanup)
    config.add_cleanup(lambda: os.chdir(config.invocation_params.dir))
