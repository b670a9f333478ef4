"""How librdkafka's clients connect: the same settings as for kafka-python, under its names."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from worker.kafka import tuning
from worker.kafka.oauth import TokenProvider
from worker.settings import Settings

# librdkafka's names for options, where they are not Kafka's.
_OPTION_NAMES: Final = {
    "metadata.max.age.ms": "topic.metadata.refresh.interval.ms",
    "receive.buffer.bytes": "socket.receive.buffer.bytes",
    "send.buffer.bytes": "socket.send.buffer.bytes",
}
# Idle connections that brokers close are not worth a line.
_QUIET = {"log.connection.close": False}


def connection_settings(
    settings: Settings, connection: Mapping[str, Any], log: str, on_error: Callable[[Any], None]
) -> dict[str, Any]:
    """What all three clients share: brokers, encryption, login, log.

    `connection` is what worker.kafka.config makes of the settings, for the OAUTHBEARER token that all clients share;
    `log` names the logger, and `on_error` is called with each error that concerns the client as a whole.
    """
    found: dict[str, Any] = {
        "bootstrap.servers": ",".join(settings.bootstrap_servers),
        "client.id": settings.client_id,
        "security.protocol": settings.kafka_security_protocol,
        "allow.auto.create.topics": False,
        "topic.metadata.refresh.interval.ms": tuning.METADATA_MAX_AGE_MS,
        "reconnect.backoff.max.ms": tuning.RECONNECT_BACKOFF_MAX_MS,
        "logger": logging.getLogger(log),
        "error_cb": on_error,
        **_QUIET,
        **{_OPTION_NAMES.get(name, name): value for name, value in settings.client_options.items()},
    }
    if settings.kafka_security_protocol in {"SSL", "SASL_SSL"}:
        found |= _tls_settings(settings)
    if settings.kafka_security_protocol in {"SASL_PLAINTEXT", "SASL_SSL"}:
        found |= _sasl_settings(settings, connection)
    return found


def _tls_settings(settings: Settings) -> dict[str, Any]:
    # The broker's certificate is always verified, which is the default; OpenSSL 3 accepts TLS 1.2 and later only.
    files = {
        "ssl.ca.location": settings.kafka_ssl_cafile,
        "ssl.certificate.location": settings.kafka_ssl_certfile,
        "ssl.key.location": settings.kafka_ssl_keyfile or settings.kafka_ssl_certfile,
    }
    password = settings.kafka_ssl_password
    return {
        **{name: str(path) for name, path in files.items() if path is not None},
        **({} if password is None else {"ssl.key.password": password.get_secret_value()}),
        "ssl.endpoint.identification.algorithm": "https" if settings.kafka_ssl_check_hostname else "none",
    }


def _sasl_settings(settings: Settings, connection: Mapping[str, Any]) -> dict[str, Any]:
    mechanism = {"sasl.mechanism": settings.kafka_sasl_mechanism}
    if settings.kafka_sasl_mechanism == "OAUTHBEARER":
        tokens: TokenProvider = connection["sasl_oauth_token_provider"]

        def token(_: str) -> tuple[str, float, str, dict[str, str]]:
            value, lifetime_s = tokens.token_and_lifetime()
            # The principal's name is for librdkafka's log; the broker goes by the token.
            return value, time.time() + lifetime_s, "", tokens.extensions()

        return {**mechanism, "oauth_cb": token}
    return {
        **mechanism,
        "sasl.username": connection["sasl_plain_username"],
        "sasl.password": connection["sasl_plain_password"],
    }
