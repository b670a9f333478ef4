"""What the broker's keeper does when the program that it keeps ends; with programs that are quicker than Kafka."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.errors import BrokerEndedError, BrokerStartError
from demo.kafka import broker as broker_module
from demo.kafka.broker import Broker
from demo.kafka.java import Java
from demo.kafka.processes import GuardedProcess
from tests.support.transport_contract import PATIENCE_S

PORTS = {"PLAINTEXT": 20_001, "CONTROLLER": 20_002}


@dataclass(frozen=True, slots=True)
class Script(Java):
    """Runs Python code in place of any Java program."""

    code: str = ""

    def start(self, program: Sequence[str], options: Sequence[str], *, output: Path) -> GuardedProcess:  # noqa: ARG002
        return GuardedProcess([sys.executable, "-c", self.code], environment={}, output=output)


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every broker seems to answer."""
    monkeypatch.setattr(broker_module, "answers", lambda _servers: True)


def broker(directory: Path, code: str) -> Broker:
    (directory / "data").mkdir(exist_ok=True)
    (directory / "data" / "meta.properties").touch()  # as if formatted
    return Broker(directory, Script((), (), code), config={}, ports=PORTS, protocols=dict.fromkeys(PORTS, "PLAINTEXT"))


def test_a_broker_that_ends_at_its_start_shows_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(BrokerStartError, match="the disk is full") as raised:
        broker(tmp_path, "print('the disk is full')").start()

    assert str(tmp_path) in str(raised.value)


def test_a_data_directory_that_cannot_be_formatted_shows_why(tmp_path: Path) -> None:
    with pytest.raises(BrokerStartError, match=r"formatted.*\n.*not today"):
        broker(tmp_path, "print('not today'); raise SystemExit(1)").format()


@pytest.mark.usefixtures("answering")
def test_a_broker_that_ends_by_itself_later_is_noticed(tmp_path: Path) -> None:
    kept = broker(tmp_path, "print('out of memory')")
    kept.start()

    deadline = time.monotonic() + PATIENCE_S
    while not _noticed(kept) and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(BrokerEndedError, match="out of memory"):
        kept.check()
    kept.stop()


def _noticed(kept: Broker) -> bool:
    try:
        kept.check()
    except BrokerEndedError:
        return True
    return False


@pytest.mark.usefixtures("answering")
def test_a_broker_that_is_stopped_or_killed_may_be_so_again(tmp_path: Path) -> None:
    kept = broker(tmp_path, "import time; time.sleep(3600)")
    kept.stop()
    for end in (kept.stop, kept.kill):
        kept.start()
        end()
        end()
        kept.check()


@pytest.mark.usefixtures("answering")
def test_settings_of_the_callers_own_are_laid_over_the_usual_ones(tmp_path: Path) -> None:
    kept = Broker(
        tmp_path,
        Script((), ()),
        config={"auto.create.topics.enable": "true", "log.retention.ms": "5"},
        ports={**PORTS, "LOGIN": 20_003},
        protocols={**dict.fromkeys(PORTS, "PLAINTEXT"), "LOGIN": "SASL_PLAINTEXT"},
    )
    kept.format()

    settings = dict(line.split("=", 1) for line in (tmp_path / "server.properties").read_text().splitlines())
    assert settings["auto.create.topics.enable"] == "true"
    assert settings["log.retention.ms"] == "5"
    assert settings["offsets.topic.replication.factor"] == "1"
    listeners = settings["listeners"].split(",")
    assert "LOGIN://127.0.0.1:20003" in listeners
    assert all("://127.0.0.1:" in listener for listener in listeners), "nothing that another machine reaches"
    assert kept.addresses["LOGIN"] == "127.0.0.1:20003"
    assert "CONTROLLER" not in kept.addresses
