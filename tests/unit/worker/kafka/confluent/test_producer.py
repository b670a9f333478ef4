"""A call of librdkafka that does not end is not waited for."""

from __future__ import annotations

import threading

import pytest
from kafka.errors import KafkaTimeoutError

from worker.kafka.confluent.producer import within


def test_a_call_that_does_not_end_is_left_to_itself() -> None:
    for_ever = threading.Event()

    def call() -> None:
        for_ever.wait()

    with pytest.raises(KafkaTimeoutError, match="the group's coordinator was not reached"):
        within(0.01, call, "the group's coordinator")
    for_ever.set()


def test_an_error_of_a_call_that_ends_in_time_is_raised() -> None:
    def call() -> None:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        within(10, call, "the group's coordinator")
    within(10, lambda: None, "the group's coordinator")
