"""Whatever anybody may send, the consumer reads it; and what it holds in memory is bounded."""

import gzip
import random
import threading
import time
from collections.abc import Iterator

import pytest
from kafka import KafkaProducer

from tests.support.brokers import TestBroker
from tests.support.kafka_world import KafkaWorld, both_clients, echo
from tests.support.transport_contract import commit, next_batch, work_off
from worker.errors import ExitStatus, StopProcessError
from worker.stream.records import Message, Outcome, Record


@pytest.fixture
def kafka(broker: TestBroker, client: str) -> Iterator[KafkaWorld]:
    with KafkaWorld(
        broker.bootstrap_servers, partitions=1, input_configs={"max.message.bytes": "3000000"}, client=client
    ) as kafka:
        yield kafka


class Latin1(str):
    """A header name that kafka-python sends in another encoding than UTF-8."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return super().encode("latin-1")


def read_all(kafka: KafkaWorld, count: int) -> list[Record]:
    transport = kafka.open()
    records: list[Record] = []
    while len(records) < count:
        batch = next_batch(transport)
        commit(transport, batch, echo(batch.records))
        records += batch.records
    return records


def test_a_header_name_that_is_not_utf8_stops_nobody(kafka: KafkaWorld) -> None:
    kafka.send(b"before")
    kafka.send(b"bad name", headers=[(Latin1("trÿce"), b"1")])
    kafka.send(b"after")
    records = read_all(kafka, 3)
    assert [record.value for record in records] == [b"before", b"bad name", b"after"]
    assert records[1].headers == (("tr?ce", b"1"),)


def test_headers_of_a_name_that_is_not_utf8_are_dropped_where_the_client_cannot_read_them(kafka: KafkaWorld) -> None:
    kafka.client = "confluent"
    # So many that Python has specialised the calls of the loop.
    kafka.send(*[b"before"] * 300, headers=[("traceparent", b"1")])
    kafka.send(b"bad name", headers=[("traceparent", b"2"), (Latin1("trÿce"), b"1")])
    kafka.send(b"after")
    records = read_all(kafka, 302)
    assert [record.value for record in records[-2:]] == [b"bad name", b"after"]
    assert [len(record.headers) for record in records] == [1] * 300 + [0, 0]


@both_clients
def test_null_keys_values_and_header_values_are_read_as_none(kafka: KafkaWorld) -> None:
    kafka.send(b"no key")
    kafka._producer.send(kafka.input, None, b"no value")
    kafka.send(b"", key=b"", headers=[("empty", b""), ("again", b"1"), ("again", b"2")])
    records = read_all(kafka, 3)
    assert [(record.key, record.value) for record in records] == [(None, b"no key"), (b"no value", None), (b"", b"")]
    assert records[2].headers == (("empty", b""), ("again", b"1"), ("again", b"2"))


@both_clients
def test_a_record_of_2_mb_is_read(kafka: KafkaWorld) -> None:
    large = random.Random(1).randbytes(2_000_000)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, max_request_size=3_000_000)
    producer.send(kafka.input, large)
    producer.send(kafka.input, b"after")
    producer.flush()
    producer.close()
    transport = kafka.open()
    seen: list[bytes | None] = []
    while len(seen) < 2:
        batch = next_batch(transport)
        commit(transport, batch, Outcome(results=tuple(Message(None, b"x") for _ in batch.records)))
        seen += [record.value for record in batch.records]
    assert seen == [large, b"after"]


@both_clients
@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
def test_records_are_read_however_upstream_compressed_them(kafka: KafkaWorld, codec: str) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, compression_type=codec, linger_ms=50)
    for n in range(20):
        producer.send(kafka.input, b"%d " % n * 100)
    producer.flush()
    producer.close()
    assert [record.value for record in read_all(kafka, 20)] == [b"%d " % n * 100 for n in range(20)]


@both_clients
@pytest.mark.parametrize("codec", ["none", "gzip", "lz4", "snappy", "zstd"])
def test_results_are_compressed_as_the_settings_say(kafka: KafkaWorld, codec: str) -> None:
    large = b"a" * 100_000
    transport = kafka.open(worker_compression=codec)
    kafka.send(b"0")
    batch = next_batch(transport)
    commit(transport, batch, Outcome(results=(Message(None, large),)))
    assert kafka.values(kafka.output) == [large]
    assert (kafka.log_bytes(kafka.output) < len(large)) == (codec != "none")


@both_clients
def test_a_result_has_the_time_that_it_is_given_or_that_of_sending(kafka: KafkaWorld) -> None:
    transport = kafka.open()
    before_ms = int(time.time() * 1000)
    for given in (1, 1_700_000_000_123, None):
        kafka.send(b"a", partition=0)
        commit(transport, next_batch(transport), Outcome(results=(Message(b"k", b"x", (), given),)))
    first, second, third = (row.timestamp for row in kafka.read(kafka.output))
    assert (first, second) == (1, 1_700_000_000_123)
    assert third >= before_ms


@both_clients
def test_what_comes_before_the_next_transaction_may_begin_is_one_batch(kafka: KafkaWorld) -> None:
    transport = kafka.open(worker_commit_interval_ms=2_000)
    kafka.send(b"0")
    first = next_batch(transport)
    transport.begin(first, echo(first.records))

    def send_in_turn() -> None:
        for value in (b"1", b"2", b"3"):
            time.sleep(0.2)
            kafka.send(value)

    sender = threading.Thread(target=send_in_turn)
    sender.start()
    batch = next_batch(transport)
    sender.join()
    assert [record.value for record in batch.records] == [b"1", b"2", b"3"]
    transport.finish()
    commit(transport, batch, echo(batch.records))
    assert kafka.values(kafka.output) == [b"0", b"1", b"2", b"3"]


@both_clients
def test_a_full_batch_and_the_first_after_a_rest_wait_for_nothing(kafka: KafkaWorld) -> None:
    interval_s = 4.0
    transport = kafka.open(worker_commit_interval_ms=int(interval_s * 1000), worker_batch_max_events=2)
    kafka.send(*(b"%d" % number for number in range(8)))
    first = next_batch(transport)
    begun_at_s = time.monotonic()
    for _ in range(3):
        commit(transport, first, echo(first.records))
        first = next_batch(transport)
    assert time.monotonic() - begun_at_s < interval_s
    commit(transport, first, echo(first.records))
    ended_at_s = time.monotonic()
    while transport.poll() is not None or time.monotonic() - ended_at_s < interval_s:
        pass
    kafka.send(b"late")
    sent_at_s = time.monotonic()
    next_batch(transport)
    assert time.monotonic() - sent_at_s < interval_s / 2


def test_records_that_inflate_to_more_than_a_batch_may_hold_come_in_several(kafka: KafkaWorld) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, compression_type="gzip", linger_ms=500)
    for _ in range(60):
        producer.send(kafka.input, b"a" * 100_000)
    producer.flush()
    producer.close()
    assert len(gzip.compress(b"a" * 6_000_000)) < 10_000
    transport = kafka.open(worker_batch_max_bytes=1_000_000, worker_event_max_bytes=200_000)
    sizes: list[int] = []
    while sum(sizes) < 60:
        batch = next_batch(transport)
        commit(transport, batch, Outcome(results=tuple(Message(None, b"x") for _ in batch.records)))
        sizes.append(len(batch.records))
    assert max(sizes) <= 10


def incompressible(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@both_clients
def test_a_record_that_its_topic_refuses_for_its_size_is_for_a_person(client: str, broker: TestBroker) -> None:
    limited = {"max.message.bytes": "10000"}
    with KafkaWorld(broker.bootstrap_servers, 1, output_configs=limited, client=client) as kafka:
        kafka.send(incompressible(20_000))
        transport = kafka.open()
        batch = next_batch(transport)
        with pytest.raises(StopProcessError) as caught:
            commit(transport, batch, echo(batch.records))
        assert caught.value.exit_status == ExitStatus.ACT_FIRST
        assert kafka.output in str(caught.value)
        assert "max.message.bytes" in str(caught.value)
        assert kafka.committed() == {0: 0}


def test_a_batch_too_large_for_its_topic_goes_out_in_parts(client: str, broker: TestBroker) -> None:
    limited = {"max.message.bytes": "10000"}
    with KafkaWorld(broker.bootstrap_servers, 1, output_configs=limited, client=client) as kafka:
        noise = incompressible(50_000)
        sent = [noise[at : at + 1000] for at in range(0, len(noise), 1000)]
        kafka.send(*sent)
        work_off(kafka.open(), 50)
        assert kafka.values(kafka.output) == sent
