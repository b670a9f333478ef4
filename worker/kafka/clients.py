"""Which Kafka client the running worker uses; commands beside `run` use kafka-python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.kafka.kafka_python.consumer import KafkaPythonConsumer
from worker.kafka.kafka_python.producer import KafkaPythonProducer
from worker.kafka.ports import ConsumerClient, ProducerClient
from worker.settings import Settings


def consumer_client(settings: Settings, connection: Mapping[str, Any]) -> ConsumerClient:
    """The consumer, connected. Raises KafkaError."""
    return KafkaPythonConsumer(settings, connection)


def producer_client(settings: Settings, connection: Mapping[str, Any], transactional_id: str) -> ProducerClient:
    """A producer with this transactional id, connected. Raises KafkaError."""
    return KafkaPythonProducer(settings, connection, transactional_id)
