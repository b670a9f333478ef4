"""The group's place in the input is gone, by retention or with its topic: a loud error, or told to go on even so."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from kafka.structs import OffsetAndMetadata, TopicPartition
from structlog.testing import capture_logs

from tests.support.brokers import TestBroker
from tests.support.kafka_world import KafkaWorld, looping
from tests.support.transport_contract import next_batch, until, values, work_off
from worker.errors import ExitStatus, RetryBatchError, StopProcessError
from worker.kafka.offsets import Positions, Starts
from worker.kafka.transport import KafkaTransport


@pytest.fixture
def kafka(broker: TestBroker) -> Iterator[KafkaWorld]:
    with KafkaWorld(broker.bootstrap_servers, partitions=1) as kafka:
        yield kafka


def worked_off(kafka: KafkaWorld, count: int) -> KafkaTransport:
    """A worker that has committed this many records, and has nothing in hand."""
    kafka.send(*(b"old %d" % n for n in range(count)))
    transport = kafka.open()
    work_off(transport, count)
    assert transport.poll() is None
    return transport


def make_anew(kafka: KafkaWorld, *values: bytes) -> None:
    """Delete the input topic and create another one of its name, with these records."""
    kafka.admin.delete_topics([kafka.input])
    until(lambda: kafka.input not in kafka.admin.list_topics() or None)
    kafka.create_topics()
    kafka.send(*values)


def commit_by_hand(kafka: KafkaWorld, offset: int, note: str = "") -> None:
    at = {TopicPartition(kafka.input, 0): OffsetAndMetadata(offset, note, -1)}
    kafka.admin.alter_group_offsets(kafka.group, at)


def note(kafka: KafkaWorld) -> str:
    """What stands beside the committed offset."""
    offsets = kafka.admin.list_group_offsets({kafka.group: None})[kafka.group]
    return str(offsets[TopicPartition(kafka.input, 0)].metadata)


def ended(step: Callable[[], Any]) -> StopProcessError:
    """With what the worker ends, however often it is told to try again before."""

    def ending() -> StopProcessError | None:
        try:
            step()
        except RetryBatchError:
            return None
        except StopProcessError as error:
            return error
        return None

    return until(ending)


def test_told_so_a_worker_goes_on_behind_what_retention_removed_and_says_what_it_passed_over(
    kafka: KafkaWorld,
) -> None:
    worked_off(kafka, 2).close()
    kafka.send(*(b"new %d" % n for n in range(6)))
    kafka.admin.delete_records({TopicPartition(kafka.input, 0): 5})
    second = kafka.open(worker_on_expired_offsets="earliest")
    with capture_logs() as logs:
        until(lambda: second.poll() or kafka.committed()[0] == 5 or None)
    (told,) = [entry for entry in logs if entry["event"] == "expired_offset_passed_over"]
    assert told["log_level"] == "error"
    assert (told["partition"], told["committed"], told["goes_on_at"]) == (f"{kafka.input}/0", 2, 5)
    assert told["because"].startswith("retention removed records")
    # Committed before anything was read: a restart that is told nothing goes on there.
    second.close()
    work_off(kafka.open(), 3)
    assert kafka.values(kafka.output) == [b"old 0", b"old 1", b"new 3", b"new 4", b"new 5"]


def test_an_offset_beyond_the_end_of_a_topic_made_anew_is_a_loud_error(kafka: KafkaWorld) -> None:
    kafka.send(b"new")
    commit_by_hand(kafka, 3)
    error = ended(kafka.open().poll)
    assert error.exit_status == ExitStatus.ACT_FIRST
    assert f"committed offset 3 of group {kafka.group} for topic {kafka.input}, partition 0" in str(error)
    assert "its log goes from 0 to 1: the topic was made anew" in str(error)
    assert "WORKER_ON_EXPIRED_OFFSETS=earliest to go on at offset 0" in str(error)


def test_told_so_a_worker_whose_offset_is_beyond_the_end_reads_the_new_topic_from_its_beginning(
    kafka: KafkaWorld,
) -> None:
    kafka.send(b"new")
    commit_by_hand(kafka, 3)
    work_off(kafka.open(worker_on_expired_offsets="earliest"), 1)
    assert kafka.values(kafka.output) == [b"new"]


def test_a_log_that_lost_what_was_worked_on_is_a_loud_error_whatever_is_set(kafka: KafkaWorld) -> None:
    # The offset's own topic, and shorter than it was: from its beginning all that is left would come twice.
    worked_off(kafka, 1).close()
    commit_by_hand(kafka, 50, note(kafka))
    error = ended(kafka.open(worker_on_expired_offsets="earliest").poll)
    assert error.exit_status == ExitStatus.ACT_FIRST
    assert "lost records that were worked on already" in str(error)
    assert "WORKER_ON_EXPIRED_OFFSETS" not in str(error)


def test_a_log_that_lost_what_was_worked_on_is_no_expired_offset_when_it_has_grown_again(
    kafka: KafkaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked_off(kafka, 1).close()
    commit_by_hand(kafka, 20, note(kafka))
    ask = Positions.starts

    def ask_when_it_has_grown(self: Positions, out_of_range: Mapping[TopicPartition, int]) -> Starts:
        kafka.send(*(b"since %d" % n for n in range(30)))
        return ask(self, out_of_range)

    monkeypatch.setattr(Positions, "starts", ask_when_it_has_grown)
    error = ended(kafka.open(worker_on_expired_offsets="earliest").poll)
    assert "lost records that were worked on already" in str(error)
    assert kafka.values(kafka.output) == [b"old 0"]


def test_a_worker_that_knew_the_old_topic_goes_on_where_another_got_to_in_the_new_one(kafka: KafkaWorld) -> None:
    worker = worked_off(kafka, 2)
    make_anew(kafka, *(b"new %d" % n for n in range(9)))
    (described,) = kafka.admin.describe_topics([kafka.input])
    kafka.expel_members()
    commit_by_hand(kafka, 5, str(described["topic_id"]))
    with looping(worker):
        until(lambda: kafka.committed() == {0: 9} or None)
    assert kafka.values(kafka.output) == [b"old 0", b"old 1", *(b"new %d" % n for n in range(5, 9))]


def test_a_topic_made_anew_under_a_worker_is_a_loud_error_although_it_holds_the_offset(kafka: KafkaWorld) -> None:
    worker = worked_off(kafka, 2)
    make_anew(kafka, *(b"new %d" % n for n in range(9)))
    error = ended(lambda: until(worker.poll))
    assert error.exit_status == ExitStatus.ACT_FIRST
    assert "the topic was deleted and made anew" in str(error)
    assert kafka.values(kafka.output) == [b"old 0", b"old 1"]


def test_it_is_too_when_the_worker_had_no_partition_for_a_while(kafka: KafkaWorld) -> None:
    worker = worked_off(kafka, 2)
    kafka.admin.delete_topics([kafka.input])

    def nothing_assigned() -> bool | None:
        with suppress(RetryBatchError):
            worker.poll()
        return True if not worker._reader._consumer.assignment() else None

    until(nothing_assigned)
    until(lambda: kafka.input not in kafka.admin.list_topics() or None)
    kafka.create_topics()
    kafka.send(*(b"new %d" % n for n in range(9)))
    assert "the topic was deleted and made anew" in str(ended(lambda: until(worker.poll)))


def test_told_so_a_worker_reads_a_topic_made_anew_under_it_from_its_beginning(kafka: KafkaWorld) -> None:
    kafka.send(b"old 0", b"old 1")
    worker = kafka.open(worker_on_expired_offsets="earliest", worker_start_at="latest")
    until(lambda: worker.poll() or kafka.committed() == {0: 2} or None)
    make_anew(kafka, *(b"new %d" % n for n in range(9)))
    work_off(worker, 9)
    assert kafka.values(kafka.output) == [b"new %d" % n for n in range(9)]


def test_an_offset_of_another_topic_of_the_same_name_is_a_loud_error_at_the_start(kafka: KafkaWorld) -> None:
    # As when a batch was committed in the moment in which its topic was made anew.
    worked_off(kafka, 2).close()
    old = note(kafka)
    make_anew(kafka, *(b"new %d" % n for n in range(9)))
    commit_by_hand(kafka, 2, old)
    first = kafka.open()
    assert "the topic was deleted and made anew" in str(ended(first.poll))
    first.close()
    assert kafka.values(kafka.output) == [b"old 0", b"old 1"]
    work_off(kafka.open(worker_on_expired_offsets="earliest"), 9)
    assert len(kafka.values(kafka.output)) == 11


def test_an_offset_set_by_hand_is_where_a_worker_goes_on(kafka: KafkaWorld) -> None:
    worked_off(kafka, 3).close()
    commit_by_hand(kafka, 1)
    assert values(next_batch(kafka.open()))[0] == b"old 1"


def test_a_committed_offset_that_vanishes_under_a_worker_is_a_loud_error(kafka: KafkaWorld) -> None:
    worker = worked_off(kafka, 2)
    # A group with members keeps its offsets, whoever asks; a group of the same name made anew has none.
    kafka.expel_members()
    kafka.admin.delete_groups([kafka.group])
    error = ended(worker.poll)
    assert error.exit_status == ExitStatus.ACT_FIRST
    assert f"committed offset 2 of group {kafka.group} for topic {kafka.input}, partition 0" in str(error)
    assert "the offset was deleted while this worker ran" in str(error)


def test_told_so_a_worker_whose_offset_was_deleted_goes_on_at_the_earliest_record(kafka: KafkaWorld) -> None:
    kafka.send(b"old 0", b"old 1")
    worker = kafka.open(worker_on_expired_offsets="earliest")
    work_off(worker, 2)
    assert worker.poll() is None
    kafka.expel_members()
    kafka.admin.delete_groups([kafka.group])
    work_off(worker, 2)
    assert kafka.values(kafka.output) == [b"old 0", b"old 1", b"old 0", b"old 1"]
