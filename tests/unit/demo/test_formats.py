"""Whatever the format, a worker with the settings that belong to it makes of each record what was meant."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import count

import pytest

from demo.avro import SCHEMA
from demo.events import BAD_KINDS, Emitted, emitted
from demo.formats import SETTINGS, in_avro, in_format
from demo.population import Population
from schemas import UserProfile
from schemas.event_columns import EventReader
from schemas.formats.avro import WriterSchemas
from tests.support.avro import registered
from worker.input_settings import input_format
from worker.settings_loading import load_settings
from worker.stream.records import Record, Records

SCHEMA_ID = 2**31
NOW = datetime(2026, 11, 24, 15, 30, 0, 250_999, UTC)


def records(name: str, number: int, bad_share: float) -> list[Emitted]:
    ids = count()
    events = emitted(Population(users=50), number, bad_share, new_id=lambda: f"id-{next(ids)}", now=lambda: NOW)
    write = in_avro(SCHEMA_ID) if name == "avro" else in_format(name)
    return [write(at, event) for at, event in enumerate(events)]


@pytest.mark.parametrize("name", SETTINGS)
def test_each_record_has_the_outcome_that_it_was_made_for(name: str) -> None:
    given = records(name, 100 + len(BAD_KINDS), len(BAD_KINDS) / (100 + len(BAD_KINDS)))
    own = {"SCHEMA_REGISTRY_URL": "http://localhost"} if name == "avro" else {}
    settings = load_settings({variable.lower(): value for variable, value in {**SETTINGS[name], **own}.items()})
    schemas = WriterSchemas()
    schemas.add(SCHEMA_ID, registered(SCHEMA))
    reader = EventReader(UserProfile, settings.worker_event_max_bytes, input_format(settings, schemas))
    assert reader.one_by_one_because is None
    read = reader.read(
        Records.of(
            [
                Record("in", 0, at, 0, each.record.key, each.record.value, tuple((each.record.headers or {}).items()))
                for at, each in enumerate(given)
            ]
        )
    )
    assert {row: rejection.reason for row, rejection in read.rejections.items()} == {
        row: each.reason for row, each in enumerate(given) if each.reason is not None
    }
    assert sorted(read.ignored) == [row for row, each in enumerate(given) if each.ignored]
    keys = [(given[row].record.key or b"").decode() for row in read.events.rows]
    assert [*read.events.subjects] == keys
    assert {*read.events.times} == {NOW.replace(microsecond=250_000)}
    assert len(Counter(read.events.ids)) == len(read.events.rows)


@pytest.mark.parametrize("name", ["json", "avro"])
def test_a_fifth_of_a_topic_of_an_application_s_own_are_other_events(name: str) -> None:
    assert sum(each.ignored for each in records(name, 100, 0.0)) == 20
    assert not any(each.ignored for each in records("binary", 100, 0.0))
