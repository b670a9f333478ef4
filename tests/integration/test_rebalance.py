"""A group whose members come and go: nobody's records are lost, nobody's count twice."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.future import Future
from kafka.structs import OffsetAndMetadata, TopicPartition
from structlog.testing import capture_logs

from tests.support.brokers import TestBroker
from tests.support.kafka_world import CLIENTS, KafkaWorld, both_clients, client_of, echo, looping
from tests.support.transport_contract import PATIENCE_S, commit, next_batch, until, values, work_off
from worker.errors import ExitStatus, RetryBatchError, StopProcessError
from worker.kafka import consumer as kafka_consumer
from worker.kafka import offsets as kafka_offsets
from worker.kafka import tuning
from worker.kafka.transport import KafkaTransport
from worker.operations.health import HealthWatch
from worker.stream.records import Batch


@pytest.fixture
def kafka(broker: TestBroker, client: str) -> Iterator[KafkaWorld]:
    with KafkaWorld(broker.bootstrap_servers, client=client) as kafka:
        yield kafka


def join(transport: KafkaTransport) -> None:
    """Poll until it owns all partitions; nothing may come meanwhile."""
    until(lambda: transport.poll() or len(transport.progress()) == 4 or None)


@pytest.mark.parametrize(("client", "of_the_second"), [*zip(CLIENTS, CLIENTS, strict=True), CLIENTS, CLIENTS[::-1]])
def test_two_workers_share_the_work_while_one_comes_and_goes(kafka: KafkaWorld, of_the_second: str) -> None:
    sent: list[int] = []
    enough = threading.Event()

    def feed() -> None:
        while not enough.wait(0.02):
            for _ in range(30):
                n = len(sent)
                kafka._producer.send(kafka.input, b"%d" % n, b"user-%d" % (n % 97))
                sent.append(n)

    feeder = threading.Thread(target=feed)
    with looping(kafka.open(worker_batch_max_events=50)) as first:
        feeder.start()
        until(lambda: len(first.records) > 300 or None)
        with looping(kafka.open(worker_batch_max_events=50, kafka_client=of_the_second)) as second:
            until(lambda: len(second.records) > 300 or None)
        enough.set()
        feeder.join()
        until(lambda: len(first.records) + len(second.records) >= len(sent) or None)
    assert sorted(int(value) for value in kafka.values(kafka.output)) == sent
    assert in_order_for_each_user(kafka)


def in_order_for_each_user(kafka: KafkaWorld) -> bool:
    last: dict[bytes, int] = {}
    for row in kafka.read(kafka.output):
        if int(row.value) <= last.get(row.key, -1):
            return False
        last[row.key] = int(row.value)
    return True


def test_a_batch_gathered_across_a_rebalance_is_dropped(kafka: KafkaWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    # One poll waits for more while a second worker takes half of the partitions whose records it holds already; for as
    # long as that may take on a slow machine, which is longer than the settings allow.
    monkeypatch.setattr(kafka_offsets, "STEP_LONGEST_S", 2.0 * PATIENCE_S)
    first, enough = kafka.open(), threading.Event()
    monkeypatch.setattr(first, "_next_begins_in_s", lambda: 0.0 if enough.is_set() else PATIENCE_S)
    # kafka-python does not always join a group again within polls that do not wait.
    poll = client_of(first).poll
    monkeypatch.setattr(client_of(first), "poll", lambda wait_ms, most: poll(max(wait_ms, 50.0), most))
    join(first)
    for partition in range(4):
        kafka.send(b"%d" % partition, partition=partition)
    got: list[Batch | None] = []
    dropped_before = kafka.batches_dropped
    gathering = threading.Thread(target=lambda: got.append(first.poll()))
    gathering.start()
    subscription = client_of(first)._subscription
    held = [TopicPartition(kafka.input, number) for number in range(4)]
    until(lambda: all(subscription.position(partition).offset == 1 for partition in held) or None)
    second = kafka.open()
    work_off(second, 2)
    enough.set()
    gathering.join()
    assert got == [None]
    assert kafka.batches_dropped > dropped_before
    work_off(first, 2)
    assert sorted(kafka.values(kafka.output)) == [b"0", b"1", b"2", b"3"]


@both_clients
def test_a_worker_that_did_not_poll_in_time_cannot_commit_what_another_one_took_over(kafka: KafkaWorld) -> None:
    first = kafka.open(worker_max_poll_interval_ms=6_000)
    kafka.send(b"a", b"b", partition=0)
    stale = next_batch(first)
    until(lambda: not first.joined or None)
    second = kafka.open()
    work_off(second, 2)
    with pytest.raises(RetryBatchError):
        commit(first, stale, echo(stale.records))
    assert kafka.values(kafka.output) == [b"a", b"b"]
    assert kafka.committed()[0] == 2


@both_clients
def test_a_worker_whose_generation_is_over_cannot_commit_although_it_is_a_member_again(kafka: KafkaWorld) -> None:
    first = kafka.open()
    join(first)
    kafka.send(b"a", partition=0)
    stale = next_batch(first)
    kafka.expel_members()
    until(lambda: not first.joined or None)
    until(lambda: first.poll() or first.joined or None)
    before = kafka.batches_dropped
    with pytest.raises(RetryBatchError):
        commit(first, stale, echo(stale.records))
    assert kafka.batches_dropped == before + 1
    first.rewind()
    work_off(first, 1)
    assert kafka.values(kafka.output) == [b"a"]


@both_clients
def test_a_batch_of_another_member_is_refused_although_the_generation_is_the_same(kafka: KafkaWorld) -> None:
    # A group that was deleted counts its generations from the start.
    first = kafka.open(worker_on_offset_out_of_range="earliest")
    kafka.send(b"a", partition=0)
    stale = next_batch(first)
    kafka.expel_members()
    kafka.admin.delete_groups([kafka.group])
    until(lambda: not first.joined or None)
    again = next_batch(first)
    assert again.membership.generation == stale.membership.generation
    assert again.membership.member_id != stale.membership.member_id
    with pytest.raises(RetryBatchError, match="rebalanced"):
        commit(first, stale, echo(stale.records))
    commit(first, again, echo(again.records))
    assert kafka.values(kafka.output) == [b"a"]


@both_clients
def test_a_partition_that_leaves_advances_elsewhere_and_returns_is_read_from_its_committed_offset(
    kafka: KafkaWorld,
) -> None:
    first = kafka.open()
    kafka.send(b"0", b"1", partition=0)
    stale = next_batch(first)
    kafka.expel_members()
    second = kafka.open()
    work_off(second, 2)
    kafka.send(b"2", partition=0)
    work_off(second, 1)
    second.close()
    with pytest.raises(RetryBatchError):
        commit(first, stale, echo(stale.records))
    first.rewind()
    kafka.send(b"3", partition=0)
    assert values(next_batch(first)) == [b"3"]
    assert kafka.values(kafka.output) == [b"0", b"1", b"2"]


def test_a_partition_kept_through_a_lost_membership_is_read_from_its_committed_offset(kafka: KafkaWorld) -> None:
    # kafka-python keeps assignment and positions when a membership is lost while it is rejoining already; meanwhile
    # the committed offset moves: here by an administrator's hand, since that needs no second worker.
    worker = kafka.open()
    kafka.send(b"0", b"1", b"2", b"3", partition=0)
    work_off(worker, 4)
    kafka.expel_members()
    kafka.admin.alter_group_offsets(kafka.group, {TopicPartition(kafka.input, 0): OffsetAndMetadata(2, "", -1)})
    coordinator = client_of(worker)._consumer._coordinator
    coordinator.rejoining = True
    coordinator.reset_generation()
    assert values(next_batch(worker)) == [b"2", b"3"]


def test_an_old_answer_about_committed_offsets_is_not_taken_for_a_new_one(kafka: KafkaWorld) -> None:
    worker = kafka.open()
    kafka.send(b"0", b"1", b"2", partition=0)
    work_off(worker, 3)
    consumer = client_of(worker)._consumer
    assigned = consumer.assignment()
    answer = consumer._coordinator.fetch_committed_offsets(assigned)
    assert answer[TopicPartition(kafka.input, 0)].offset == 3
    kafka.send(b"3", partition=0)
    work_off(worker, 1)
    # Where kafka-python leaves an answer that comes after its question was given up.
    consumer._coordinator._offset_fetch_futures[frozenset(assigned)] = Future().success(answer)
    worker.rewind()
    kafka.send(b"4", partition=0)
    assert values(next_batch(worker)) == [b"4"]


@both_clients
def test_added_partitions_are_read_by_a_static_worker_that_restarted(
    kafka: KafkaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The broker does not tell a static member that restarted that it still leads its group.
    monkeypatch.setattr(tuning, "METADATA_MAX_AGE_MS", 500)
    first = kafka.open(worker_instance_id="one")
    join(first)
    first.close()
    again = kafka.open(worker_instance_id="one")
    join(again)
    kafka.admin.create_partitions({kafka.input: 5})
    until(lambda: again.poll() or len(again.progress()) == 5 or None)
    kafka.send(b"new", partition=4)
    assert values(next_batch(again)) == [b"new"]


def test_a_join_that_outlasts_a_poll_is_finished_by_a_later_one(
    kafka: KafkaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "METADATA_MAX_AGE_MS", 500)
    worker = kafka.open()
    join(worker)
    coordinator = client_of(worker)._consumer._coordinator
    once = coordinator._do_join_and_sync_async

    async def slowly() -> Any:
        assigned = await once()
        await coordinator._net.sleep(4 * kafka_consumer.IDLE_WAIT_MS / 1000)
        return assigned

    monkeypatch.setattr(coordinator, "_do_join_and_sync_async", slowly)
    kafka.admin.create_partitions({kafka.input: 5})
    until(lambda: worker.poll() or len(worker.progress()) == 5 or None)
    kafka.send(b"new", partition=4)
    work_off(worker, 1)
    assert kafka.values(kafka.output) == [b"new"]


@both_clients
def test_a_successor_waits_for_the_offsets_its_predecessor_has_in_an_open_transaction(
    kafka: KafkaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_offsets, "ANSWER_MS", 500)
    work_off_start(kafka)
    kafka.send(b"done by the predecessor", partition=0)
    predecessor: Any = KafkaConsumer(
        kafka.input, bootstrap_servers=kafka.bootstrap_servers, group_id=kafka.group, enable_auto_commit=False
    )
    # One poll until it has joined: kafka-python forgets a join that outlasts a poll.
    assert predecessor.poll(timeout_ms=1000 * PATIENCE_S)
    producer: Any = KafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers,
        transactional_id=f"{kafka.name}-before",
        transaction_timeout_ms=1000 * PATIENCE_S,
    )
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(kafka.output, b"done by the predecessor").get(timeout=PATIENCE_S)
    producer.send_offsets_to_transaction(
        {TopicPartition(kafka.input, 0): OffsetAndMetadata(1, "", -1)}, predecessor.group_metadata()
    )
    predecessor.close()
    successor = kafka.open()
    refused: list[RetryBatchError] = []
    while len(refused) < 3:
        try:
            assert successor.poll() is None
        except RetryBatchError as error:
            refused.append(error)
    producer.commit_transaction()
    producer.close()
    kafka.send(b"done by the successor", partition=0)
    assert values(next_batch(successor)) == [b"done by the successor"]


def work_off_start(kafka: KafkaWorld) -> None:
    """Let the group have its first committed offsets."""
    transport = kafka.open()
    join(transport)
    transport.close()


@both_clients
def test_an_instance_id_used_twice_ends_the_worker_that_lost_it_and_names_the_id(kafka: KafkaWorld) -> None:
    first = kafka.open(worker_instance_id="one")
    join(first)
    second = kafka.open(worker_instance_id="one")
    join(second)

    def noticed() -> StopProcessError | None:
        try:
            assert first.poll() is None
        except StopProcessError as error:
            return error
        return None

    error = until(noticed)
    assert error.exit_status == ExitStatus.ACT_FIRST
    assert "instance id one" in str(error)
    first.close()
    kafka.send(b"a", partition=0)
    work_off(second, 1)


@both_clients
def test_an_instance_id_used_twice_is_noticed_by_a_commit_too(kafka: KafkaWorld) -> None:
    first = kafka.open(worker_instance_id="one", worker_session_timeout_ms=30_000)
    kafka.send(b"a", partition=0)
    batch = next_batch(first)
    # The second one joins, and the first has no heartbeat before its commit that could tell.
    second = kafka.open(worker_instance_id="one")
    join(second)
    caught: list[StopProcessError] = []
    while not caught:
        try:
            commit(first, batch, echo(batch.records))
        except RetryBatchError:
            # The first attempt finds its producer fenced, not yet why.
            continue
        except StopProcessError as error:
            caught.append(error)
    assert "instance id one" in str(caught[0])
    assert kafka.values(kafka.output) == []


@both_clients
def test_a_reader_that_forgets_its_positions_goes_back_to_the_committed_offsets(kafka: KafkaWorld) -> None:
    kafka.send(b"a", b"b", partition=0)
    worker = kafka.open(worker_batch_max_events=1)
    work_off(worker, 1)
    (lost,) = next_batch(worker).records
    worker._reader.forget_positions()
    (again,) = next_batch(worker).records
    assert (lost.offset, again.offset) == (1, 1)


def test_batches_too_slow_for_the_poll_interval_become_smaller_until_they_get_through(kafka: KafkaWorld) -> None:
    kafka.send(*(b"%d" % n for n in range(75)), partition=0)
    worker = kafka.open(worker_max_poll_interval_ms=1_500)
    sizes: list[int] = []
    refused, done = 0, 0
    with capture_logs() as logs:
        while done < 75:
            batch = next_batch(worker)
            sizes.append(len(batch.records))
            # What the work costs: all of them at once take twice as long as a member may be silent.
            time.sleep(0.04 * len(batch.records))
            try:
                commit(worker, batch, echo(batch.records))
            except RetryBatchError:
                refused += 1
                assert refused < 4, sizes
                worker.rewind()
            else:
                done += len(batch.records)
    assert max(sizes) > 60
    assert min(sizes) <= 10
    assert kafka.values(kafka.output) == [b"%d" % n for n in range(75)]
    assert "batch_limit_lowered" in [entry["event"] for entry in logs]


def test_a_partition_that_stands_still_after_a_rebalance_is_no_longer_alive_while_others_move(
    kafka: KafkaWorld,
) -> None:
    transport = kafka.open()
    shown: list[str] = []
    health = HealthWatch(1.0, threading.Event(), lambda _: None, show_stacks=lambda: shown.append(health.live().reason))
    with looping(transport) as seen:
        kafka.send(b"before", partition=0)
        until(lambda: seen.records or None)
        kafka.expel_members()
        until(lambda: not transport.joined or None)
        until(lambda: (transport.joined and len(transport.progress()) == 4) or None)
        # As kafka-python before 3.0.12 left it: assigned, and never fetched again.
        silent = TopicPartition(kafka.input, 0)

        def paused() -> bool:
            try:
                client_of(transport)._consumer.pause(silent)
            except KeyError:  # it is assigned anew at this moment
                return False
            return True

        until(lambda: paused() or None)
        kafka.send(b"silent", partition=0)
        health.running(transport.progress, lambda: transport.joined)

        def alive() -> bool:
            health.turned()  # under load the loop's own turns can take longer than this window
            kafka.send(b"moving", partition=1)
            return health.live().healthy

        until(lambda: not alive() or None)
        until(lambda: shown or None)
        assert f"{kafka.input}/0 at offset 1" in shown[0]
        assert f"{kafka.input}/1" not in shown[0]
        client_of(transport)._consumer.resume(silent)
        until(lambda: alive() or None)
        until(lambda: b"silent" in [record.value for record in seen.records] or None)
    health.not_ready("over")
    assert len(shown) == 1
