"""The embedded broker keeps its promises, and the broker under test does what all other tests rely on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from demo.broker import Broker, running_broker
from demo.cluster import NewRecord, answers
from demo.errors import BrokerStartError, ClusterError
from tests.integration.brokers import TestBroker, wait_until


def test_a_record_comes_back_as_it_was_sent(broker: TestBroker) -> None:
    topic = broker.fresh_topic()
    sent = NewRecord(b"user-1", b"\xffanything", {"a": b"1", "b": b""}, timestamp_ms=1_764_000_000_000, partition=2)

    broker.produce(topic, sent, NewRecord(None, b"without a key"), NewRecord(b"tombstone", None))

    found = {(record.key, record.value): record for record in broker.read_committed(topic)}
    record = found[b"user-1", b"\xffanything"]
    assert (record.topic, record.partition, record.offset) == (topic, 2, 0)
    assert record.timestamp_ms == 1_764_000_000_000
    assert record.headers == {"a": b"1", "b": b""}
    assert len(found) == 3
    assert {(None, b"without a key"), (b"tombstone", None)} < found.keys()
