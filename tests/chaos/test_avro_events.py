"""Each record in Avro has the outcome that it was made for."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

from demo.events import BAD_KINDS, emitted
from demo.population import Population
from schemas import UserProfile
from schemas.event_columns import EventReader
from schemas.formats.avro import RegisteredSchema, WriterSchemas
from schemas.rejected import RejectReason
from tests.chaos.avro_events import settings, writer
from tests.support.schema_registry import SchemaRegistry
from worker.input_settings import input_format
from worker.settings_loading import load_settings
from worker.stream.records import Record, Records

NOW = datetime(2026, 11, 24, 15, 30, 0, 250_999, UTC)


def test_each_record_in_avro_has_the_outcome_that_it_was_made_for() -> None:
    ids, number = count(), 100 + len(BAD_KINDS)
    share = len(BAD_KINDS) / number
    events = emitted(Population(users=50), number, share, new_id=lambda: f"{next(ids)}", now=lambda: NOW)
    given = [writer("avro")(at, event) for at, event in enumerate(events)]
    with SchemaRegistry() as registry:
        loaded = load_settings({name.lower(): value for name, value in settings("avro", registry).items()})
        schemas = WriterSchemas()
        for schema_id, schema in registry.schemas.items():
            schemas.add(schema_id, RegisteredSchema("AVRO", schema["schema"]))
    reader = EventReader(UserProfile, loaded.worker_event_max_bytes, input_format(loaded, schemas))
    records = [Record("in", 0, at, 0, each.record.key, each.record.value) for at, each in enumerate(given)]
    events_read, rejections, ignored, _ = reader.read(Records.of(records))
    assert {at: each.reason for at, each in rejections.items()} == {
        at: each.reason for at, each in enumerate(given) if each.reason is not None
    }
    assert sorted(ignored) == [at for at, each in enumerate(given) if each.ignored]
    assert len(events_read.rows) > 50
    assert RejectReason.NOT_AVRO in {each.reason for each in given}
