from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.events import event_bytes
from tests.support.scoring import SCORING, record
from worker.stream.records import Record, Records
from worker.tools.verify.references import (
    RecordReference,
    answered_by_rejected,
    answered_by_result,
    answered_by_tombstone,
)


def outcome(value: bytes | None, *headers: tuple[str, bytes | None]) -> Record:
    return Record("out", 0, 0, 0, b"key", value, headers)


def test_what_the_worker_sends_names_the_input_record() -> None:
    sent = SCORING.process(Records.of([record(event_bytes(), offset=77), record(b"{", offset=78)]), datetime.now(UTC))
    assert answered_by_result(outcome(sent.results[0].value)) == RecordReference("user-activity", 3, 77)
    rejected = sent.rejected[0]
    assert answered_by_rejected(outcome(rejected.value, *rejected.headers)) == RecordReference("user-activity", 3, 78)
    erasure = record(event_bytes(without="data", type="user.erased.v1"), offset=79)
    (tombstone,) = SCORING.process(Records.of([erasure]), datetime.now(UTC)).current
    assert answered_by_tombstone(outcome(None, *tombstone.headers)) == RecordReference("user-activity", 3, 79)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"[]",
        b'{"data":{"input":{"topic":"t","partition":0}}}',
        b'{"data":{"input":{"topic":"t","partition":true,"offset":1}}}',
        b'{"data":{"input":{"topic":"t","partition":0,"offset":1.0}}}',
        b'{"data":{"input":{"topic":"t","partition":0,"offset":-1}}}',
        b'{"data":{"input":{"topic":"t","partition":0,"offset":9223372036854775808}}}',
        b'{"data":{"input":{"topic":1,"partition":0,"offset":1}}}',
    ],
)
def test_a_result_that_names_no_place_answers_none(value: bytes | None) -> None:
    assert answered_by_result(outcome(value)) is None


@pytest.mark.parametrize(
    ("topic", "partition", "offset"),
    [(None, b"1", b"2"), (b"t", b"", b"2"), (b"t", b"1", b"-2"), (b"t", b"1", b"9" * 5000), (b"t", b"1", None)],
)
def test_a_rejected_event_that_names_no_place_answers_none(
    topic: bytes | None, partition: bytes | None, offset: bytes | None
) -> None:
    headers = [("rejected.topic", topic), ("rejected.partition", partition), ("rejected.offset", offset)]
    assert answered_by_rejected(outcome(b"", *headers)) is None


@given(st.binary(), st.lists(st.tuples(st.sampled_from(["rejected.topic", "rejected.offset"]), st.binary())))
def test_no_bytes_are_too_much(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    assert answered_by_result(outcome(value)) is None
    assert answered_by_rejected(outcome(value, *headers)) is None
