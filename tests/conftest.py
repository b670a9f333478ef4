"""Tests take no setting of whoever runs them, so that nobody tests against production by accident, or of each other."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings


def pytest_configure() -> None:
    """Before any test module is imported, since some make their settings there."""
    # What an example takes says how busy the machine is, and nothing about what is promised.
    settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")
    # A shell starts what it puts into the background with Ctrl-C ignored, and every child would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith(("KAFKA_", "WORKER_", "MODEL", "PROFILE_CLASS"))]:
        del os.environ[name]


@pytest.fixture(autouse=True, scope="session")
def _without_dot_env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run every test in an empty folder: `.env` is read where a program is started."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("without-dot-env"))
    yield
    os.chdir(before)


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """What a command that runs in this process makes of the logs ends with its test."""
    kafka = logging.getLogger("kafka")
    before = kafka.handlers, kafka.level, kafka.propagate
    yield
    kafka.handlers, kafka.level, kafka.propagate = before
    structlog.reset_defaults()
