"""The systemd unit: valid, and in agreement with the worker that it starts."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from worker.errors import ExitStatus
from worker.lifecycle import DRAIN_S, LAST_RESORT_S
from worker.settings import Flag, Settings
from worker.settings_loading import read_settings

UNIT = Path(__file__).parents[3] / "deploy/systemd/segment-worker@.service"
TEXT = UNIT.read_text(encoding="utf-8")
VALUES = dict(re.findall(r"^(\w+)=(.*)$", TEXT, re.MULTILINE))
FIELDS = {
    flag.name: name for name, info in Settings.model_fields.items() for flag in info.metadata if type(flag) is Flag
}


def settings(instance: str) -> Settings:
    """What the command line of an instance says on a host named a.example.org."""
    command = VALUES["ExecStart"].replace("%H", "a.example.org").replace("%i", instance)
    _, run, *given = shlex.split(command)
    assert run == "run"
    found, wrong = read_settings({FIELDS[flag]: value for flag, value in zip(given[::2], given[1::2], strict=True)})
    assert wrong is None
    return found


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    # It looks for the program, too.
    unit.write_text(TEXT.replace(shlex.split(VALUES["ExecStart"])[0], sys.executable), encoding="utf-8")
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_each_worker_of_a_machine_has_its_own_id_and_port() -> None:
    one, other = settings("8081"), settings("8082")
    assert (one.worker_instance_id, one.worker_http_port) == ("a.example.org-8081", 8081)
    assert (other.worker_instance_id, other.worker_http_port) == ("a.example.org-8082", 8082)


def test_it_is_restarted_where_that_helps_and_stays_stopped_where_a_human_must_act() -> None:
    assert VALUES["Restart"] == "on-failure"
    stays_stopped = {int(status) for status in VALUES["RestartPreventExitStatus"].split()}
    assert stays_stopped == {ExitStatus.ACT_FIRST, ExitStatus.REJECT_LIMIT}
    assert VALUES["StartLimitIntervalSec"] == "0"
    assert settings("8081").worker_hold_on_stop is False


def test_it_has_time_to_drain_and_is_back_within_the_session_timeout() -> None:
    assert float(VALUES["TimeoutStopSec"]) > DRAIN_S + LAST_RESORT_S
    assert float(VALUES["RestartSec"]) * 1000 < settings("8081").worker_session_timeout_ms / 2


def test_it_has_no_rights() -> None:
    assert "User" in VALUES
    assert (VALUES["CapabilityBoundingSet"], VALUES["NoNewPrivileges"], VALUES["ProtectSystem"]) == (
        "",
        "true",
        "strict",
    )
