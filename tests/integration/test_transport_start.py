"""Where a worker begins, and what it needs to begin at all."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

import pytest
from kafka.structs import TopicPartition

from demo.kafka.broker import Broker
from demo.kafka.ports import free_ports
from tests.support.brokers import STOP_S, TestBroker
from tests.support.kafka_world import KafkaWorld, both_clients, client_of, echo
from tests.support.transport_contract import commit, next_batch, until, values, work_off
from worker.errors import ExitStatus, RetryBatchError, StopProcessError
from worker.kafka import tuning
from worker.kafka.config import connection_arguments
from worker.kafka.transport import KafkaTransport, open_transport
from worker.lifecycle import Deadline
from worker.settings import Settings

SETTLED_S = 2.5  # a heartbeat, which is each second, tells of a rebalance


@pytest.fixture
def kafka(broker: TestBroker, client: str) -> Iterator[KafkaWorld]:
    with KafkaWorld(broker.bootstrap_servers, client=client) as kafka:
        yield kafka


def join(transport: KafkaTransport, kafka: KafkaWorld) -> None:
    """Poll until the offsets to start at are committed."""

    def begun() -> bool | None:
        assert transport.poll() is None
        return len(kafka.committed()) == kafka.partitions or None

    until(begun)


@both_clients
def test_a_new_group_starts_at_the_earliest_record_and_commits_that_first(kafka: KafkaWorld) -> None:
    kafka.send(b"a", b"b", partition=0)
    kafka.admin.delete_records({TopicPartition(kafka.input, 0): 1})
    transport = kafka.open()
    join(transport, kafka)
    assert kafka.committed() == {0: 1, 1: 0, 2: 0, 3: 0}
    assert values(next_batch(transport)) == [b"b"]


@both_clients
def test_a_new_group_that_starts_at_latest_commits_the_end_offsets_first(kafka: KafkaWorld) -> None:
    kafka.send(b"old", partition=2)
    transport = kafka.open(worker_start_at="latest")
    join(transport, kafka)
    assert kafka.committed() == {0: 0, 1: 0, 2: 1, 3: 0}
    kafka.send(b"new", partition=2)
    assert values(next_batch(transport)) == [b"new"]


def owned(transport: KafkaTransport) -> set[int]:
    return {partition.partition for partition in client_of(transport).assignment()}


def polled_once(transport: KafkaTransport) -> bool:
    with suppress(RetryBatchError):
        assert transport.poll() is None
    return True


def settle(workers: Sequence[KafkaTransport]) -> None:
    """Poll until each has partitions, and no rebalance follows: which would wait for all."""
    seen: list[tuple[float, list[Any]]] = []

    def quiet() -> bool | None:
        now = [(polled_once(worker), worker.membership, owned(worker)) for worker in workers]
        if not seen or seen[-1][1] != now:
            seen.append((time.monotonic(), now))
        return (all(map(owned, workers)) and time.monotonic() - seen[-1][0] > SETTLED_S) or None

    until(quiet)


@both_clients
def test_a_partition_added_to_a_group_that_started_at_the_latest_starts_at_its_earliest_record(
    kafka: KafkaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "METADATA_MAX_AGE_MS", 500)
    kafka.send(b"old", partition=0)
    transport = kafka.open(worker_start_at="latest")
    join(transport, kafka)
    kafka.add_partitions(6)
    for partition in range(6):
        kafka.send(b"new %d" % partition, partition=partition)
    work_off(transport, 6)
    assert sorted(kafka.values(kafka.output)) == [b"new %d" % n for n in range(6)]
    transport.close()
    # And where it is found only by a later member of the group.
    kafka.add_partitions(7)
    kafka.send(b"new 6", partition=6)
    assert values(next_batch(kafka.open(worker_start_at="latest"))) == [b"new 6"]


@both_clients
def test_members_that_start_together_at_the_latest_wait_for_the_one_that_has_partition_0(kafka: KafkaWorld) -> None:
    for partition in range(4):
        kafka.send(b"old", partition=partition)
    workers = [kafka.open(worker_start_at="latest") for _ in range(2)]
    # Neither starts before both have their partitions.
    for worker in workers:
        vars(worker)["_commit_starts"] = lambda _: None
    settle(workers)
    first, second = sorted(workers, key=lambda worker: 0 not in owned(worker))
    for worker in workers:
        del vars(worker)["_commit_starts"]
    with pytest.raises(RetryBatchError):
        second.poll()
    assert kafka.committed() == {}
    # The group begins while the other member looks, which then must not take its partitions for new ones.
    offsets = second._reader.offsets
    log_ends = offsets._log_ends

    def ends_once_the_group_has_begun(partitions: Iterable[TopicPartition]) -> Any:
        until(lambda: (polled_once(first) and kafka.committed()) or None)
        return log_ends(partitions)

    vars(offsets)["_log_ends"] = ends_once_the_group_has_begun
    assert polled_once(second)
    assert kafka.committed() == {0: 1, 1: 1, 2: 1, 3: 1}
    # Without a record, too: a position that stayed unknown would count as a stall.
    until(lambda: (polled_once(second) and {each.position for each in second.progress()} == {1}) or None)
    settle(workers)
    kept = max(owned(second))
    kafka.send(b"new", partition=kept)
    assert values(next_batch(second)) == [b"new"]


def test_a_worker_that_ends_before_its_first_batch_loses_nothing_of_what_came_meanwhile(kafka: KafkaWorld) -> None:
    first = kafka.open(worker_start_at="latest")
    join(first, kafka)
    first.close()
    kafka.send(b"meanwhile", partition=1)
    second = kafka.open(worker_start_at="latest")
    assert values(next_batch(second)) == [b"meanwhile"]


@both_clients
def test_a_restart_continues_at_the_committed_offset(kafka: KafkaWorld) -> None:
    kafka.send(*(b"%d" % n for n in range(6)), partition=0, key=b"one user")
    first = kafka.open(worker_batch_max_events=4)
    work_off(first, 4)
    next_batch(first)
    first.close()
    second = kafka.open()
    work_off(second, 2)
    assert kafka.values(kafka.output) == [b"0", b"1", b"2", b"3", b"4", b"5"]


@both_clients
def test_an_offset_that_retention_removed_is_a_loud_error(kafka: KafkaWorld) -> None:
    kafka.send(*(b"%d" % n for n in range(9)), partition=3)
    first = kafka.open(worker_batch_max_events=2)
    work_off(first, 2)
    first.close()
    kafka.admin.delete_records({TopicPartition(kafka.input, 3): 5})
    second = kafka.open()
    with pytest.raises(StopProcessError) as caught:
        next_batch(second)
    assert caught.value.exit_status == ExitStatus.ACT_FIRST
    assert f"topic {kafka.input}, partition 3: cannot resume from committed offset 2" in str(caught.value)
    assert "5–9" in str(caught.value)
    assert kafka.values(kafka.output) == [b"0", b"1"]


@both_clients
def test_a_topic_deleted_under_a_worker_is_not_created_again(
    client: str, broker_with: Callable[..., AbstractContextManager[Broker]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "METADATA_MAX_AGE_MS", 500)
    with (
        broker_with(config={"auto.create.topics.enable": "true"}) as eager,
        KafkaWorld(eager.bootstrap_servers, client=client) as kafka,
    ):
        transport = kafka.open()
        join(transport, kafka)
        # From here on the committed offsets are known to belong to this topic.
        assert transport.poll() is None
        kafka.admin.delete_topics([kafka.input])
        until(lambda: kafka.input not in kafka.admin.list_topics() or None)
        until(lambda: transport.poll() or transport.progress() == () or None)
        assert kafka.input not in kafka.admin.list_topics()


def test_a_worker_asks_for_the_metadata_of_its_own_topics_only(kafka: KafkaWorld) -> None:
    transport = kafka.open()
    join(transport, kafka)
    assert client_of(transport)._consumer._cluster.topics() == {kafka.input}


def opened(settings: Settings, stop: threading.Event) -> KafkaTransport | None:
    with Deadline(stop, drain_s=60) as deadline:
        transport = open_transport(settings, connection_arguments(settings), deadline, stop, lambda: None)
        if transport is not None:
            transport.close()
        return transport


@pytest.fixture
def free_port() -> int:
    """Nobody listens there yet."""
    (port,) = free_ports(1)
    return port


@both_clients
def test_a_broker_that_never_comes_is_waited_for_and_then_named(kafka: KafkaWorld, free_port: int) -> None:
    settings = kafka.settings(kafka_bootstrap_servers=f"127.0.0.1:{free_port}", worker_broker_wait_s=1)
    threads = threading.active_count()
    with pytest.raises(StopProcessError) as caught:
        opened(settings, threading.Event())
    assert caught.value.exit_status == ExitStatus.RESTART
    assert f"127.0.0.1:{free_port}" in str(caught.value)
    assert threading.active_count() == threads


def test_a_stop_ends_the_wait_for_a_broker(kafka: KafkaWorld, free_port: int) -> None:
    settings = kafka.settings(kafka_bootstrap_servers=f"127.0.0.1:{free_port}", worker_broker_wait_s=3600)
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    begun = time.monotonic()
    assert opened(settings, stop) is None
    assert time.monotonic() - begun < STOP_S


@both_clients
def test_a_broker_that_comes_late_is_found(kafka: KafkaWorld, free_port: int) -> None:
    # The address answers only after a while; the broker behind it names itself from then on.
    host, _, port = kafka.bootstrap_servers.partition(":")
    settings = kafka.settings(kafka_bootstrap_servers=f"127.0.0.1:{free_port}", worker_broker_wait_s=120)
    done = threading.Event()
    thread = threading.Thread(target=_forward_later, args=[free_port, (host, int(port)), 1.5, done])
    thread.start()
    try:
        assert opened(settings, threading.Event()) is not None
    finally:
        done.set()
        thread.join()


def _forward_later(port: int, target: tuple[str, int], after_s: float, done: threading.Event) -> None:
    time.sleep(after_s)
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(0.2)
        while not done.is_set():
            try:
                client, _ = server.accept()
            except TimeoutError:
                continue
            upstream = socket.create_connection(target)
            for source, sink in ((client, upstream), (upstream, client)):
                threading.Thread(target=_pump, args=[source, sink], daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        sink.close()


def test_nothing_is_sent_for_records_without_an_outcome(kafka: KafkaWorld) -> None:
    kafka.send(b"a", b"b", partition=0)
    transport = kafka.open()
    batch = next_batch(transport)
    with pytest.raises(ValueError, match="exactly one message"):
        commit(transport, batch, echo(batch.records[:1]) if len(batch.records) > 1 else echo([]))
    assert kafka.values(kafka.output) == []
