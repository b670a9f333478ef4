from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.load import Template
from benchmarks.subjects import Subject, with_fields
from schemas.roles import profile_fields
from worker.stream.processor import Scoring
from worker.stream.records import Outcome, Record, Records


def outcome(subject: Subject, events: list[Template]) -> Outcome:
    records = [Record("in", 0, number, 0, each.key, each.value(number)) for number, each in enumerate(events)]
    scoring = Scoring(subject.model, subject.profile_class, "cluster", "worker", 900_000, 965_536)
    return scoring.process(Records.of(records), datetime.now(UTC))


@pytest.mark.parametrize("count", [7, 40])
def test_a_wide_profile_has_that_many_fields_and_its_events_are_valid(count: int, tmp_path: Path) -> None:
    subject = with_fields(count, tmp_path / "wide")
    assert len(profile_fields(subject.profile_class)) == count
    made = outcome(subject, [*subject.events[:200]])
    assert len(made.results) == 200
    assert len(made.segments) > 1
    assert not made.unknown_values
