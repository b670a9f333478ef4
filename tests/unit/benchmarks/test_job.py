from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from benchmarks.load import templates
from benchmarks.peers.job import Incoming, Job, NumpyNearest, Outgoing
from tests.support.scoring import MODEL, SCORING
from worker.stream.records import Record, Records

RECORDS = [
    Record("", 3, offset, 1_764_000_000_000, template.key, template.value(offset))
    for offset, template in enumerate(templates(bad_share=0.02)[:1_000])
]
INCOMING = [Incoming(each.partition, each.offset, each.timestamp_ms, each.key, each.value) for each in RECORDS]
JOB = Job(
    MODEL.segmentation,
    NumpyNearest(MODEL.segmentation),
    MODEL.manifest.id,
    MODEL.segmentation.digest,
    SCORING.cluster_id,
    SCORING.source,
)


def read(value: bytes | None, headers: Any) -> Any:
    """The result without the time at which it was made, or the reason of a dead letter."""
    names = dict(headers)
    if "rejected.reason" in names:
        return names["rejected.reason"].decode(), names["rejected.offset"]
    result = orjson.loads(value or b"")
    del result["time"]
    return result


def by_worker() -> list[Any]:
    made = SCORING.process(Records.of(RECORDS), datetime.now(UTC))
    assert made.rejected
    assert made.results
    return [read(message.value, message.headers) for message in (*made.rejected, *made.results)]


def by_peer(outgoing: list[Outgoing]) -> list[Any]:
    rejected_first = sorted(outgoing, key=lambda each: "rejected.reason" not in dict(each.headers))
    return [read(each.value, each.headers) for each in rejected_first]


def test_peers_that_pass_batches_make_what_the_worker_makes() -> None:
    assert by_peer(JOB.batch(INCOMING)) == by_worker()


def test_peers_that_pass_single_events_make_what_the_worker_makes() -> None:
    assert by_peer([JOB.one(record) for record in INCOMING]) == by_worker()


def test_the_key_of_a_result_is_the_user_and_that_of_a_dead_letter_is_its_own() -> None:
    assert [each.key for each in map(JOB.one, INCOMING)] == [record.key for record in INCOMING]
