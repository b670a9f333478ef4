"""The group's offset in the input is lost, by retention or with its topic: a loud error, or continued if set so."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.structs import OffsetAndMetadata, TopicPartition
from structlog.testing import capture_logs

from tests.support.brokers import TestBroker
from tests.support.kafka_world import CLIENTS, KafkaWorld, both_clients, client_of, looping
from tests.support.transport_contract import next_batch, until, values, work_off
from worker.errors import ExitStatus, RetryBatchError, StopProcessError
from worker.kafka import tuning
from worker.kafka.client import connected
from worker.kafka.consumer import IDLE_WAIT_MS
from worker.kafka.lost_offsets import LossReason
from worker.kafka.offsets import InputOffsets, Starts
from worker.kafka.ports import NotedOffset
from worker.kafka.transport import KafkaTransport


@pytest.fixture
def kafka(broker: TestBroker, client: str) -> Iterator[KafkaWorld]:
    with KafkaWorld(broker.bootstrap_servers, partitions=1, client=client) as kafka:
        yield kafka


def worked_off(kafka: KafkaWorld, count: int) -> KafkaTransport:
    """A worker that has committed this many records, and has nothing in hand."""
    kafka.send(*(b"old %d" % n for n in range(count)))
    transport = kafka.open()
    work_off(transport, count)
    assert transport.poll() is None
    return transport


def recreate(kafka: KafkaWorld, *values: bytes) -> None:
    """Delete the input topic and create another one of its name, with these records."""
    kafka.admin.delete_topics([kafka.input])
    until(lambda: kafka.input not in kafka.admin.list_topics() or None)
    kafka.create_topics()
    kafka.send(*values)


def commit_by_hand(kafka: KafkaWorld, offset: int, note: str = "") -> None:
    # As workers store it: of a note without a null byte at its end, librdkafka reads on into whatever comes next.
    stored = NotedOffset.stored(offset, note).metadata
    at = {TopicPartition(kafka.input, 0): OffsetAndMetadata(offset, stored, -1)}
    kafka.admin.alter_group_offsets(kafka.group, at)


def note(kafka: KafkaWorld) -> str:
    """What stands beside the committed offset."""
    offsets = kafka.admin.list_group_offsets({kafka.group: None})[kafka.group]
    return str(offsets[TopicPartition(kafka.input, 0)].metadata)


def ended(step: Callable[[], Any]) -> StopProcessError:
    """The error that ends the worker, however often it retries before."""

    def ending() -> StopProcessError | None:
        try:
            step()
        except RetryBatchError:
            return None
        except StopProcessError as error:
            return error
        return None

    return until(ending)


@both_clients
def test_set_to_earliest_a_worker_continues_after_what_retention_deleted_and_logs_what_it_skipped(
    kafka: KafkaWorld,
) -> None:
    worked_off(kafka, 2).close()
    kafka.send(*(b"new %d" % n for n in range(6)))
    kafka.admin.delete_records({TopicPartition(kafka.input, 0): 5})
    second = kafka.open(worker_on_offset_out_of_range="earliest")
    with capture_logs() as logs:
        until(lambda: second.poll() or kafka.committed()[0] == 5 or None)
    (logged,) = [entry for entry in logs if entry["event"] == "lost_offset_skipped"]
    assert logged["log_level"] == "error"
    assert (logged["partition"], logged["committed"], logged["continues_at"]) == (f"{kafka.input}/0", 2, 5)
    assert logged["because"] is LossReason.OUT_OF_RANGE
    # Committed before anything was read: a restart without the setting continues there.
    second.close()
    work_off(kafka.open(), 3)
    assert kafka.values(kafka.output) == [b"old 0", b"old 1", b"new 3", b"new 4", b"new 5"]


@both_clients
def test_an_offset_beyond_the_end_of_a_recreated_topic_is_a_loud_error(kafka: KafkaWorld) -> None:
    kafka.send(b"new")
    commit_by_hand(kafka, 3)
    error = ended(kafka.open().poll)
    assert error.exit_status == ExitStatus.ACT_FIRST
    assert f"group {kafka.group}, topic {kafka.input}, partition 0: cannot resume from committed offset 3" in str(error)
    assert LossReason.UNKNOWN in str(error)
    assert "WORKER_ON_OFFSET_OUT_OF_RANGE=earliest to continue at offset 0" in str(error)


def test_set_to_earliest_a_worker_whose_offset_is_beyond_the_end_reads_the_new_topic_from_its_beginning(
    kafka: KafkaWorld,
) -> None:
    kafka.send(b"new")
    commit_by_hand(kafka, 3)
    work_off(kafka.open(worker_on_offset_out_of_range="earliest"), 1)
    assert kafka.values(kafka.output) == [b"new"]


@both_clients
def test_a_log_that_lost_processed_records_is_a_loud_error_whatever_is_set(kafka: KafkaWorld) -> None:
    # The offset's own topic, and shorter than it was: from its beginning all that is left would come twice.
    worked_off(kafka, 1).close()
    commit_by_hand(kafka, 50, note(kafka))
    error = ended(kafka.open(worker_on_offset_out_of_range="earliest").poll)
    assert error.exit_status == ExitStatus.ACT_FIRST
    assert LossReason.TRUNCATED in str(error)
    assert "WORKER_ON_OFFSET_OUT_OF_RANGE" not in str(error)


def test_a_log_that_lost_processed_records_is_not_out_of_range_when_it_has_grown_again(
    kafka: KafkaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked_off(kafka, 1).close()
    commit_by_hand(kafka, 20, note(kafka))
    ask = InputOffsets.starts

    def ask_when_it_has_grown(self: InputOffsets, out_of_range: Mapping[TopicPartition, int]) -> Starts:
        kafka.send(*(b"since %d" % n for n in range(30)))
        return ask(self, out_of_range)

    monkeypatch.setattr(InputOffsets, "starts", ask_when_it_has_grown)
    error = ended(kafka.open(worker_on_offset_out_of_range="earliest").poll)
    assert LossReason.TRUNCATED in str(error)
    assert kafka.values(kafka.output) == [b"old 0"]


@both_clients
def test_a_worker_that_knew_the_old_topic_continues_where_another_got_to_in_the_new_one(kafka: KafkaWorld) -> None:
    worker = worked_off(kafka, 2)
    recreate(kafka, *(b"new %d" % n for n in range(9)))
    (described,) = kafka.admin.describe_topics([kafka.input])
    kafka.expel_members()
    commit_by_hand(kafka, 5, str(described["topic_id"]))
    with looping(worker):
        until(lambda: kafka.committed() == {0: 9} or None)
    assert kafka.values(kafka.output) == [b"old 0", b"old 1", *(b"new %d" % n for n in range(5, 9))]


@both_clients
def test_a_topic_recreated_under_a_worker_is_a_loud_error_although_it_holds_the_offset(kafka: KafkaWorld) -> None:
    worker = worked_off(kafka, 2)
    recreate(kafka, *(b"new %d" % n for n in range(9)))
    error = ended(lambda: until(worker.poll))
    assert error.exit_status == ExitStatus.ACT_FIRST
    assert LossReason.RECREATED in str(error)
    assert kafka.values(kafka.output) == [b"old 0", b"old 1"]


@both_clients
def test_it_is_too_when_the_worker_had_no_partition_for_a_while(
    kafka: KafkaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "METADATA_MAX_AGE_MS", 500)
    worker = worked_off(kafka, 2)
    kafka.admin.delete_topics([kafka.input])

    def nothing_assigned() -> bool | None:
        with suppress(RetryBatchError):
            worker.poll()
        return True if not client_of(worker).assignment() else None

    until(nothing_assigned)
    until(lambda: kafka.input not in kafka.admin.list_topics() or None)
    kafka.create_topics()
    kafka.send(*(b"new %d" % n for n in range(9)))
    assert LossReason.RECREATED in str(ended(lambda: until(worker.poll)))


def test_set_to_earliest_a_worker_reads_a_topic_recreated_under_it_from_its_beginning(kafka: KafkaWorld) -> None:
    kafka.send(b"old 0", b"old 1")
    worker = kafka.open(worker_on_offset_out_of_range="earliest", worker_start_at="latest")
    until(lambda: worker.poll() or kafka.committed() == {0: 2} or None)
    recreate(kafka, *(b"new %d" % n for n in range(9)))
    work_off(worker, 9)
    assert kafka.values(kafka.output) == [b"new %d" % n for n in range(9)]


@pytest.mark.parametrize(("client", "of_the_next"), [CLIENTS, CLIENTS[::-1]])
def test_an_offset_of_another_topic_of_the_same_name_is_a_loud_error_at_the_start(
    kafka: KafkaWorld, of_the_next: str
) -> None:
    # As when a batch was committed at the moment its topic was recreated.
    worked_off(kafka, 2).close()
    old = note(kafka)
    assert old.endswith("\0")  # or confluent-kafka would read on into foreign memory
    recreate(kafka, *(b"new %d" % n for n in range(9)))
    commit_by_hand(kafka, 2, old)
    first = kafka.open(kafka_client=of_the_next)
    assert LossReason.RECREATED in str(ended(first.poll))
    first.close()
    assert kafka.values(kafka.output) == [b"old 0", b"old 1"]
    work_off(kafka.open(worker_on_offset_out_of_range="earliest"), 9)
    assert len(kafka.values(kafka.output)) == 11


def test_a_worker_continues_at_an_offset_set_by_hand(kafka: KafkaWorld) -> None:
    worked_off(kafka, 3).close()
    commit_by_hand(kafka, 1)
    assert values(next_batch(kafka.open()))[0] == b"old 1"


@pytest.mark.parametrize("join_s", [0.0, 4 * IDLE_WAIT_MS / 1000], ids=["joins in one poll", "joins in several"])
def test_a_committed_offset_that_vanishes_under_a_worker_is_a_loud_error(
    kafka: KafkaWorld, join_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = worked_off(kafka, 2)
    coordinator = client_of(worker)._coordinator
    once = coordinator._do_join_and_sync_async

    async def slowly() -> Any:
        await coordinator._net.sleep(join_s)
        return await once()

    monkeypatch.setattr(coordinator, "_do_join_and_sync_async", slowly)
    # A group with members keeps its offsets, whoever asks; a recreated group of the same name has none.
    kafka.expel_members()
    kafka.admin.delete_groups([kafka.group])
    error = ended(worker.poll)
    assert error.exit_status == ExitStatus.ACT_FIRST
    assert f"topic {kafka.input}, partition 0: cannot resume from committed offset 2" in str(error)
    assert LossReason.DELETED in str(error)


@both_clients
def test_set_to_earliest_a_worker_whose_offset_was_deleted_continues_at_the_earliest_record(kafka: KafkaWorld) -> None:
    kafka.send(b"old 0", b"old 1")
    worker = kafka.open(worker_on_offset_out_of_range="earliest")
    work_off(worker, 2)
    assert worker.poll() is None
    kafka.expel_members()
    kafka.admin.delete_groups([kafka.group])
    work_off(worker, 2)
    assert kafka.values(kafka.output) == [b"old 0", b"old 1", b"old 0", b"old 1"]


def upstream_transaction(kafka: KafkaWorld, *values: bytes, committed: bool = True) -> None:
    """Append records and their marker to the input, as a transactional producer does."""
    producer: Any = connected(
        KafkaProducer, bootstrap_servers=kafka.bootstrap_servers, transactional_id=f"{kafka.name}-upstream"
    )
    producer.init_transactions()
    producer.begin_transaction()
    for value in values:
        producer.send(kafka.input, value, partition=0)
    producer.flush()
    end_before = kafka.end_offset()
    producer.commit_transaction() if committed else producer.abort_transaction()
    producer.close()
    until(lambda: kafka.end_offset() > end_before or None)


@both_clients
def test_a_partition_that_ends_in_markers_is_committed_to_its_end_and_read_on_after_retention_deletes_all(
    kafka: KafkaWorld,
) -> None:
    kafka.send(*(b"%d" % n for n in range(20)))
    first = kafka.open()
    upstream_transaction(kafka, b"20")
    work_off(first, 21)
    until(lambda: first.poll() or kafka.committed() == {0: 22} or None)
    assert [each.lag for each in first.progress()] == [0]
    upstream_transaction(kafka, b"aborted", committed=False)
    first._reader._markers_not_before_s = 0.0
    until(lambda: first.poll() or kafka.committed() == {0: 24} or None)
    first.close()
    kafka.admin.delete_records({TopicPartition(kafka.input, 0): 24})
    second = kafka.open()
    kafka.send(b"21")
    work_off(second, 1)
    assert kafka.values(kafka.output) == [b"%d" % n for n in range(22)]


@both_clients
def test_offsets_without_records_are_committed_seldom(kafka: KafkaWorld) -> None:
    worker = kafka.open()
    upstream_transaction(kafka, b"aborted", committed=False)
    until(lambda: worker.poll() or kafka.committed() == {0: 2} or None)
    upstream_transaction(kafka, b"aborted", committed=False)
    until(lambda: worker.poll() or worker._reader.offsets.ahead() == {(kafka.input, 0): 4} or None)
    assert worker.poll() is None
    assert kafka.committed() == {0: 2}
    # Yet with the next batch, because that costs nothing.
    kafka.send(b"a")
    work_off(worker, 1)
    # The transaction's end reaches the offsets a little later than the worker.
    until(lambda: kafka.committed() == {0: 5} or None)


@both_clients
def test_a_worker_that_drains_commits_how_far_it_read(kafka: KafkaWorld) -> None:
    worker = worked_off(kafka, 2)
    worker._reader._markers_not_before_s = math.inf
    upstream_transaction(kafka, b"aborted", committed=False)
    until(lambda: worker.poll() or worker._reader.offsets.ahead() == {(kafka.input, 0): 4} or None)
    worker.commit_markers()
    until(lambda: kafka.committed() == {0: 4} or None)
    assert worker._reader.markers() is None
    upstream_transaction(kafka, b"aborted", committed=False)
    until(lambda: worker.poll() or worker._reader.offsets.ahead() == {(kafka.input, 0): 6} or None)
    worker._reader.forget_positions()  # as when the group has rebalanced since
    worker.commit_markers()
    worker.close()
    assert kafka.committed() == {0: 4}


@both_clients
def test_a_marker_that_retention_deletes_before_it_is_committed_does_not_stop_the_worker_that_read_it(
    kafka: KafkaWorld,
) -> None:
    worker = worked_off(kafka, 2)
    worker._reader._markers_not_before_s = math.inf
    upstream_transaction(kafka, b"aborted", committed=False)
    until(lambda: worker.poll() or worker._reader.offsets.ahead() == {(kafka.input, 0): 4} or None)
    kafka.admin.delete_records({TopicPartition(kafka.input, 0): 4})
    worker.rewind()
    kafka.send(b"new")
    work_off(worker, 1)
    assert kafka.values(kafka.output) == [b"old 0", b"old 1", b"new"]


def test_markers_that_were_read_and_that_the_log_lost_do_not_stop_the_worker_for_it_holds_the_committed_offset(
    kafka: KafkaWorld,
) -> None:
    worker = worked_off(kafka, 2)
    # As after an unclean leader election, which one broker cannot have; not committed before the broker refuses them.
    worker._reader._markers_not_before_s = math.inf
    worker._reader.offsets._without_records = {TopicPartition(kafka.input, 0): range(2, 50)}
    worker._reader._markers_not_before_s = float("inf")  # nor committed, however late the broker refuses to read there
    worker.rewind()
    with pytest.raises(RetryBatchError):
        until(worker.poll)
    worker.rewind()
    kafka.send(b"new")
    work_off(worker, 1)
    assert kafka.values(kafka.output) == [b"old 0", b"old 1", b"new"]


def test_what_retention_deletes_before_any_worker_read_it_is_a_loud_error_for_it_may_have_been_records(
    kafka: KafkaWorld,
) -> None:
    worked_off(kafka, 2).close()
    upstream_transaction(kafka, b"aborted", committed=False)
    kafka.admin.delete_records({TopicPartition(kafka.input, 0): 4})
    error = ended(kafka.open().poll)
    assert error.exit_status == ExitStatus.ACT_FIRST
    assert LossReason.OUT_OF_RANGE in str(error)
