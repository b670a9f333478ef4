"""Which Kafka client the running worker uses; commands beside `run` use kafka-python."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from worker.errors import UnsupportedClientError
from worker.kafka.kafka_python.consumer import KafkaPythonConsumer
from worker.kafka.kafka_python.producer import KafkaPythonProducer
from worker.kafka.ports import ConsumerClient, ProducerClient
from worker.settings import Settings


def consumer_client(settings: Settings, connection: Mapping[str, Any]) -> ConsumerClient:
    """The consumer, connected. Raises KafkaError, and UnsupportedClientError where the client is not installed."""
    if settings.kafka_client == "kafka-python":
        return KafkaPythonConsumer(settings, connection)
    _require_confluent()
    from worker.kafka.confluent.consumer import ConfluentConsumer  # noqa: PLC0415  # only when chosen

    return ConfluentConsumer(settings, connection)


def producer_client(settings: Settings, connection: Mapping[str, Any], transactional_id: str) -> ProducerClient:
    """A producer with this transactional id, connected. Raises like `consumer_client`."""
    if settings.kafka_client == "kafka-python":
        return KafkaPythonProducer(settings, connection, transactional_id)
    _require_confluent()
    from worker.kafka.confluent.producer import ConfluentProducer  # noqa: PLC0415  # only when chosen

    return ConfluentProducer(settings, connection, transactional_id)


def client_version(settings: Settings) -> str:
    """The version of the client that the settings choose. Raises UnsupportedClientError."""
    if settings.kafka_client == "kafka-python":
        return version("kafka-python")
    _require_confluent()
    return version("confluent-kafka")


def _require_confluent() -> None:
    if find_spec("confluent_kafka") is None:
        raise UnsupportedClientError(
            "KAFKA_CLIENT=confluent needs confluent-kafka, which is not installed; install it with pip install "
            "'stream-segmentation[fast]', or set KAFKA_CLIENT=kafka-python"
        )
