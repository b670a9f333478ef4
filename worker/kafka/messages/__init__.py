"""Protocol messages that kafka-python 3.0 lacks; the JSON files beside this one are Apache Kafka's own schemas."""

from __future__ import annotations

from kafka.protocol.api_message import ApiMessage


class ConsumerGroupDescribeRequest(ApiMessage, load_json=__name__):  # type: ignore[misc,call-arg]  # kafka-python ships no types
    """Asks for the members of a group with the consumer group protocol (KIP-848)."""


class ConsumerGroupDescribeResponse(ApiMessage, load_json=__name__):  # type: ignore[misc,call-arg]  # kafka-python ships no types
    """Every member, those that use the classic protocol too."""
