"""A topic of somebody else's JSON on a real broker: tried, checked, run and verified by one rule."""

import json
from pathlib import Path

import orjson
import pytest
from kafka import KafkaAdminClient

from demo.kafka.client import NewRecord
from tests.support.brokers import Programs, TestBroker, wait_until
from tests.support.events import PROFILE
from tests.support.worker_site import WorkerSite, worker_site

MAPPING = {
    "WORKER_INPUT_FORMAT": "json",
    "WORKER_INPUT_USER": "/user/id",
    "WORKER_INPUT_NUMERIC_IDS": "true",
    "WORKER_INPUT_TIME": "/at",
    "WORKER_INPUT_TIME_FORMAT": "ms",
    "WORKER_INPUT_DATA": "/user/traits",
    "WORKER_INPUT_WHERE": "/event=profile_updated",
}


@pytest.fixture
def site(broker: TestBroker, programs: Programs, tmp_path: Path) -> WorkerSite:
    site = worker_site(programs, broker.bootstrap_servers, broker.fresh_name("json"), tmp_path)
    site.create_topics(partitions=2)
    site.publish_model()
    return site


def json_record(event: str, user: object, number: int) -> NewRecord:
    value = {"event": event, "at": 1_764_000_000_123, "user": {"id": user, "traits": PROFILE}, "number": number}
    return NewRecord(b"k%d" % number, orjson.dumps(value), {})


def test_each_record_is_assigned_rejected_or_ignored_and_every_command_says_the_same(site: WorkerSite) -> None:
    site.send([json_record(("login", "profile_updated")[number % 2], number, number) for number in range(20)])
    site.send([json_record("profile_updated", 2.5, 21), NewRecord(b"k", b"\x00avro", {}), NewRecord(b"k", b"[]", {})])

    tried = site.run("try", "--count", "100", **MAPPING)
    assert (tried.returncode, tried.stderr) == (0, ""), tried.stdout
    *lines, counts = tried.stdout.splitlines()
    assert counts.startswith("23 records: 10 assigned, 0 erased, 11 ignored, 2 rejected (")
    assert len(lines) == 23
    assert sum("segment " in line and "time 2025-11-24T16:00:00.123000Z" in line for line in lines) == 10
    newest = site.run("try", "--count", "2", **MAPPING)
    assert "\n2 records: " in newest.stdout

    checked = site.run("check", **MAPPING)
    assert checked.returncode == 0
    assert f"topic {site.input}: of the newest in each partition, 2 records: " in checked.stdout
    unmapped = site.run("check", "--json")
    advice = [each for each in json.loads(unmapped.stdout)["findings"] if each["weight"] == "advice"]
    assert any(each["where"] == f"topic {site.input}" and "WORKER_INPUT_FORMAT" in each["remedy"] for each in advice)
    admin = KafkaAdminClient(bootstrap_servers=site.bootstrap_servers)
    assert site.group not in {group["group_id"] for group in admin.list_groups()}
    admin.close()

    site.start_ready(**MAPPING)
    outcomes = site.wait_for_outcomes(12)
    wait_until(lambda: sum(site.committed().values()) == 23, "all offsets committed")
    results = [json.loads(each.value or b"") for each in outcomes if each.topic == site.output]
    assert {each["subject"] for each in results} == {str(number) for number in range(1, 20, 2)}
    assert b"segment_worker_ignored_total 11.0" in site.get("/metrics")[1]

    verified = site.run("verify", **MAPPING)
    assert verified.returncode == 0, verified.stdout
    assert "ignored: 11 input records" in verified.stdout
    assert "clean: each of 12 committed input records has exactly one outcome" in verified.stdout
    assert "damaged" in site.run("verify", **{**MAPPING, "WORKER_INPUT_WHERE": ""}).stdout
