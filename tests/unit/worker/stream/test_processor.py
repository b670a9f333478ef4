import uuid
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import orjson
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import ASSIGNMENT_NAMESPACE, SegmentAssigned, SegmentErased
from schemas.formats.cloudevents import CloudEvents
from schemas.formats.where import where
from schemas.rejected import RejectReason
from tests.support.events import PROFILE, event_bytes
from tests.support.scoring import MODEL, SCORING, record
from worker.stream.records import Message, Outcome, Record, Records, Verdict

ASSIGNED = Verdict.ASSIGNED
NOW = datetime(2026, 11, 24, 15, 30, 0, 250_000, UTC)


def process(*records: Record) -> Outcome:
    return SCORING.process(Records.of(records), NOW)


def only_rejected(given_record: Record) -> tuple[Message, dict[str, str]]:
    outcome = process(given_record)
    (message,) = outcome.rejected
    assert outcome.results == ()
    own = {name: content.decode() for name, content in message.headers if name.startswith("rejected.")}
    return message, own


def test_an_event_becomes_an_assignment_that_says_what_it_answers() -> None:
    (message,) = process(record(event_bytes(), offset=77)).results
    assert message.key == b"user-1042"
    assert message.value is not None
    result = SegmentAssigned.model_validate_json(message.value)
    assigned = MODEL.segmentation.assign({name: [value] for name, value in PROFILE.items()})
    assert result.data.segment == assigned.segment[0]
    assert result.data.segment_name == f"Segment {assigned.segment[0]}"
    assert result.data.distance == pytest.approx(assigned.distance[0], abs=1e-6)
    assert result.data.margin == pytest.approx(assigned.margin[0], abs=1e-6)
    assert result.data.outlier == assigned.outlier[0]
    assert result.data.unknown_values == ()
    assert (result.data.model.version, result.data.model.digest) == (MODEL.manifest.id, MODEL.segmentation.digest)
    assert result.data.input.model_dump() == {
        "id": "6f9c",
        "topic": "user-activity",
        "partition": 3,
        "offset": 77,
        "time": datetime(2026, 11, 22, 12, 0, 0, 123_000, UTC),
    }
    assert (result.subject, result.source, result.time) == ("user-1042", "segment-worker-a", NOW)


def test_verdicts_tell_of_each_record_in_turn_why_it_was_rejected() -> None:
    given_records = [record(event_bytes()), record(b"{"), record(None), record(event_bytes())]
    verdicts = (ASSIGNED, RejectReason.NOT_JSON, RejectReason.EMPTY, ASSIGNED)
    assert process(*given_records).verdicts == verdicts
    assert process(*given_records[1:3]).verdicts == verdicts[1:3]


def test_an_ignored_record_has_no_message_and_is_counted() -> None:
    by = replace(SCORING, input_format=CloudEvents(where("/type=user.profile.observed.v1")))
    values = [event_bytes(), event_bytes(type="user.erased.v1"), b"{", event_bytes(type="x"), event_bytes()]
    outcome = by.process(Records.of([record(value, offset) for offset, value in enumerate(values)]), NOW)
    assert (len(outcome.results), len(outcome.rejected), outcome.ignored) == (2, 1, 2)
    ignored = Verdict.IGNORED
    assert outcome.verdicts == (ASSIGNED, ignored, RejectReason.NOT_JSON, ignored, ASSIGNED)
    only = by.process(Records.of([record(values[1])]), NOW)
    assert only == Outcome(verdicts=(ignored,), ignored=1)


@given(st.integers(0, 2**63 - 1))
def test_the_id_is_the_uuid5_of_the_input_record(offset: int) -> None:
    (message,) = process(record(event_bytes(), offset=offset)).results
    assert message.value is not None
    expected = uuid.uuid5(ASSIGNMENT_NAMESPACE, f"cluster-1/user-activity/3/{offset}")
    assert orjson.loads(message.value)["id"] == str(expected)


def test_a_time_with_another_zone_stays_the_same_moment() -> None:
    (message,) = process(record(event_bytes(time="2026-11-22T17:30:00.123+05:30"))).results
    assert message.value is not None
    result = SegmentAssigned.model_validate_json(message.value)
    assert result.data.input.time == datetime(2026, 11, 22, 12, 0, 0, 123_000, UTC)


@pytest.mark.parametrize(
    ("time", "expected_ms"),
    [
        ("2026-11-22T12:00:00.123Z", 1_795_348_800_123),
        ("2026-11-22T17:30:00.123999+05:30", 1_795_348_800_123),
        ("1969-12-31T23:59:59Z", 1),
        ("0001-01-01T00:00:00Z", 1),
        ("2026-11-24T15:30:01Z", 1_795_534_200_250),
        ("9999-12-31T23:59:59Z", 1_795_534_200_250),
    ],
    ids=["its own", "another zone", "before 1970", "the first", "in the future", "the last"],
)
def test_a_results_record_can_have_the_time_of_its_event_as_far_as_brokers_take_it(time: str, expected_ms: int) -> None:
    records = Records.of([record(event_bytes(time=time))])
    with_event_time = replace(SCORING, result_time="event").process(records, NOW)
    assert [message.timestamp_ms for message in with_event_time.results] == [expected_ms]
    at_sending = SCORING.process(records, NOW)
    assert [message.timestamp_ms for message in at_sending.results] == [None]
    assert at_sending.results[0].value == with_event_time.results[0].value


def test_results_are_keyed_by_the_user_whatever_the_key_of_the_input() -> None:
    outcome = process(record(event_bytes(subject="Zoë"), key=None), record(event_bytes(subject="b"), key=b"other"))
    assert [message.key for message in outcome.results] == ["Zoë".encode(), b"b"]


def test_results_and_rejected_are_each_in_input_order_and_one_for_each_record() -> None:
    values = [event_bytes(id=str(i)) if i % 3 else b"bad" for i in range(10)]
    outcome = process(*(record(value, offset=i) for i, value in enumerate(values)))
    offsets = [orjson.loads(message.value or b"")["data"]["input"]["offset"] for message in outcome.results]
    assert offsets == [1, 2, 4, 5, 7, 8]
    assert [dict(message.headers)["rejected.offset"] for message in outcome.rejected] == [b"0", b"3", b"6", b"9"]


def test_a_value_that_training_had_not_seen_is_counted_and_named() -> None:
    outcome = process(
        record(event_bytes({"gender": "Other", "language": "Klingon"})), record(event_bytes({"gender": "Neither"}))
    )
    named = [orjson.loads(message.value or b"")["data"]["unknown_values"] for message in outcome.results]
    assert named == [["gender", "language"], ["gender"]]
    assert outcome.unknown_values == {"gender": 2, "language": 1}


def test_counts_tell_what_the_batch_came_to() -> None:
    outcome = process(record(event_bytes()), record(b""), record(None), record(b"{}"), record(event_bytes()))
    (segment,) = outcome.segments
    assert outcome.segments == {segment: 2}
    assert outcome.reasons == {RejectReason.EMPTY: 2, RejectReason.INVALID_ENVELOPE: 1}
    assert process(*[]) == Outcome()


def test_a_rejected_record_is_forwarded_byte_for_byte_with_the_reason_beside_it() -> None:
    message, own = only_rejected(
        record(b"\xffbytes", offset=9, key=b"\x00key", headers=(("trace", b"\x01"), ("a", b"")))
    )
    assert (message.key, message.value) == (b"\x00key", b"\xffbytes")
    assert message.headers[:2] == (("trace", b"\x01"), ("a", b""))
    assert own == {
        "rejected.reason": "not_json",
        "rejected.detail": own["rejected.detail"],
        "rejected.topic": "user-activity",
        "rejected.partition": "3",
        "rejected.offset": "9",
        "rejected.timestamp": "1764000000000",
        "rejected.at": "2026-11-24T15:30:00.250000Z",
        "rejected.by": "segment-worker-a",
    }


def test_a_tombstone_is_forwarded_as_a_tombstone() -> None:
    message, own = only_rejected(record(None))
    assert (message.key, message.value, own["rejected.reason"]) == (b"user-1042", None, "empty")
    assert "rejected.nulls" not in own


def test_what_kafka_cannot_carry_as_null_becomes_empty_and_is_listed() -> None:
    message, own = only_rejected(record(None, key=None, headers=(("a", None), ("b", b"x"), ("a", None))))
    assert (message.key, message.value) == (b"", b"")
    assert message.headers[:3] == (("a", b""), ("b", b"x"), ("a", b""))
    assert own["rejected.nulls"] == "key,value,header:0,header:2"


def test_older_reasons_are_replaced() -> None:
    older = (("rejected.reason", b"too_large"), ("rejected.nulls", b"key"), ("kept", b"1"))
    message, own = only_rejected(record(b"bad", headers=older))
    assert own["rejected.reason"] == "not_json"
    assert "rejected.nulls" not in own
    assert [name for name, _ in message.headers].count("rejected.reason") == 1
    assert message.headers[0] == ("kept", b"1")


@pytest.mark.parametrize(
    ("value", "key", "header", "left_out"),
    [
        (950_000, 10, 10, None),
        (2_000_000, 10, 10, "value"),
        (10, 10, 1_000_000, "value,headers"),
        (10, 2_000_000, 10, "value,headers,key"),
        (0, 2_000_000, 0, "headers,key"),
    ],
)
def test_what_is_too_large_for_the_topic_is_left_out_and_named(
    value: int, key: int, header: int, left_out: str | None
) -> None:
    content = b"x" * value
    message, own = only_rejected(record(content, key=b"k" * key, headers=(("h", b"h" * header),)))
    assert own.get("rejected.left_out") == left_out
    assert own.get("rejected.truncated") == (None if left_out is None else "1")
    if left_out and "value" in left_out:
        assert (message.value, own["rejected.sha256"]) == (b"", sha256(content).hexdigest())
    size = len(message.key or b"") + len(message.value or b"")
    size += sum(len(name) + len(text) for name, text in message.headers)
    assert size < SCORING.rejected_max_bytes


def test_more_headers_than_anybody_means_to_send_are_left_out_and_the_value_stays() -> None:
    message, own = only_rejected(record(b"bad", headers=(("a", None),) * 1_000))
    assert ("rejected.left_out" in own, len(message.headers) - len(own)) == (False, 1_000)
    message, own = only_rejected(record(b"bad", headers=(("a", b""),) * 1_001))
    assert (own["rejected.left_out"], own["rejected.truncated"]) == ("headers", "1")
    assert (message.value, len(message.headers)) == (b"bad", len(own))


@given(st.integers(0, 200_000), st.sampled_from([0, 900_000]), st.sampled_from([0, 900_000]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_no_number_of_headers_makes_a_rejected_record_too_large(
    headers: int, key_bytes: int, value_bytes: int, null: bool
) -> None:
    content = None if null else b"x"
    message, own = only_rejected(record(b"v" * value_bytes, key=b"k" * key_bytes, headers=(("a", content),) * headers))
    size = len(message.key or b"") + len(message.value or b"")
    size += sum(len(name) + len(text) + 10 for name, text in message.headers)
    assert size < SCORING.rejected_max_bytes
    if len(message.headers) - len(own) == headers and null and headers:
        assert own["rejected.nulls"].count("header:") == headers


@given(
    st.lists(
        st.tuples(
            st.none() | st.binary(max_size=40) | st.sampled_from([event_bytes(), event_bytes({"gender": "Other"})]),
            st.none() | st.binary(max_size=5),
            st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3),
        ),
        max_size=6,
    )
)
def test_any_records_have_exactly_one_outcome_each_that_kafka_can_carry(
    given_records: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]],
) -> None:
    records = [
        record(value, offset=i, key=key, headers=tuple(headers))
        for i, (value, key, headers) in enumerate(given_records)
    ]
    outcome = process(*records)
    assert len(outcome.results) + len(outcome.rejected) == len(records)
    assert sum(outcome.segments.values()) == len(outcome.results)
    assert sum(outcome.reasons.values()) == len(outcome.rejected)
    for message in (*outcome.results, *outcome.rejected):
        assert not (message.key is None and message.value is None)
        assert all(isinstance(content, bytes) for _, content in message.headers)


@given(st.lists(st.binary(max_size=40) | st.sampled_from([event_bytes({"gender": "Other"}), b"[" * 900]), max_size=8))
def test_bad_neighbours_change_no_byte_of_a_good_event_s_result(neighbours: list[bytes]) -> None:
    good = record(event_bytes(), offset=5)
    around = [record(value, offset=at) for at, value in enumerate(neighbours, 10)]
    (alone,) = process(good).results
    assert process(good, *around).results[0] == alone
    assert alone in process(*around, good, *around).results


@pytest.mark.parametrize(
    "field",
    [
        {"likes_and_reactions": 1.7976931348623157e308},
        {"likes_and_reactions": 18446744073709551615},
        {"likes_and_reactions": -0.0},
        {"conversion_rate": 5e-324},
        {"conversion_rate": -0.0},
    ],
)
def test_numbers_at_the_ends_of_what_json_can_say_are_assigned_finitely(field: dict[str, float]) -> None:
    (message,) = process(record(event_bytes(field))).results
    assert SegmentAssigned.model_validate_json(message.value or b"").data.distance < 100


def test_integers_of_more_than_64_bits_are_numbers_and_text_stays_what_it_was() -> None:
    value = event_bytes(subject="\u0000\u202e\U0001f600\u2028").replace(b"5640", b"1" * 300)
    (message,) = process(record(value)).results
    assert message.key == "\u0000\u202e\U0001f600\u2028".encode()
    assert orjson.loads(message.value or b"")["subject"] == "\u0000\u202e\U0001f600\u2028"


@pytest.mark.parametrize(
    ("time", "moment"),
    [
        ("0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00+23:59"),
        ("9999-12-31T23:59:59.999999999-23:59", "9999-12-31T23:59:59.999999-23:59"),
        ("2026-11-22T12:00:00-00:00", "2026-11-22T12:00:00Z"),
    ],
)
def test_the_time_at_the_ends_of_the_calendar_is_repeated_as_it_was(time: str, moment: str) -> None:
    (message,) = process(record(event_bytes(time=time))).results
    assert orjson.loads(message.value or b"")["data"]["input"]["time"] == moment


ERASURE = event_bytes(without="data", type="user.erased.v1", id="forget")


def test_an_erasure_is_a_result_in_its_place_and_a_tombstone_in_the_current_topic() -> None:
    given_records = [record(event_bytes(id=str(n)), n) for n in range(2)]
    given_records[1:1] = [record(ERASURE, 9, headers=(("traceparent", b"00-1"),)), record(b"{", 10)]
    outcome = process(*given_records)
    assert outcome.verdicts == (ASSIGNED, Verdict.ERASED, RejectReason.NOT_JSON, ASSIGNED)
    assert (outcome.assigned, [*outcome.erasures], len(outcome.rejected)) == (2, [1], 1)
    first, erased, last = outcome.results
    assert (erased.key, erased.headers[1:]) == (b"user-1042", (("traceparent", b"00-1"),))
    event = SegmentErased.model_validate_json(erased.value or b"")
    assert (event.subject, event.source, event.time) == ("user-1042", "segment-worker-a", NOW)
    assert event.id == uuid.uuid5(ASSIGNMENT_NAMESPACE, "cluster-1/user-activity/3/9")
    assert event.data.input.model_dump() == {
        "id": "forget",
        "topic": "user-activity",
        "partition": 3,
        "offset": 9,
        "time": datetime(2026, 11, 22, 12, 0, 0, 123_000, UTC),
    }
    place = (("input.topic", b"user-activity"), ("input.partition", b"3"), ("input.offset", b"9"))
    assert outcome.current == (first, Message(b"user-1042", None, place), last)
    # Alone it needs no model.
    alone = process(given_records[1])
    assert (alone.results, [*alone.erasures], alone.segments) == ((erased,), [0], {})


def test_where_the_model_fails_erasures_keep_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError

    monkeypatch.setattr(type(MODEL.segmentation), "assign", fail)
    outcome = process(record(ERASURE, 0), record(event_bytes(), 1), record(ERASURE, 2), record(ERASURE, 3))
    assert outcome.verdicts == (Verdict.ERASED, RejectReason.INTERNAL_ERROR, Verdict.ERASED, Verdict.ERASED)
    assert (len(outcome.results), [*outcome.erasures], outcome.assigned) == (3, [0, 1, 2], 0)


def test_an_erasure_can_have_the_record_time_of_its_event() -> None:
    (message,) = replace(SCORING, result_time="event").process(Records.of([record(ERASURE)]), NOW).results
    assert message.timestamp_ms == 1_795_348_800_123


def test_results_and_erasures_are_read_by_the_sdk_of_cloudevents() -> None:
    outcome = process(record(event_bytes(), 0), record(ERASURE, 1))
    found = [from_kafka_event(KafkaMessage(dict(m.headers), m.key, m.value or b"")) for m in outcome.results]
    assert [(event.get_type(), event.get_subject()) for event in found] == [
        ("user.segment.assigned.v1", "user-1042"),
        ("user.segment.erased.v1", "user-1042"),
    ]
    assert found[1].get_data() == orjson.loads(outcome.results[1].value or b"")["data"]
