"""What every integration test may ask for: a broker of its own kind, an environment of nobody's, programs that end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from demo.kafka.broker import Broker, running_broker
from tests.support.brokers import ROOT, Programs, TestBroker, chosen_broker, wait_until
from worker.kafka import patches

# Settings of the programs, and what would reach into the Java machine of a broker.
_PREFIXES = ("KAFKA_", "WORKER_", "MODEL", "PROFILE_CLASS", "JAVA_", "_JAVA_", "JDK_JAVA_", "CLASSPATH")


@pytest.fixture(scope="session")
def broker() -> Iterator[TestBroker]:
    """The broker that TEST_BROKER names, the same for all tests: `embedded` (default), `container` or `host:port`."""
    with chosen_broker(os.environ.get("TEST_BROKER") or "embedded") as chosen:
        wait_until(chosen.knows_a_coordinator, "the topic of committed offsets, which the first group makes")
        yield chosen


@pytest.fixture(scope="session", autouse=True)
def _patched_client() -> None:
    """The client as the worker's commands patch it, for transports that a test opens in this process."""
    patches.apply(event_max_bytes=900_000)


@pytest.fixture
def client() -> str:
    """KAFKA_CLIENT of the worker; `both_clients` marks a test that runs with each."""
    return "kafka-python"


@pytest.fixture
def embedded_broker() -> Iterator[Broker]:
    """An embedded broker of this test's own, to be stopped, killed and started again."""
    with running_broker(announce=print) as own:
        yield own


@pytest.fixture
def broker_with() -> Callable[..., AbstractContextManager[Broker]]:
    """`with broker_with(config=…, listeners=…) as broker:` an embedded broker with other settings than the usual."""

    @contextmanager
    def started(
        config: Mapping[str, str] | None = None, listeners: Mapping[str, str] | None = None
    ) -> Iterator[Broker]:
        with running_broker(config=config, listeners=listeners, announce=print) as own:
            yield own

    return started


@pytest.fixture(autouse=True)
def nobodys_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` and no setting of a developer's shell reaches a test: nobody tests against production by accident."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(_PREFIXES):
            monkeypatch.delenv(name)


@pytest.fixture
def clean_environment() -> Mapping[str, str]:
    """Environment variables for a program that a test starts: only what Python and the system need."""
    kept = ("PATH", "HOME", "TMPDIR", "LANG", "XDG_CACHE_HOME", "SSL_CERT_FILE", "COVERAGE_PROCESS_START")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": str(ROOT),  # the directory is another one, where no .env lies
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture
def programs(tmp_path: Path, clean_environment: Mapping[str, str]) -> Iterator[Programs]:
    """Starts `python -m …`, each in the test's own directory, with a clean environment; ends them with the test."""
    started = Programs(tmp_path, clean_environment)
    yield started
    started.end_all()
