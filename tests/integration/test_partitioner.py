"""A key keeps its partition, whichever client sent it."""

from __future__ import annotations

import threading

from kafka.partitioner.default import murmur2

from tests.support.brokers import TestBroker
from tests.support.kafka_world import KafkaWorld, both_clients
from tests.support.transport_contract import until
from worker.kafka.clients import producer_client
from worker.kafka.config import connection_arguments
from worker.kafka.producer import Transactions
from worker.lifecycle import Deadline
from worker.stream.records import Membership, Message

PARTITIONS = 12


@both_clients
def test_ten_thousand_keys_are_sent_to_the_same_partition_by_both_clients(client: str, broker: TestBroker) -> None:
    unusual = [b"", b"\0", b"\xff" * 7, "ÿ".encode(), *(b"k" * length for length in range(1, 7))]
    keys = [b"user-%d" % n for n in range(9_990)] + unusual
    with (
        KafkaWorld(broker.bootstrap_servers, PARTITIONS, client=client) as kafka,
        Deadline(threading.Event()) as deadline,
    ):
        settings = kafka.settings()
        connection = connection_arguments(settings)
        sink = Transactions(
            settings, connection, kafka.name, lambda it: producer_client(settings, connection, it), deadline
        )
        member = Membership("group", "", -1, None)
        sink.commit({kafka.output: [Message(key, b"") for key in keys]}, {(kafka.input, 0): 0}, member)
        sink.close()
        # The transaction's end reaches the partitions one by one.
        rows = until(lambda: found if len(found := kafka.read(kafka.output)) == len(keys) else None)
    assert {row.key: row.partition for row in rows} == {key: (murmur2(key) & 0x7FFFFFFF) % PARTITIONS for key in keys}
