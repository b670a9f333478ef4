"""The arguments that every Kafka client gets: built from the settings, each combination as it must be."""

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import confluent_kafka
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from worker.client_options import SAFE_NAMES
from worker.errors import SettingsError
from worker.kafka.config import connection_arguments, ssl_context
from worker.kafka.confluent.config import connection_settings
from worker.kafka.oauth import TokenProvider
from worker.settings import Settings

SASL = {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_username": "me", "kafka_sasl_password": "secret"}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of its own authority, and its key under the password "right"."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    arguments = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=test"]
    files = ["-passout", "pass:right", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *arguments, *files], check=True, capture_output=True)
    return certificate, key


def settings(**given: object) -> Settings:
    return Settings.model_validate(given)


def test_plaintext_needs_the_brokers_only() -> None:
    assert connection_arguments(settings(kafka_bootstrap_servers="a:1,b:2")) == {
        "bootstrap_servers": ["a:1", "b:2"],
        "client_id": "segment-worker",
        "security_protocol": "PLAINTEXT",
        "metadata_max_age_ms": 60_000,
        "reconnect_backoff_max_ms": 1_000,
    }


OPTIONS = {
    "client.id": "billing",
    "client.rack": "eu-1a",
    "client.dns.lookup": "resolve_canonical_bootstrap_servers_only",
    "connections.max.idle.ms": "180000",
    "metadata.max.age.ms": "30000",
    "reconnect.backoff.ms": "20",
    "reconnect.backoff.max.ms": "2000",
    "receive.buffer.bytes": "65536",
    "send.buffer.bytes": "131072",
}


def test_the_users_options_reach_each_client_under_the_name_that_it_has_for_them() -> None:
    assert tuple(OPTIONS) == SAFE_NAMES
    given = settings(kafka_client_config=", ".join(f"{name}={value}" for name, value in OPTIONS.items()))
    arguments = connection_arguments(given)
    for client in (KafkaConsumer, KafkaProducer, KafkaAdminClient):
        assert arguments.keys() <= client.DEFAULT_CONFIG.keys()
    del arguments["bootstrap_servers"], arguments["security_protocol"]
    assert arguments == {
        "client_id": "billing",
        "client_dns_lookup": "resolve_canonical_bootstrap_servers_only",
        "connections_max_idle_ms": 180_000,
        "metadata_max_age_ms": 30_000,
        "reconnect_backoff_ms": 20,
        "reconnect_backoff_max_ms": 2_000,
        "socket_options": [
            *KafkaConsumer.DEFAULT_CONFIG["socket_options"],
            (socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536),
            (socket.SOL_SOCKET, socket.SO_SNDBUF, 131_072),
        ],
    }
    assert set(OPTIONS.values()) <= {str(value) for value in connection_settings(given, {}, "kafka", print).values()}


@pytest.mark.parametrize("option", OPTIONS.items())
def test_librdkafka_knows_each_option_of_the_user(option: tuple[str, str]) -> None:
    shared = connection_settings(settings(kafka_client_config="=".join(option)), {}, "kafka", print)
    confluent_kafka.Producer(shared)
    confluent_kafka.Consumer(shared | {"group.id": "g"})


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_password_is_handed_over_with_its_mechanism(mechanism: str) -> None:
    arguments = connection_arguments(settings(**SASL, kafka_sasl_mechanism=mechanism))
    assert arguments["sasl_mechanism"] == mechanism
    assert (arguments["sasl_plain_username"], arguments["sasl_plain_password"]) == ("me", "secret")
    assert "ssl_context" not in arguments


def test_oauthbearer_gets_a_provider_that_all_clients_share() -> None:
    arguments = connection_arguments(
        settings(
            kafka_security_protocol="SASL_SSL",
            kafka_sasl_mechanism="OAUTHBEARER",
            kafka_sasl_oauth_token_url="https://idp/token",
            kafka_sasl_oauth_client_id="me",
            kafka_sasl_oauth_client_secret="secret",
        )
    )
    assert isinstance(arguments["sasl_oauth_token_provider"], TokenProvider)
    assert isinstance(arguments["ssl_context"], ssl.SSLContext)
    assert not {"sasl_plain_username", "sasl_plain_password"} & arguments.keys()
    assert "secret" not in repr(arguments)


def test_consumer_and_producer_know_every_argument() -> None:
    password = connection_arguments(settings(**SASL, kafka_sasl_mechanism="PLAIN"))
    known = KafkaConsumer.DEFAULT_CONFIG.keys() & KafkaProducer.DEFAULT_CONFIG.keys()
    assert {*password, "ssl_context", "sasl_oauth_token_provider"} <= known


def test_tls_verifies_the_brokers_certificate_and_its_host(certificate: tuple[Path, Path]) -> None:
    context = ssl_context(settings(kafka_security_protocol="SSL", kafka_ssl_cafile=certificate[0]))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1


def test_the_check_of_the_host_can_be_given_up_and_the_certificate_is_verified_still() -> None:
    context = ssl_context(settings(kafka_security_protocol="SSL", kafka_ssl_check_hostname=False))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, False)


def test_a_client_certificate_is_loaded_with_the_password_of_its_key(certificate: tuple[Path, Path]) -> None:
    given = {
        "kafka_security_protocol": "SSL",
        "kafka_ssl_certfile": certificate[0],
        "kafka_ssl_keyfile": certificate[1],
    }
    ssl_context(settings(**given, kafka_ssl_password="right"))
    for password in ({"kafka_ssl_password": "hunter2"}, {}):
        with pytest.raises(SettingsError) as caught:
            ssl_context(settings(**given, **password))
        (line,) = caught.value.problems
        assert line.startswith(
            f"KAFKA_SSL_CERTFILE: {certificate[0]} cannot be loaded; check it, KAFKA_SSL_KEYFILE and"
        )
        assert "hunter2" not in line


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(SettingsError, match=r"KAFKA_SSL_CAFILE: .*ca\.pem has no PEM certificates"):
        ssl_context(settings(kafka_security_protocol="SSL", kafka_ssl_cafile=tmp_path / "ca.pem"))
