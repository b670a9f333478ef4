"""A topic in Avro on a real broker, with a schema registry beside it: tried, checked, run, and verified."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.kafka.client import NewRecord
from schemas.events import SegmentAssigned
from tests.support.avro import record_schema, wire
from tests.support.brokers import Programs, TestBroker
from tests.support.events import PROFILE
from tests.support.kafka_world import both_clients_at_length
from tests.support.schema_registry import SchemaRegistry, schema_registry
from tests.support.worker_site import WorkerSite, worker_site
from worker.errors import ExitStatus

MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
TYPES = {str: "string", int: "int", float: "double", list: {"type": "array", "items": "string"}}
FIELDS: dict[str, Any] = {name: TYPES[type(value)] for name, value in PROFILE.items()}
OLD = record_schema(user="long", at=MILLIS, **FIELDS)
# The time in other units, the fields in another order and nullable, and one more.
NEW = record_schema(
    added=["null", "string"],
    **{name: ["null", type_] for name, type_ in reversed(FIELDS.items())},
    at={"type": "long", "logicalType": "timestamp-micros"},
    user="long",
)
LOGIN = {"SCHEMA_REGISTRY_USERNAME": "worker", "SCHEMA_REGISTRY_PASSWORD": "right-registry-password"}
MAPPING = {
    "WORKER_INPUT_FORMAT": "avro",
    "WORKER_INPUT_USER": "/user",
    "WORKER_INPUT_NUMERIC_IDS": "true",
    "WORKER_INPUT_TIME": "/at",
    **LOGIN,
}


@pytest.fixture
def registry() -> Iterator[SchemaRegistry]:
    with schema_registry() as server:
        server.require_login(*LOGIN.values())
        server.register(1, OLD)
        server.register(2, NEW)
        server.register(3, {}, schemaType="JSON")
        yield server


@pytest.fixture
def site(broker: TestBroker, programs: Programs, tmp_path: Path) -> WorkerSite:
    site = worker_site(programs, broker.bootstrap_servers, broker.fresh_name("avro"), tmp_path)
    site.create_topics(partitions=1)
    site.publish_model()
    return site


def written(schema_id: int, user: int) -> NewRecord:
    schema, moment = {1: (OLD, 1_764_000_000_123), 2: (NEW, 1_764_000_000_123_000)}[schema_id]
    return NewRecord(b"k", wire(schema_id, schema, {**PROFILE, "user": user, "at": moment}), {})


@both_clients_at_length
def test_a_topic_whose_schema_changes_while_the_registry_comes_and_goes(
    site: WorkerSite, registry: SchemaRegistry, client: str
) -> None:
    settings = {**MAPPING, "SCHEMA_REGISTRY_URL": registry.url, "KAFKA_CLIENT": client}
    bad = [NewRecord(b"k", value, {}) for value in (b"{}", b"\x00\x00\x00\x00\x01\x02", b"\x00\x00\x00\x00\x03\x02")]
    unknown = NewRecord(b"k", b"\x00\x00\x00\x00\x09\x02", {})
    site.send([written(1, 2**53 + 1), *bad, unknown])

    tried = site.run("try", **settings)
    assert tried.stdout.splitlines()[-1] == (
        "5 records: 1 assigned, 0 erased, 0 ignored, 4 rejected (3 not_avro, 1 unknown_schema)"
    )
    checked = site.run("check", **settings)
    assert checked.returncode == 0, checked.stdout
    assert registry.url in checked.stdout

    worker = site.start_ready(**settings)
    site.wait_for_outcomes(5)
    # The registry fails when the topic comes to the next schema: that batch waits, and nothing of it is rejected.
    registry.answer = (500, b"{}")
    site.send([written(1, 7), written(2, 8)])
    worker.wait_for_log("batch_retried")
    worker.wait_for_log(f"{registry.url} answered 500")
    registry.answer = None
    outcomes = site.wait_for_outcomes(7)

    results = [SegmentAssigned.model_validate_json(each.value or b"") for each in outcomes if each.topic == site.output]
    assert [each.subject for each in results] == [str(2**53 + 1), "7", "8"]
    assert {each.data.input.time.isoformat() for each in results} == {"2025-11-24T16:00:00.123000+00:00"}
    assert len({(each.data.segment, each.data.distance) for each in results}) == 1
    reasons = [each.headers["rejected.reason"].decode() for each in outcomes if each.topic == site.rejected]
    assert Counter(reasons) == {"not_avro": 3, "unknown_schema": 1}
    assert Counter(registry.asked)["/schemas/ids/1"] == 2  # of try, of run
    assert site.run("verify", **settings).returncode == 0

    # A login that is refused is nothing that waiting fixes.
    registry.require_login("worker", "another password")
    registry.register(4, OLD)
    site.send([NewRecord(b"k", b"\x00\x00\x00\x00\x04" + (written(1, 9).value or b"")[5:], {})])
    assert worker.wait() == ExitStatus.ACT_FIRST
    assert "SCHEMA_REGISTRY_PASSWORD" in worker.log
    assert LOGIN["SCHEMA_REGISTRY_PASSWORD"] not in worker.log
    checked = site.run("check", **settings)
    assert checked.returncode == ExitStatus.ACT_FIRST
    assert "SCHEMA_REGISTRY_PASSWORD" in checked.stdout
