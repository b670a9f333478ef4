from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from benchmarks.load import Template
from benchmarks.subjects import Subject, schema_registry, with_fields, with_format
from schemas.formats.input_format import InputFormat
from schemas.roles import profile_fields
from tests.support.scoring import MODEL
from worker.kafka.registry import input_read_once
from worker.settings_loading import load_settings
from worker.stream.processor import Scoring
from worker.stream.records import Outcome, Record, Records


def records(events: Sequence[Template]) -> Records:
    return Records.of([Record("in", 0, number, 0, each.key, each.value(number)) for number, each in enumerate(events)])


def outcome(subject: Subject, events: Records, input_format: InputFormat) -> Outcome:
    scoring = Scoring(
        subject.model, subject.profile_class, "cluster", "worker", 900_000, 965_536, input_format=input_format
    )
    return scoring.process(events, datetime.now(UTC))


@pytest.mark.parametrize("count", [7, 40])
def test_a_wide_profile_has_that_many_fields_and_its_events_are_valid(count: int, tmp_path: Path) -> None:
    subject = with_fields(count, tmp_path / "wide")
    assert len(profile_fields(subject.profile_class)) == count
    made = outcome(subject, records(subject.events[:200]), subject.input_format)
    assert len(made.results) == 200
    assert len(made.segments) > 1
    assert not made.unknown_values


def test_the_same_users_in_another_format_get_the_same_results_from_a_worker_with_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The fourth invalid one is of another type, which some formats leave out.
    monkeypatch.setattr("benchmarks.load.USERS", 4_000)
    base = Subject("base", tmp_path, MODEL, "schemas:UserProfile", [])
    by_format = {}
    with closing(schema_registry()) as registry:
        for name in ("cloudevents", "json", "avro"):
            subject = with_format(base, name, f"http://127.0.0.1:{registry.port}")
            worker = input_read_once(load_settings({each.lower(): value for each, value in subject.settings.items()}))
            events = records(subject.events)
            worker.look_up(events.values)
            by_worker = outcome(subject, events, worker.format)
            expected = outcome(subject, events, subject.input_format)
            assert expected.verdicts == by_worker.verdicts
            assert expected.ignored == 0
            assert len(expected.rejected) > 1
            read = [orjson.loads(each.value or b"") for each in expected.results]
            by_format[name] = [(each["subject"], each["data"]["segment"], each["data"]["distance"]) for each in read]
    assert len(by_format["cloudevents"]) == 4_000 - 4
    assert by_format["cloudevents"] == by_format["json"] == by_format["avro"]
