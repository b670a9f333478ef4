"""The runbook: all that a worker can say to an operator is in it, and all that it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from trainer.settings import TrainerSettings
from worker.errors import ExitStatus
from worker.operations.health import HealthWatch
from worker.settings import Settings

ROOT = Path(__file__).parents[3]
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
LOUD = {"warning", "error", "critical"}


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert found, f"the runbook has no section {title}"
    return found[1]


def first_column(text: str) -> set[str]:
    return {cell.strip().strip("`") for cell in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)}


def loud_events() -> set[str]:
    """Every event that the worker logs as a warning or more."""
    calls = [
        node
        for path in sorted((ROOT / "worker").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOUD
    ]
    events = {call.args[0].value for call in calls if call.args and isinstance(call.args[0], ast.Constant)}
    return {event for event in events if isinstance(event, str)}


def test_every_loud_event_of_the_log_is_explained_and_no_other_one() -> None:
    assert "batch_retried" in loud_events()
    assert first_column(section("Log")) - {"event", "---"} == loud_events()


def test_every_exit_status_is_explained() -> None:
    explained = {int(each) for cell in first_column(section("Exit status")) for each in re.findall(r"^\d+", cell)}
    assert {int(status) for status in ExitStatus} <= explained


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("stopping", [True, False])
def test_every_reason_that_the_probes_give_is_explained(joined: bool, stopping: bool) -> None:
    class Stop:
        def is_set(self) -> bool:
            return stopping

    health = HealthWatch(60, Stop(), lambda _: None)
    said = [health.ready().reason, health.live().reason]
    health.running(tuple, lambda: joined)
    said.append(health.ready().reason)
    health.not_ready("a problem that a human must fix")
    said.append(health.live().reason)
    assert [reason for reason in said if f"`{reason}`" not in section("/livez and /readyz")] == []


def test_every_setting_that_the_runbook_names_exists() -> None:
    settings = {name.upper() for each in (Settings, TrainerSettings) for name in each.model_fields}
    named = set(re.findall(r"\b(?:WORKER|KAFKA|MODELS?|PROFILE)_[A-Z_]+", RUNBOOK.replace("WORKER_REJECT_LIMIT_…", "")))
    assert named - settings == set()


def test_every_metric_that_the_runbook_names_is_in_the_catalogue() -> None:
    catalogue = (ROOT / "worker/operations/metrics.py").read_text()
    named = set(re.findall(r"\bsegment_worker_[a-z_]+", RUNBOOK))
    assert {name for name in named if f'"{name}"' not in catalogue} == set()


def test_every_command_that_the_runbook_names_exists() -> None:
    for program in ("worker", "trainer"):
        named = set(re.findall(rf"(?:^|`|\$ |-- )segment-{program} ([a-z]+)\b", RUNBOOK, re.MULTILINE))
        defined = (ROOT / program / "__main__.py").read_text()
        assert {name for name in named if f'"{name}"' not in defined} == set()
