"""Which client is used, and what is said where it is missing."""

import importlib.util
from importlib.metadata import version

import pytest

from worker.errors import UnsupportedClientError
from worker.kafka import clients
from worker.kafka.clients import client_version, consumer_client, producer_client
from worker.settings import Settings

CONFLUENT = Settings(_env_file=None, kafka_client="confluent")


def test_the_client_that_the_settings_name_has_a_version() -> None:
    assert client_version(Settings(_env_file=None)) == version("kafka-python")
    assert client_version(CONFLUENT) == version("confluent-kafka")


def test_a_client_that_is_not_installed_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "find_spec", lambda _: None)
    assert importlib.util.find_spec("confluent_kafka") is not None
    for use in (client_version, lambda s: consumer_client(s, {}), lambda s: producer_client(s, {}, "id")):
        with pytest.raises(UnsupportedClientError, match=r"KAFKA_CLIENT.*stream-segmentation\[fast\]"):
            use(CONFLUENT)
