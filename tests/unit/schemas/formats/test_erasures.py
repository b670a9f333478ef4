"""Users who are to be forgotten: an event says it, or a tombstone in a compacted topic."""

from datetime import UTC, datetime

import orjson
import pytest

from schemas import UserProfile
from schemas.event_columns import EventReader, Read
from schemas.events import Erasure
from schemas.formats.cloudevents import CLOUDEVENTS, CloudEvents
from schemas.formats.input_format import InputFormat, ignored_rows
from schemas.formats.mapped import PRESETS, Given, mapped
from schemas.formats.where import where
from schemas.rejected import RejectReason
from tests.support.events import ENVELOPE, event_bytes
from tests.support.scoring import record
from worker.stream.records import Record, Records

AT = datetime(2026, 11, 22, 12, 0, 0, 123_000, UTC)
ERASED = "user.erased.v1"
COMPACTED = CLOUDEVENTS.of_compacted_topic()


def read(of: InputFormat, *records: Record) -> Read:
    return EventReader(UserProfile, 900_000, of).read(Records.of(records))


def erasure(without: str = "", **changed: object) -> bytes:
    event = {**ENVELOPE, "type": ERASED, **changed}
    return orjson.dumps({name: value for name, value in event.items() if name != without})


@pytest.mark.parametrize("value", [erasure(), erasure(data={"age": 1}), erasure(data=None, more=[1])])
def test_an_event_erases_its_subject_whatever_its_data(value: bytes) -> None:
    found = read(CLOUDEVENTS, record(event_bytes()), record(value), record(event_bytes()))
    assert found.erasures == {1: Erasure("6f9c", "user-1042", AT)}
    assert ([*found.events.rows], found.rejections, [*found.ignored]) == ([0, 2], {}, [])


@pytest.mark.parametrize(
    "value", [erasure(without="subject"), erasure(subject=""), erasure(subject=7), erasure(time="now"), erasure("id")]
)
def test_an_erasure_that_does_not_say_of_whom_or_when_is_rejected(value: bytes) -> None:
    found = read(CLOUDEVENTS, record(value))
    assert found.rejections[0].reason is RejectReason.INVALID_ENVELOPE
    assert not found.erasures


BINARY = tuple((f"ce_{name}", str(text).encode()) for name, text in {**ENVELOPE, "type": ERASED}.items())


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[1]"])
def test_an_erasure_in_binary_mode_needs_no_data(value: bytes | None) -> None:
    for of in (CLOUDEVENTS, COMPACTED):
        found = read(of, record(event_bytes()), record(value, key=None, headers=BINARY))
        assert found.erasures == {1: Erasure("6f9c", "user-1042", AT)}
        assert (found.rejections, [*found.ignored]) == ({}, [])


def test_another_type_is_rejected_and_both_that_are_known_are_named() -> None:
    (rejection,) = read(CLOUDEVENTS, record(event_bytes(type="user.deleted.v1"))).rejections.values()
    assert rejection.reason is RejectReason.UNKNOWN_TYPE
    assert "user.profile.observed.v1 and user.erased.v1" in rejection.detail


def test_a_tombstone_erases_its_key_in_a_compacted_topic_and_is_empty_in_another() -> None:
    found = read(COMPACTED, record(None, offset=7, key="Zoë".encode()))
    assert found.erasures == {0: Erasure("user-activity/3/7", "Zoë", datetime(2025, 11, 24, 16, 0, tzinfo=UTC))}
    assert read(CLOUDEVENTS, record(None)).rejections[0].reason is RejectReason.EMPTY
    # No bytes are a value.
    assert read(COMPACTED, record(b"")).rejections[0].reason is RejectReason.EMPTY


@pytest.mark.parametrize("key", [None, b"", b"\xff", b"x" * 1025])
def test_a_tombstone_whose_key_is_not_a_user_id_is_rejected(key: bytes | None) -> None:
    (rejection,) = read(COMPACTED, record(None, key=key)).rejections.values()
    assert rejection.reason is RejectReason.INVALID_ENVELOPE
    assert rejection.detail.startswith("$key: ")


def test_conditions_come_first() -> None:
    of = CloudEvents(where("header:kind=user")).of_compacted_topic()
    found = read(of, record(None), record(None, headers=(("kind", b"user"),)), record(erasure()))
    assert ([*found.erasures], sorted(found.ignored)) == ([1], [0, 2])
    of = CloudEvents(where("/source=/apps/crm"))
    assert [*read(of, record(erasure()), record(erasure(source="/apps/crm"))).erasures] == [1]


@pytest.mark.parametrize("condition", ["/data/age=25-34", "/data/more/of=it", "/data=1"])
def test_conditions_on_data_do_not_apply_to_an_erasure_and_others_do(condition: str) -> None:
    erasures = [
        record(erasure()),
        record(erasure(data={"age": "18-24"}, more=[1])),
        *(record(value, headers=BINARY) for value in (None, b"", b"{}")),
    ]
    others = [record(event_bytes({"age": "18-24"})), record(event_bytes({"age": "18-24"}, more=[1]))]
    records = [*erasures, *others]
    of = CloudEvents(where(condition))
    found = read(of, *records)
    assert ([*found.erasures], sorted(found.ignored), found.rejections) == ([0, 1, 2, 3, 4], [5, 6], {})
    assert ignored_rows(of, Records.of(records), 900_000) == [5, 6]
    of = CloudEvents(where(f"/type=user.profile.observed.v1 && {condition}"))
    assert sorted(read(of, *records).ignored) == [*range(7)]
    assert ignored_rows(of, Records.of(records), 900_000) == [*range(7)]


def test_in_other_formats_a_tombstone_erases_only_where_its_key_is_the_user() -> None:
    by_key = mapped(PRESETS["json"], Given(user="$key"), numeric_ids=False).of_compacted_topic()
    assert read(by_key, record(None)).erasures[0].subject == "user-1042"
    by_pointer = mapped(PRESETS["json"], Given(user="/user"), numeric_ids=False).of_compacted_topic()
    assert read(by_pointer, record(None)).rejections[0].reason is RejectReason.EMPTY
    debezium = mapped(PRESETS["debezium"], Given(user="$key"), numeric_ids=False).of_compacted_topic()
    assert [*read(debezium, record(None)).ignored] == [0]
    debezium = mapped(PRESETS["debezium"], Given(user="/subject"), numeric_ids=False)
    assert [*read(debezium, record(None)).ignored] == [0]
    segment = mapped(PRESETS["segment"], Given(user="$key"), numeric_ids=False).of_compacted_topic()
    assert [*read(segment, record(None)).erasures] == [0]


def test_in_other_formats_an_event_whose_type_says_erased_is_a_record_like_any_other() -> None:
    of = mapped(PRESETS["json"], Given(user="/subject", data="/data"), numeric_ids=False).of_compacted_topic()
    found = read(of, record(event_bytes(type=ERASED)), record(erasure()))
    assert ([*found.events.rows], [*found.rejections], found.erasures) == ([0], [1], {})
