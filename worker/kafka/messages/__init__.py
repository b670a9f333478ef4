"""Protocol messages that kafka-python 3.0 lacks, from Apache Kafka's own schemas in the JSON files beside this one."""

from __future__ import annotations

from kafka.protocol.api_message import ApiMessage


class ConsumerGroupDescribeRequest(ApiMessage, load_json=__name__):  # type: ignore[misc,call-arg]  # kafka-python ships no types
    """Describes a group with the consumer group protocol (KIP-848)."""


class ConsumerGroupDescribeResponse(ApiMessage, load_json=__name__):  # type: ignore[misc,call-arg]  # kafka-python ships no types
    """Lists every member, including those with the classic protocol."""
