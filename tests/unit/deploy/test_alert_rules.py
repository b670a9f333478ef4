"""The alert rules: what they name exists, each of them can fire and can keep silent, and the runbook knows it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from worker.operations.metrics import Metrics
from worker.stream.ports import PartitionProgress
from worker.stream.records import Batch, Membership, Outcome, Record, Records

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy/prometheus"
RULES = FOLDER / "segment-worker.rules.yml"
RULE_TESTS = FOLDER / "segment-worker.test.yml"
RUNBOOK = "docs/runbook.md"
# What Prometheus adds to every series that it scrapes.
SCRAPED = {"job", "instance"}


def alerts(rules: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(rules)["groups"] for rule in group["rules"]]


ALERTS = alerts(RULES.read_text())
NAMES = [rule["alert"] for rule in ALERTS]


def catalogue() -> dict[str, set[str]]:
    """The labels of every metric that a worker which does something exposes."""
    metrics = Metrics()
    metrics.model_loaded("v", "d", segments=[0], fields=["age"], missing={"age": 0.1})
    record = Record("in", 0, 0, 1_000, b"key", b"value")
    metrics.batch_committed(
        Batch(Records.of([record]), {}, Membership("g", "m", 1, None)), Outcome(), process_s=0, commit_s=0
    )
    metrics.progressed([PartitionProgress("in", 0, 0, 1)])
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.expose(live=True, ready=True).decode()):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


def unknown_words(rule: dict[str, Any], known: dict[str, set[str]]) -> set[str]:
    """The metrics and labels that an alert names and no worker exposes."""
    expression = rule["expr"]
    names = set(re.findall(r"\bsegment_worker_\w+", expression))
    grouped = re.findall(r"\b(?:by|on|without|ignoring|group_left|group_right) \(([^)]*)\)", expression)
    matched = re.findall(r"\{([^}]*)\}", expression)
    labels = {label.strip() for group in grouped for label in group.split(",") if label.strip()}
    labels |= {label for group in matched for label in re.findall(r"(\w+)\s*[=!]", group)}
    labels |= set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    allowed = SCRAPED.union(*(known[name] for name in names & known.keys()))
    return (names - known.keys()) | (labels - allowed)


def promtool() -> str:
    found = shutil.which("promtool", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found is None:
        pytest.skip("no promtool here: run `make promtool`")
    return found


def checked(*arguments: str | Path) -> str:
    done = subprocess.run([promtool(), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("rule", ALERTS, ids=NAMES)
def test_an_alert_names_only_metrics_and_labels_that_a_worker_exposes(rule: dict[str, Any]) -> None:
    assert unknown_words(rule, catalogue()) == set()
    assert "segment_worker_" in rule["expr"]


@pytest.mark.parametrize(
    ("expression", "summary", "wrong"),
    [
        ("segment_worker_lagevents > 0", "", {"segment_worker_lagevents"}),
        ("sum by (job, partion) (segment_worker_lag_events)", "", {"partion"}),
        ('segment_worker_events_total{result="assigned"}', "", {"result"}),
        ("segment_worker_live and on (pod) segment_worker_ready", "", {"pod"}),
        ("segment_worker_live == 0", "{{ $labels.topic }}", {"topic"}),
    ],
)
def test_a_name_that_no_worker_exposes_is_found(expression: str, summary: str, wrong: set[str]) -> None:
    assert unknown_words({"expr": expression, "annotations": {"summary": summary}}, catalogue()) == wrong


def test_every_label_of_a_partition_is_in_the_catalogue_that_these_tests_compare_with() -> None:
    assert catalogue()["segment_worker_committed_record_timestamp_seconds"] == {"topic", "partition"}


@pytest.mark.parametrize("rule", ALERTS, ids=NAMES)
def test_an_alert_has_a_severity_a_summary_of_one_line_and_its_place_in_the_runbook(rule: dict[str, Any]) -> None:
    assert rule["alert"].startswith("SegmentWorker")
    assert rule["labels"] == {"severity": rule["labels"]["severity"]}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "runbook"}
    assert re.fullmatch(r"[^\n]+\.", rule["annotations"]["summary"])
    assert rule["annotations"]["runbook"] == f"{RUNBOOK}#{rule['alert'].lower()}"


def test_every_alert_has_its_section_in_the_runbook_and_no_section_is_of_an_alert_that_is_gone() -> None:
    sections = re.findall(r"^#+ (SegmentWorker\w+)$", (ROOT / RUNBOOK).read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(NAMES)


def test_every_alert_is_tested_firing_and_silent() -> None:
    cases = [case for test in yaml.safe_load(RULE_TESTS.read_text())["tests"] for case in test["alert_rule_test"]]
    for expected, told in ((True, "firing"), (False, "silent")):
        tested = {case["alertname"] for case in cases if bool(case["exp_alerts"]) is expected}
        assert set(NAMES) - tested == set(), f"never tested {told}"


def test_promtool_accepts_the_rules() -> None:
    assert f"SUCCESS: {len(ALERTS)} rules found" in checked("check", "rules", "--lint=all", "--lint-fatal", RULES.name)


def test_promtool_sees_every_alert_fire_and_keep_silent_as_its_test_says() -> None:
    assert "SUCCESS" in checked("test", "rules", RULE_TESTS.name)
