from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.avro import record_schema, wire
from tests.support.schema_registry import schema_registry
from tests.support.scoring import record
from worker.errors import ClusterUnusable, StopProcessError
from worker.kafka.facts import Absent, ClusterFacts, GroupFacts, TopicFacts
from worker.kafka.topic_reader import Log
from worker.settings import Settings
from worker.settings_loading import load_settings
from worker.tools.bounds import Bounds
from worker.tools.verify.command import _read, input_spans, lost_before, readable

SETTINGS = Settings(_env_file=None)
IN, OUT, REJECTED = SETTINGS.topics
NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000


def topic(**configs: str) -> TopicFacts:
    named = {name.replace("_", "."): value for name, value in configs.items()}
    return TopicFacts(1, (), 1, frozenset({"READ"}), named)


def facts(**changed: Any) -> ClusterFacts:
    group = GroupFacts(frozenset({"DESCRIBE"}), ())
    given = ClusterFacts("id", 1, {name: topic() for name in SETTINGS.topics}, group, False, {})
    return replace(given, **changed)


def test_reading_the_topics_and_seeing_the_group_is_enough() -> None:
    assert readable(facts(), SETTINGS).keys() == set(SETTINGS.topics)


def test_all_that_is_missing_is_named_at_once() -> None:
    topics = {IN: Absent.MISSING, OUT: Absent.HIDDEN, REJECTED: replace(topic(), operations=frozenset({"WRITE"}))}
    with pytest.raises(ClusterUnusable) as caught:
        readable(facts(topics=topics, group=Absent.HIDDEN), SETTINGS)
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        f"topic {IN}: does not exist",
        f"topic {OUT}: may not be read",
        f"topic {REJECTED}: may not be read",
        "group segment-worker: its offsets may not be seen",
    ]


def test_outcomes_in_a_compacted_topic_cannot_be_counted() -> None:
    topics = {**facts().topics, OUT: topic(cleanup_policy="compact,delete")}
    with pytest.raises(StopProcessError, match=f"topic {OUT} is compacted"):
        readable(facts(topics=topics), SETTINGS)
    assert readable(facts(topics={**facts().topics, IN: topic(cleanup_policy="compact")}), SETTINGS)


@pytest.mark.parametrize(
    ("logs", "configs", "expected_ms"),
    [
        ([Log(0, 10, NOW_MS - 5)], {}, None),
        ([Log(0, 0, None)], {}, None),
        # The first one that is left says how young those can be that are gone.
        ([Log(3, 10, NOW_MS - DAY_MS), Log(1, 10, NOW_MS - 2 * DAY_MS)], {}, NOW_MS - DAY_MS + 60_000),
        ([Log(3, 3, None)], {}, NOW_MS + 60_000),
        # Retention by time alone removes nothing younger, however young the first one is that is left.
        ([Log(3, 3, None)], {"retention_ms": str(7 * DAY_MS), "retention_bytes": "-1"}, NOW_MS - 7 * DAY_MS + 60_000),
        ([Log(3, 9, NOW_MS)], {"retention_ms": str(7 * DAY_MS), "retention_bytes": "-1"}, NOW_MS - 7 * DAY_MS + 60_000),
        ([Log(3, 9, NOW_MS)], {"retention_ms": str(7 * DAY_MS), "retention_bytes": "1000"}, NOW_MS + 60_000),
        ([Log(3, 9, NOW_MS)], {"retention_ms": "-1", "retention_bytes": "-1"}, NOW_MS + 60_000),
    ],
)
def test_outcomes_may_be_lost_before(logs: list[Log], configs: dict[str, str], expected_ms: int | None) -> None:
    assert lost_before({(OUT, n): log for n, log in enumerate(logs)}, {OUT: topic(**configs)}, NOW_MS) == expected_ms


@pytest.mark.parametrize(
    ("committed", "bounds", "since", "until", "expected"),
    [
        ({0: 80}, Bounds(), None, None, range(10, 80)),
        ({}, Bounds(), None, None, range(10, 10)),
        ({0: 5}, Bounds(), None, None, range(10, 10)),
        ({0: 80}, Bounds(from_offsets={0: 20}, to_offsets={0: 30}), None, None, range(20, 30)),
        ({0: 80}, Bounds(from_offsets={1: 20}, to_offsets={0: 300}), None, None, range(10, 80)),
        ({0: 80}, Bounds(), {0: 40}, {0: 60}, range(40, 60)),
        ({0: 80}, Bounds(), {0: 90}, None, range(90, 90)),
        # Nothing is that young: nothing since then, and all until then.
        ({0: 80}, Bounds(), {}, {}, range(80, 80)),
        ({0: 80}, Bounds(), None, {}, range(10, 80)),
    ],
)
def test_inputs_to_look_at(
    committed: dict[int, int],
    bounds: Bounds,
    since: dict[int, int] | None,
    until: dict[int, int] | None,
    expected: range,
) -> None:
    assert input_spans({(IN, 0): Log(10, 100, 0)}, committed, bounds, since, until) == {0: expected}


def test_a_registry_that_fails_once_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = record_schema(user="string", kind="string")
    rows = [wire(7, schema, {"user": "u", "kind": kind}) for kind in ("event", "other")]
    read: list[Any] = []
    at, records = (IN, 0), [record(value, offset) for offset, value in enumerate(rows)]
    reader: Any = SimpleNamespace(read=lambda _: [(at, 2, records)])
    found: Any = SimpleNamespace(add_inputs=lambda *given: read.append(given))
    with schema_registry() as registry:
        registry.register(7, schema)
        registry.fail_until_waited_for(monkeypatch)
        avro = {"worker_input_format": "avro", "worker_input_user": "/user", "worker_input_where": "/kind=event"}
        settings = load_settings({**avro, "schema_registry_url": registry.url})
        _read(reader, {at: range(2)}, found, None, settings, lambda _: None)
    assert read == [(0, [0, 1], [1])]


def test_more_committed_than_there_is_cannot_be_verified() -> None:
    with pytest.raises(StopProcessError, match="offset 101 of topic user-activity, partition 0 is committed"):
        input_spans({(IN, 0): Log(10, 100, 0)}, {0: 101}, Bounds(), None, None)
