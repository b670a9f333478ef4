"""A group without a coordinator, while the brokers of its partitions answer."""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

import pytest
from kafka.admin import NewTopic

from demo.kafka.broker import Broker
from tests.support.kafka_world import KafkaWorld, both_clients_at_length
from tests.support.transport_contract import until, work_off
from worker.errors import RetryBatchError
from worker.kafka import consumer as kafka_consumer

OFFSETS_TOPIC = "__consumer_offsets"


@both_clients_at_length
def test_an_idle_worker_whose_group_has_no_coordinator_reports_it_instead_of_success(
    client: str, broker_with: Callable[..., AbstractContextManager[Broker]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Once deleted, this broker alone cannot create it again.
    config = {"offsets.topic.replication.factor": "2", "offsets.topic.num.partitions": "1"}
    with broker_with(config=config) as own, KafkaWorld(own.bootstrap_servers, client=client) as kafka:
        kafka.admin.create_topics([NewTopic(OFFSETS_TOPIC, 1, 1, topic_configs={"cleanup.policy": "compact"})])
        kafka.send(b"a", partition=0)
        transport = kafka.open()
        work_off(transport, 1)
        # Not before: a broker that has just made the topic may need longer to know that it leads it.
        monkeypatch.setattr(kafka_consumer, "COORDINATOR_AWAY_S", 1.0)
        kafka.admin.delete_topics([OFFSETS_TOPIC])
        with pytest.raises(RetryBatchError, match=kafka.group):
            until(transport.poll)
        # And so does each turn of the loop from then on, which goes back first.
        with suppress(RetryBatchError):
            transport.rewind()
        kafka.send(b"b", partition=0)
        with pytest.raises(RetryBatchError):
            until(transport.poll)
