"""The output topic is deleted under a running worker: it says so, and continues when the topic is back."""

from tests.support.brokers import TestBroker
from tests.support.kafka_world import KafkaWorld, looping
from tests.support.transport_contract import until


def test_a_deleted_output_topic_is_named_and_nothing_is_lost_when_it_is_back(broker: TestBroker) -> None:
    with KafkaWorld(broker.bootstrap_servers, partitions=1) as kafka:
        transport = kafka.open(worker_transaction_timeout_ms=3_000)
        with looping(transport) as watched:
            kafka.send(b"before")
            until(lambda: watched.records or None)
            kafka.admin.delete_topics([kafka.output])
            kafka.send(b"after")
            error = until(lambda: watched.retries[0] if watched.retries else None)
            assert f"topic {kafka.output} was deleted" in str(error)
            assert kafka.rejected not in str(error)
            kafka.create_topics()
            until(lambda: len(watched.records) == 2 or None)
        assert kafka.values(kafka.output) == [b"after"]
