from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import orjson
import pytest
from pydantic import AfterValidator

from models.segmentation import Assignments, Segmentation
from schemas.events import SegmentAssigned
from schemas.rejected import RejectReason
from tests.support.events import event_bytes
from tests.support.nasty_classes import CANARY, GOOD, NASTY, NOW, Nasty, profile_class, scoring
from worker.stream.records import Outcome, Record, Records, Verdict

ASSIGNED = Verdict.ASSIGNED


def record(data: Mapping[str, Any], offset: int = 0) -> Record:
    return Record("in", 0, offset, 0, b"k", event_bytes(data=dict(data)))


def headers_of(outcome: Outcome) -> list[dict[str, str]]:
    return [{name: content.decode() for name, content in message.headers} for message in outcome.rejected]


@pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY)
def test_no_class_stops_the_worker_and_what_it_gives_is_a_plain_value_or_a_rejection(nasty: Nasty) -> None:
    outcome = scoring(nasty.of).process(Records.of([record(nasty.data)]), NOW)
    if nasty.field is None:
        (message,) = outcome.results
        assert SegmentAssigned.model_validate_json(message.value or b"").data.distance >= 0
        return
    (headers,) = headers_of(outcome)
    assert outcome.verdicts == (RejectReason.INVALID_PROFILE,)
    assert headers["rejected.detail"].startswith(f"data.{nasty.field}: " if nasty.field else "data: ")
    assert CANARY not in str(outcome.rejected)


def test_a_bad_value_rejects_its_own_event_only_and_changes_no_byte_of_another() -> None:
    of = scoring(profile_class())
    good = [record(GOOD, 0), record({**GOOD, "label": "new"}, 2), record({**GOOD, "x": 9}, 4)]
    bad = [record({**GOOD, "x": "nan"}, 1), record({**GOOD, "x": "inf"}, 3)]
    outcome = of.process(Records.of(sorted([*good, *bad], key=lambda each: each.offset)), NOW)
    assert outcome.results == of.process(Records.of(good), NOW).results
    assert [headers["rejected.offset"] for headers in headers_of(outcome)] == ["1", "3"]
    bad_one = RejectReason.INVALID_PROFILE
    assert outcome.verdicts == (ASSIGNED, bad_one, ASSIGNED, bad_one, ASSIGNED)
    assert (outcome.reasons, outcome.unknown_values) == ({bad_one: 2}, {"label": 1})


def test_missing_values_are_named_and_counted_and_a_user_of_whom_little_is_known_is_rejected() -> None:
    of = scoring(profile_class(x=float | None, label=str | None))
    data = [GOOD, {**GOOD, "x": None}, {**GOOD, "label": ""}, {**GOOD, "x": 1e9}, {**GOOD, "x": None, "label": None}]
    outcome = of.process(Records.of([record(each, at) for at, each in enumerate(data)]), NOW)
    results = [SegmentAssigned.model_validate_json(message.value or b"").data for message in outcome.results]
    assert [each.missing_values for each in results] == [(), ("x",), ("label",), ()]
    assert [each.out_of_range for each in results] == [(), (), (), ("x",)]
    assert results[3].outlier
    assert outcome.verdicts == (ASSIGNED, ASSIGNED, ASSIGNED, ASSIGNED, RejectReason.TOO_LITTLE_KNOWN)
    assert outcome.missing_values == {"x": 1, "label": 1}


def test_a_number_that_does_not_count_in_the_distance_is_finite_too() -> None:
    of = scoring(profile_class(), weight=0.0)
    assert of.process(Records.of([record({**GOOD, "x": "nan"})]), NOW).reasons == {RejectReason.INVALID_PROFILE: 1}
    assert len(of.process(Records.of([record(GOOD)]), NOW).results) == 1


@pytest.mark.parametrize("error", [OSError("disk"), MemoryError()])
def test_a_class_that_meets_a_broken_machine_stops_the_worker(error: BaseException) -> None:
    def fail(value: float) -> float:
        raise error

    of = profile_class(x=Annotated[float, AfterValidator(fail)])
    with pytest.raises(type(error)):
        scoring(of).process(Records.of([record(GOOD)]), NOW)


def failing_on_13(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Segmentation.assign

    def assign(self: Segmentation, columns: Any) -> Assignments:
        if 13 in columns["x"]:
            raise KeyError(CANARY)
        return right(self, columns)

    monkeypatch.setattr(Segmentation, "assign", assign)


def test_where_the_model_fails_the_events_that_it_fails_on_are_rejected_and_the_others_assigned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of = scoring(profile_class())
    values = [1, 13, "nan", 2, 13, 3]
    records = [record({**GOOD, "x": value}, offset) for offset, value in enumerate(values)]
    alone = [of.process(Records.of([each]), NOW).results for each in records]
    failing_on_13(monkeypatch)
    outcome = of.process(Records.of(records), NOW)
    assert outcome.results == (*alone[0], *alone[3], *alone[5])
    internal, invalid = RejectReason.INTERNAL_ERROR, RejectReason.INVALID_PROFILE
    assert outcome.verdicts == (ASSIGNED, internal, invalid, ASSIGNED, internal, ASSIGNED)
    assert outcome.reasons == {internal: 2, invalid: 1}
    assert sum(outcome.segments.values()) == 3
    assert [type(error) for error in outcome.errors] == [KeyError, KeyError]
    assert [headers["rejected.offset"] for headers in headers_of(outcome)] == ["1", "2", "4"]
    assert "KeyError" in headers_of(outcome)[0]["rejected.detail"]
    assert CANARY not in str(outcome.rejected)


def test_a_distance_that_is_not_finite_is_never_published() -> None:
    of = scoring(profile_class())
    far = replace(of.model.segmentation.segments[0], centroid=(1e200,) * 5)
    object.__setattr__(of.model, "segmentation", Segmentation(of.model.segmentation.encoder, (far,)))
    outcome = of.process(Records.of([record(GOOD)]), NOW)
    assert outcome.verdicts == (RejectReason.INTERNAL_ERROR,)


def test_a_result_is_what_the_cloudevents_package_reads_and_writes() -> None:
    from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event, to_structured_event

    trace = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("tracestate", b"a=b"))
    given = record(GOOD)._replace(headers=(("traceparent", b"older"), ("own", b"x"), *trace))
    (message,) = scoring(profile_class()).process(Records.of([given]), NOW).results
    headers = dict(message.headers)
    assert headers == {"content-type": b"application/cloudevents+json", **dict(trace)}
    event = from_kafka_event(KafkaMessage(headers, message.key, message.value or b""))
    assert (event.get_type(), event.get_subject()) == ("user.segment.assigned.v1", "user-1042")
    assert event.get_data() == orjson.loads(message.value or b"")["data"]
    assert to_structured_event(event).headers["content-type"] == headers["content-type"]


def test_a_rejected_record_keeps_the_trace_context_also_where_its_other_headers_are_too_many() -> None:
    trace = (("traceparent", b"00-1"), ("tracestate", b"a=b"))
    many = Record("in", 0, 0, 0, b"k", b"{", (*trace, *((f"h{i}", b"") for i in range(1_000))))
    (headers,) = headers_of(scoring(profile_class()).process(Records.of([many]), NOW))
    assert headers["rejected.left_out"] == "headers"
    assert {name for name in headers if not name.startswith("rejected.")} == {"traceparent", "tracestate"}


@pytest.mark.parametrize("content", [None, b"", b"x" * 513])
def test_a_trace_header_that_is_not_one_is_not_carried_over(content: bytes | None) -> None:
    given = record(GOOD)._replace(headers=(("traceparent", content),))
    (message,) = scoring(profile_class()).process(Records.of([given]), NOW).results
    assert [name for name, _ in message.headers] == ["content-type"]
