"""Each input once, whatever is refused, aborted, stopped or killed."""

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.admin import NewTopic
from kafka.errors import KafkaTimeoutError

from demo.kafka.broker import Broker
from tests.support.brokers import Program, Programs, TestBroker, wait_until
from tests.support.kafka_world import KafkaWorld, both_clients, both_clients_at_length, echo
from tests.support.transport_contract import PATIENCE_S, commit, next_batch, until, work_off
from worker.errors import ExitStatus, RetryBatchError, StopProcessError
from worker.kafka import producer as kafka_producer
from worker.kafka.offsets import STEP_LONGEST_S
from worker.kafka.transport import KafkaTransport
from worker.stream.records import Message, Outcome


@pytest.fixture
def kafka(broker: TestBroker, client: str) -> Iterator[KafkaWorld]:
    with KafkaWorld(broker.bootstrap_servers, client=client) as kafka:
        yield kafka


@both_clients
def test_offsets_of_an_aborted_batch_do_not_come_back_with_the_next_commit(kafka: KafkaWorld) -> None:
    transport = kafka.open()
    kafka.send(b"aborted", partition=0)
    aborted = next_batch(transport)
    stale = replace(aborted.membership, generation=aborted.membership.generation - 1)
    with pytest.raises(RetryBatchError, match="IllegalGeneration"):
        transport._transactions.commit({kafka.output: echo(aborted.records).results}, aborted.next_offsets, stale)
    kafka.send(b"next", partition=1)
    following = next_batch(transport)
    # Its own offsets only: without the rewind that the loop never omits, the position is ahead in partition 0, too.
    own = {(topic, number): offset for (topic, number), offset in following.next_offsets.items() if number == 1}
    commit(transport, replace(following, next_offsets=own), echo(following.records))
    # The transaction's end reaches the offsets a little later than the worker.
    wait_until(lambda: kafka.committed()[1] == 1, "the commit")
    assert kafka.committed() == {0: 0, 1: 1, 2: 0, 3: 0}
    assert kafka.values(kafka.output) == [b"next"]


@both_clients
def test_records_behind_a_refused_one_do_not_vanish_while_their_offsets_move_on(
    client: str, broker: TestBroker
) -> None:
    limited = {"max.message.bytes": "10000"}
    with KafkaWorld(broker.bootstrap_servers, 1, output_configs=limited, client=client) as kafka:
        transport = kafka.open()
        kafka.send(b"one", b"two", b"three")
        batch = next_batch(transport)
        refused = Outcome(results=tuple(Message(None, random.randbytes(20_000)) for _ in batch.records))
        with pytest.raises(StopProcessError):
            commit(transport, batch, refused)
        transport.rewind()
        work_off(transport, 3)
        assert kafka.values(kafka.output) == [b"one", b"two", b"three"]
        assert kafka.committed() == {0: 3}


@both_clients
def test_a_batch_whose_records_expired_undelivered_is_not_committed(kafka: KafkaWorld) -> None:
    # Such an expiry leaves no error with the transaction: kafka-python would commit the offsets without the records.
    transport = kafka.open(worker_transaction_timeout_ms=2_000)
    kafka.send(b"a", b"b", partition=0)
    work_off(transport, 2)
    kafka.send(b"c", b"d", partition=0)
    batch = next_batch(transport)
    kafka.admin.delete_topics([kafka.output])
    with pytest.raises(RetryBatchError):
        commit(transport, batch, echo(batch.records))
    assert kafka.committed()[0] == 2
    kafka.create_topics()
    transport.rewind()
    work_off(transport, 2)
    assert kafka.values(kafka.output) == [b"c", b"d"]


@both_clients
def test_a_transaction_that_the_coordinator_aborted_is_done_again(kafka: KafkaWorld) -> None:
    transport = kafka.open(worker_instance_id="one")
    kafka.send(b"a", b"b", partition=0)
    batch = next_batch(transport)
    # As after a timeout, the coordinator ends the transaction and moves on to the next epoch.
    fence(kafka, "one")
    with pytest.raises(RetryBatchError):
        commit(transport, batch, echo(batch.records))
    transport.rewind()
    work_off(transport, 2)
    assert kafka.values(kafka.output) == [b"a", b"b"]


@both_clients
def test_results_rejected_and_offsets_share_one_transaction(kafka: KafkaWorld) -> None:
    kafka.admin.create_topics(
        [NewTopic(kafka.current, kafka.partitions, 1, topic_configs={"cleanup.policy": "compact"})]
    )
    transport = kafka.open(worker_current_topic=kafka.current)
    kafka.send(b"good", b"bad", partition=0)
    batch = next_batch(transport)
    while len(batch.records) < 2:
        transport.rewind()
        batch = next_batch(transport)
    outcome = Outcome(results=(Message(b"user", b"good"),), rejected=(Message(None, b"bad", (("why", b"so"),)),))
    stale = replace(batch, membership=replace(batch.membership, generation=batch.membership.generation - 1))
    with pytest.raises(RetryBatchError):
        commit(transport, stale, outcome)
    assert [*map(kafka.values, (kafka.output, kafka.rejected, kafka.current))] == [[], [], []]
    transport.rewind()
    batch = next_batch(transport)
    commit(transport, batch, outcome)
    assert [*map(kafka.values, (kafka.output, kafka.rejected, kafka.current))] == [[b"good"], [b"bad"], [b"good"]]
    assert kafka.read(kafka.rejected)[0].headers == [("why", b"so")]


@both_clients
def test_the_current_topic_has_each_result_in_the_partition_and_order_of_the_output_topic(kafka: KafkaWorld) -> None:
    kafka.admin.create_topics(
        [NewTopic(kafka.current, kafka.partitions, 1, topic_configs={"cleanup.policy": "compact"})]
    )
    transport = kafka.open(worker_current_topic=kafka.current)
    for number in range(40):
        kafka.send(b"%d" % number, key=b"user-%d" % (number % 7))
    work_off(transport, 40)
    output, current = (
        [(row.partition, row.key, row.value, row.headers) for row in kafka.read(topic)]
        for topic in (kafka.output, kafka.current)
    )
    assert len(output) == 40
    assert current == output


# --- processes ---------------------------------------------------------------------------------------------------


def start(programs: Programs, kafka: KafkaWorld, name: str, place: str | None = None, **changed: Any) -> Program:
    given = kafka.settings(**changed).model_dump(mode="json", exclude_defaults=True)
    arguments = [json.dumps(given), name, *([] if place is None else [place])]
    return programs.start("tests.support.echo_worker", *arguments)


@both_clients_at_length
def test_each_input_comes_out_once_and_in_order_through_five_kills_in_mid_batch(
    kafka: KafkaWorld, programs: Programs
) -> None:
    users = random.Random(5)
    for n in range(10_000):
        kafka._producer.send(kafka.input, b"%d" % n, b"user-%d" % users.randrange(500))
    kafka._producer.flush()
    static = {"worker_instance_id": "one"}
    kills: list[tuple[str, dict[str, Any]]] = [
        ("send_offsets:2", static),
        ("commit:3", static),
        ("send_offsets:3", static),
        ("commit:1", static),
        # Nobody takes over this one's transactional id: its offsets stay pending until the transaction times out.
        ("commit:2", {}),
    ]
    for number, (place, identity) in enumerate(kills):
        worker = start(
            programs,
            kafka,
            f"run{number}",
            place,
            worker_transaction_timeout_ms=2_000,
            worker_batch_max_events=500,
            **identity,
        )
        worker.wait_for_log("standing still")
        worker.kill()
    last = start(programs, kafka, "last", worker_transaction_timeout_ms=2_000)
    until(lambda: sum(kafka.committed().values()) == 10_000 or None)
    assert last.stop() == 0

    visible = [(row.partition, row.key, *row.value.split(b"|")) for row in kafka.read(kafka.output)]
    written = [row.value for row in kafka.read(kafka.output, "read_uncommitted")]
    assert sorted(int(value) for _, _, value, _ in visible) == list(range(10_000))
    # Each kill met a batch whose records were in the log already, and which nobody may see.
    aborted = set(written) - {value + b"|" + run for _, _, value, run in visible}
    assert {value.partition(b"|")[2] for value in aborted} == {b"run%d" % number for number in range(5)}
    last_seen: dict[bytes, int] = {}
    for _, key, value, _ in visible:
        assert int(value) > last_seen.get(key, -1)
        last_seen[key] = int(value)


@both_clients
def test_a_stop_under_load_finishes_the_batch_in_hand_and_leaves_the_group(
    kafka: KafkaWorld, programs: Programs
) -> None:
    for n in range(20_000):
        kafka._producer.send(kafka.input, b"%d" % n)
    kafka._producer.flush()
    worker = start(programs, kafka, "first")
    worker.wait_for_log("batch of")
    # Not drained after 5 s, it would have ended with 1.
    assert worker.stop() == 0
    members = kafka.admin.describe_groups([kafka.group])[kafka.group]["members"]
    assert members == []
    done = sum(kafka.committed().values())
    assert 0 < done < 20_000
    assert len(kafka.values(kafka.output)) == done


def test_a_wait_without_end_ends_the_process_and_shows_where_it_waited(kafka: KafkaWorld, programs: Programs) -> None:
    worker = start(programs, kafka, "waiting", "send_offsets:2", worker_transaction_timeout_ms=3_000)
    kafka.send(b"a", partition=0)
    worker.wait_for_log("standing still")
    assert worker.wait() == 1
    assert "deadline_exceeded" in worker.log
    assert "seconds=8.0" in worker.log
    assert "committing a batch" in worker.log
    assert "in counted" in worker.log
    assert kafka.values(kafka.output) == []


def test_offsets_that_cannot_be_added_are_a_retry_although_kafka_python_would_wait_without_end(
    kafka: KafkaWorld, programs: Programs
) -> None:
    # Of a topic that is gone: the broker says so each time, and the client asks again, for ever.
    worker = start(programs, kafka, "waiting", "send_offsets:2", worker_transaction_timeout_ms=3_000)
    kafka.send(b"a", partition=0)
    worker.wait_for_log("standing still")
    kafka.admin.delete_topics([kafka.input])
    worker.send(signal.SIGUSR1)
    worker.wait_for_log("the offsets were not added in time")
    assert "deadline_exceeded" not in worker.log
    assert kafka.values(kafka.output) == []


def fence(kafka: KafkaWorld, instance_id: str) -> None:
    """Take over a worker's transactional id, as its coordinator does after a timeout."""
    producer: Any = KafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, transactional_id=f"{kafka.group}:{instance_id}"
    )
    producer.init_transactions()
    producer.close()


def test_an_abort_without_end_ends_the_process_and_shows_where_it_waited(kafka: KafkaWorld, programs: Programs) -> None:
    # A transaction that failed is aborted by the next producer that takes over its id.
    identity = {"worker_instance_id": "one", "worker_transaction_timeout_ms": 2_000}
    worker = start(programs, kafka, "waiting", "take_over:2", **identity)
    kafka.send(b"a", partition=0)
    worker.wait_for_log("batch of 1")
    fence(kafka, "one")
    kafka.send(b"b", partition=0)
    worker.wait_for_log("standing still")
    assert worker.wait() == 1
    assert "deadline_exceeded" in worker.log
    assert "opening the producer" in worker.log
    assert "in open" in worker.log
    assert kafka.values(kafka.output) == [b"a|waiting"]


def test_an_abort_that_keeps_failing_while_brokers_answer_ends_the_worker(
    kafka: KafkaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_producer, "ABORT_GRACE_S", 0.0)
    transport = kafka.open(worker_instance_id="one", worker_transaction_timeout_ms=1_000)
    kafka.send(b"a", partition=0)
    batch = next_batch(transport)
    fence(kafka, "one")
    with pytest.raises(RetryBatchError):
        commit(transport, batch, echo(batch.records))

    def refused(_: object) -> None:
        raise KafkaTimeoutError("the coordinator says nothing")

    with monkeypatch.context() as patched:
        patched.setattr(KafkaProducer, "init_transactions", refused)
        with pytest.raises(RetryBatchError):
            transport.rewind()
        error = until(lambda: stopped_by_rewind(transport))
    assert error.exit_status == ExitStatus.RESTART
    assert f"the last transaction of {kafka.group}:one failed and could not be aborted" in str(error)
    transport.close()
    work_off(kafka.open(worker_instance_id="one"), 1)
    assert kafka.values(kafka.output) == [b"a"]


def stopped_by_rewind(transport: KafkaTransport) -> StopProcessError | None:
    try:
        transport.rewind()
    except RetryBatchError:
        return None
    except StopProcessError as error:
        return error
    return None


def test_a_transaction_left_hanging_by_a_dead_worker_keeps_readers_no_longer_than_its_timeout_and_the_brokers_scan(
    client: str, broker: TestBroker, programs: Programs
) -> None:
    timeout_s, scan_s = 3.0, 1.0
    with KafkaWorld(broker.bootstrap_servers, partitions=1, client=client) as kafka:
        worker = start(programs, kafka, "dead", "commit:2", worker_transaction_timeout_ms=3_000)
        kafka.send(b"a")
        worker.wait_for_log("standing still")
        begun = time.monotonic()
        worker.kill()
        kafka._producer.send(kafka.output, b"after it").get(timeout=PATIENCE_S)
        assert kafka.values(kafka.output, "read_uncommitted") == [b"a|dead", b"after it"]
        # Behind the open transaction, although it is no part of it.
        assert kafka.values(kafka.output) == []
        until(lambda: kafka.values(kafka.output) or None)
        held_s = time.monotonic() - begun
        assert kafka.values(kafka.output) == [b"after it"]
    print(f"a reader waited {held_s:.1f} s for a transaction with a timeout of {timeout_s:g} s")
    # Half a minute is what a loaded machine may add.
    assert held_s < timeout_s + scan_s + 30


@both_clients
def test_a_batch_that_outlasts_its_transaction_is_done_again(kafka: KafkaWorld, programs: Programs) -> None:
    # The coordinator aborts what is older than two seconds, before the commit comes.
    identity = {"worker_instance_id": "one", "worker_transaction_timeout_ms": 2_000}
    worker = start(programs, kafka, "late", "commit:2", **identity)
    kafka.send(b"a", partition=0)
    worker.wait_for_log("standing still")
    # The result, and behind it the marker of the transaction that was aborted. Brokers of 2.5 describe none.
    until(lambda: kafka.end_offset(kafka.output) == 2 or None)
    worker.send(signal.SIGUSR1)
    worker.wait_for_log("batch of 1")
    assert "retrying" in worker.log
    assert worker.stop() == 0
    assert kafka.values(kafka.output) == [b"a|late"]
    assert kafka.values(kafka.output, "read_uncommitted") == [b"a|late", b"a|late"]


def test_a_stop_while_a_batch_hangs_leaves_it_uncommitted_after_five_seconds(
    kafka: KafkaWorld, programs: Programs
) -> None:
    worker = start(programs, kafka, "hanging", "commit:2")
    kafka.send(b"a", partition=0)
    worker.wait_for_log("standing still")
    begun = time.monotonic()
    assert worker.stop() == 1
    assert time.monotonic() - begun > 4
    assert "not_drained" in worker.log
    assert "seconds=5.0" in worker.log
    assert kafka.committed()[0] == 0


@both_clients_at_length
def test_a_broker_that_is_killed_or_restarted_at_rest_costs_nothing(
    client: str, embedded_broker: Broker, programs: Programs
) -> None:
    # At rest, because the only broker of a cluster can skip the markers of a transaction that was open when it was
    # killed (docs/guarantees.md). And a client has to notice where its coordinator is: nothing in flight fails.
    with KafkaWorld(embedded_broker.bootstrap_servers, client=client) as kafka:
        worker = start(programs, kafka, "worker")

        def events(first: int, end: int) -> None:
            kafka.send(*(b"%d" % n for n in range(first, end)))
            until(lambda: sum(kafka.committed().values()) == end or None)

        events(0, 100)
        embedded_broker.kill()
        embedded_broker.start()
        events(100, 200)
        embedded_broker.stop()
        embedded_broker.start()
        events(200, 300)
        assert worker.stop() == 0
        assert sorted(int(value.partition(b"|")[0]) for value in kafka.values(kafka.output)) == list(range(300))


@both_clients
def test_a_batch_does_not_grow_for_as_long_as_a_commit_may_take(client: str, embedded_broker: Broker) -> None:
    with KafkaWorld(embedded_broker.bootstrap_servers, client=client) as kafka:
        transport = kafka.open()
        kafka.send(b"1")
        batch = next_batch(transport)
        transport.begin(batch, echo(batch.records))
        os.kill(embedded_broker.pid, signal.SIGSTOP)
        begun_at_s = time.monotonic()
        assert transport.poll() is None
        assert time.monotonic() - begun_at_s < STEP_LONGEST_S / 2
        os.kill(embedded_broker.pid, signal.SIGCONT)
        transport.finish()
        assert kafka.values(kafka.output) == [b"1"]
