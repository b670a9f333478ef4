"""The settings under librdkafka's names."""

from pathlib import Path
from typing import Any

import confluent_kafka
import pytest

from worker.kafka.confluent.config import connection_settings
from worker.kafka.oauth import Token, TokenProvider
from worker.settings import Settings


def given(connection: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    found = connection_settings(Settings(_env_file=None, **settings), connection or {}, "kafka", print)
    return {name: value for name, value in found.items() if name not in {"logger", "error_cb"}}


def test_plain_text_needs_brokers_only() -> None:
    found = given(kafka_bootstrap_servers="a:1, b:2")
    assert found["bootstrap.servers"] == "a:1,b:2"
    assert found["client.id"] == "segment-worker"
    assert not [name for name in found if name.startswith(("ssl.", "sasl."))]


def test_tls_names_its_files_and_checks_the_host_name() -> None:
    paths: dict[str, Any] = {
        "kafka_ssl_cafile": Path("ca"),
        "kafka_ssl_certfile": Path("cert"),
        "kafka_ssl_password": "secret",
    }
    found = given(kafka_security_protocol="SSL", **paths)
    assert {name: value for name, value in found.items() if name.startswith("ssl.")} == {
        "ssl.ca.location": "ca",
        "ssl.certificate.location": "cert",
        "ssl.key.location": "cert",
        "ssl.key.password": "secret",
        "ssl.endpoint.identification.algorithm": "https",
    }
    unchecked = given(kafka_security_protocol="SSL", kafka_ssl_check_hostname=False)
    assert unchecked["ssl.endpoint.identification.algorithm"] == "none"


def test_scram_has_user_and_password() -> None:
    connection = {"sasl_plain_username": "user", "sasl_plain_password": "secret"}
    found = given(connection, kafka_security_protocol="SASL_SSL", kafka_sasl_mechanism="SCRAM-SHA-512")
    assert {name: value for name, value in found.items() if name.startswith("sasl.")} == {
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "user",
        "sasl.password": "secret",
    }


def test_a_token_comes_with_the_time_at_which_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000.0)
    tokens = TokenProvider(lambda: Token("token", 60.0), extensions={"logicalCluster": "lkc-1"})
    connection = {"sasl_oauth_token_provider": tokens}
    found = given(connection, kafka_security_protocol="SASL_SSL", kafka_sasl_mechanism="OAUTHBEARER")
    assert found["oauth_cb"]("") == ("token", 1_060.0, "", {"logicalCluster": "lkc-1"})


def test_librdkafka_knows_every_setting() -> None:
    confluent_kafka.Producer({**given(kafka_security_protocol="SSL"), "log_level": 0})
