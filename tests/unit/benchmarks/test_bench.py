from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import bench, contenders
from benchmarks.contenders import Program
from benchmarks.load import PARTITIONS
from benchmarks.subjects import with_fields


@dataclass
class Topics:
    """A cluster that only remembers the topics that it has, and their configuration."""

    there: dict[str, Mapping[str, str]] = field(default_factory=dict)
    were: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def cluster_id(self) -> str:
        return "cluster"

    def create_topic(self, name: str, partitions: int, config: Mapping[str, str]) -> None:
        assert partitions == PARTITIONS
        self.there[name] = self.were[name] = config

    def delete(self, *names: str) -> None:
        for name in names:
            del self.there[name]


def compacted_in_a_turn(tmp_path: Path, of_subject: Mapping[str, str], of_program: Mapping[str, str]) -> list[str]:
    topics: Any = Topics()
    subject = replace(with_fields(1, tmp_path / "wide"), settings=of_subject)
    site = bench.Site("localhost:1", tmp_path, topics, topics, subject, "http://localhost:1")
    program = Program((sys.executable, "-c", ""), environment=of_program)
    with site.running(contenders.ALL[0], program, "in", {}) as run:
        assert {run.output, run.rejected} <= topics.there.keys()
    assert not topics.there
    return [name for name, config in topics.were.items() if config.get("cleanup.policy") == "compact"]


def test_a_current_topic_is_there_and_compacted_for_a_turn_whose_settings_name_one(tmp_path: Path) -> None:
    setting = {"WORKER_CURRENT_TOPIC": "current"}
    for of_subject, of_program, compacted in ((setting, {}, ["current"]), ({}, setting, ["current"]), ({}, {}, [])):
        folder = tmp_path / f"{len(of_subject)}{len(of_program)}"
        folder.mkdir()
        assert compacted_in_a_turn(folder, of_subject, of_program) == compacted


@pytest.mark.parametrize("sweep", bench.SWEEPS_OF_WORKERS_ONLY)
def test_a_peer_is_refused_in_sweeps_that_only_workers_can_run(
    sweep: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "--sweep", sweep, "--only", "worker", "kafka-streams"])
    with pytest.raises(SystemExit) as ended:
        bench.main()
    assert ended.value.code == 2
    assert f"--sweep {sweep}" in capsys.readouterr().err
