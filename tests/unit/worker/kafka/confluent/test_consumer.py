"""What librdkafka's consumer makes of being refused, without a broker."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message
from kafka.errors import FencedInstanceIdError, KafkaTimeoutError
from kafka.structs import TopicPartition

from worker.errors import BrokersUnreachable, ExitStatus, StopProcessError
from worker.kafka.confluent import login
from worker.kafka.confluent.consumer import _LATEST, ConfluentConsumer
from worker.kafka.confluent.login import LoginWatch
from worker.kafka.ports import NotedOffset
from worker.settings import Settings

SETTINGS = Settings(_env_file=None, kafka_bootstrap_servers="127.0.0.1:1", worker_instance_id="one")


@pytest.fixture
def consumer() -> Iterator[ConfluentConsumer]:
    one = ConfluentConsumer(SETTINGS, {})
    yield one
    one.close()


def test_an_instance_id_that_another_worker_took_is_an_error_for_a_person(consumer: ConfluentConsumer) -> None:
    consumer._pending = FencedInstanceIdError()
    with pytest.raises(FencedInstanceIdError):
        consumer.poll(0, 1)


def test_one_that_librdkafka_took_from_itself_after_its_session_timed_out_is_one_for_a_restart(
    consumer: ConfluentConsumer,
) -> None:
    consumer._pending, consumer._lost = FencedInstanceIdError(), True
    with pytest.raises(StopProcessError, match="instance id one") as caught:
        consumer.poll(0, 1)
    assert caught.value.exit_status == ExitStatus.RESTART


def test_an_assignment_that_comes_while_the_client_closes_ends_nothing(consumer: ConfluentConsumer) -> None:
    def left() -> bytes:
        raise RuntimeError("Consumer group metadata not available")

    leaving = SimpleNamespace(incremental_assign=list, pause=list, consumer_group_metadata=left)
    with pytest.raises(RuntimeError):
        consumer._on_assign(leaving, [])
    consumer.close()
    consumer._on_assign(leaving, [])


class Unreadable:
    """A committed offset whose metadata another program stored without a null byte, as confluent-kafka shows it."""

    topic, partition, offset, error = "user-activity", 0, 5, None

    @property
    def metadata(self) -> str:
        return b"mine\xdb".decode()


def test_a_note_of_another_program_that_cannot_be_read_counts_as_none(
    consumer: ConfluentConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "_describe", lambda _: None)
    monkeypatch.setattr(consumer, "_consumer", SimpleNamespace(committed=lambda *_: [Unreadable()], close=lambda: None))
    at = TopicPartition("user-activity", 0)
    assert consumer.committed([at], 100) == {at: NotedOffset(5, "")}


class Refusing:
    """Stands for the connection that is tried with kafka-python."""

    answer: Exception = StopProcessError("the certificate has expired", ExitStatus.ACT_FIRST)

    def __init__(self, *_: Any) -> None:
        raise self.answer


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> LoginWatch:
    monkeypatch.setattr(login, "Cluster", Refusing)
    monkeypatch.setattr(login, "REFUSAL_LASTS_S", 0.0)
    return LoginWatch(SETTINGS, {})


def test_a_refusal_is_explained_by_another_connection(watch: LoginWatch) -> None:
    watch.require()
    watch.note(KafkaError(KafkaError._TRANSPORT))
    watch.require()
    watch.note(KafkaError(KafkaError._SSL))
    with pytest.raises(StopProcessError, match="expired"):
        watch.require()


def test_brokers_that_are_away_do_not_end_the_worker(watch: LoginWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Refusing, "answer", BrokersUnreachable("no broker answers"))
    watch.note(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    watch.require()


def test_what_another_thread_asks_is_answered_although_the_admin_client_is_replaced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as other:
        port = silent.getsockname()[1]
        consumer = ConfluentConsumer(SETTINGS.model_copy(update={"kafka_bootstrap_servers": f"127.0.0.1:{port}"}), {})
        asked = other.submit(consumer._offsets_at, [TopicPartition("user-activity", 0)], _LATEST, 1_000)
        silent.accept()  # it has connected
        consumer._connect_admin()
        with pytest.raises(KafkaTimeoutError):
            asked.result(60)
        consumer.close()


def test_a_fatal_error_ends_the_process_for_a_restart(
    consumer: ConfluentConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fatal = KafkaError(KafkaError._FATAL, "Fatal error: whatever it was")
    monkeypatch.setattr(consumer, "_messages", lambda *_: [Message(topic="in", error=fatal)])
    with pytest.raises(StopProcessError, match="whatever it was") as caught:
        consumer.poll(0, 1)
    assert caught.value.exit_status == ExitStatus.RESTART
