"""Reading ranges of offsets, again and again, in topics that have transaction markers and aborted records."""

from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaProducer

from tests.support.brokers import TestBroker, wait_until
from tests.support.kafka_world import KafkaWorld
from worker.kafka.client import connected
from worker.kafka.config import connection_arguments
from worker.kafka.topic_reader import TopicReader
from worker.tools.trial.sample import newest


@pytest.fixture
def kafka(broker: TestBroker) -> Iterator[KafkaWorld]:
    with KafkaWorld(broker.bootstrap_servers, partitions=2) as kafka:
        yield kafka


def opened(kafka: KafkaWorld) -> TopicReader:
    settings = kafka.settings()
    return TopicReader(settings, connection_arguments(settings), kafka.group)


def test_a_partition_whose_range_has_ended_is_read_again(kafka: KafkaWorld) -> None:
    kafka.send(*(b"%d" % number for number in range(6)), partition=0)
    with opened(kafka) as reader:
        for span in (range(2), range(1, 3), range(2, 6)):
            found = [one.offset for _, _, records in reader.read({(kafka.input, 0): span}) for one in records]
            assert found == [*span]


def test_the_newest_records_are_found_before_markers_and_aborted_ones(kafka: KafkaWorld) -> None:
    kafka.send(b"first", b"last", partition=0)
    producer: Any = connected(
        KafkaProducer, bootstrap_servers=kafka.bootstrap_servers, transactional_id=f"{kafka.name}-upstream"
    )
    producer.init_transactions()
    for _ in range(3):
        producer.begin_transaction()
        for _ in range(10):
            producer.send(kafka.input, b"aborted", partition=0)
        producer.flush()
        producer.abort_transaction()
    producer.close()
    wait_until(lambda: kafka.end_offset() == 35, "the markers")
    with opened(kafka) as reader:
        found = newest(reader, kafka.input, partitions=2, count=2)
    assert [one.value for one in found] == [b"last"]
