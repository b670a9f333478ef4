"""What the demo asks of a Kafka cluster; the only module of the demo that knows kafka-python."""

from __future__ import annotations

import socket

from kafka import KafkaAdminClient
from kafka.errors import KafkaError


def answers(bootstrap_servers: str) -> bool:
    """Whether a broker there answers and counts itself among the living; quick when nobody listens."""
    host, port = bootstrap_servers.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            pass  # cheaper than a client that waits for its own timeouts
    except OSError:
        return False
    try:
        admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=2000)
    except KafkaError:
        return False
    try:
        return bool(admin.describe_cluster()["brokers"])
    except KafkaError:
        return False
    finally:
        admin.close()
