"""How the worker's Kafka clients connect: the arguments that consumer, producer and admin client share."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final

from pydantic import SecretStr

from worker.client_options import Value
from worker.errors import SettingsError
from worker.kafka import tuning
from worker.kafka.oauth import ClientCredentials, TokenProvider
from worker.settings import Settings

_OPTION_NAMES: Final = {
    "client.dns.lookup": "client_dns_lookup",
    "connections.max.idle.ms": "connections_max_idle_ms",
    "metadata.max.age.ms": "metadata_max_age_ms",
    "reconnect.backoff.ms": "reconnect_backoff_ms",
    "reconnect.backoff.max.ms": "reconnect_backoff_max_ms",
}
_BUFFERS: Final = {"receive.buffer.bytes": socket.SO_RCVBUF, "send.buffer.bytes": socket.SO_SNDBUF}
# Those that kafka-python sets by default.
_SOCKET_OPTIONS: Final = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)


def connection_arguments(settings: Settings) -> dict[str, Any]:
    """Keyword arguments for any kafka-python client: brokers, encryption, login. Build once, give to every client.

    The clients then share one OAUTHBEARER token. Raises SettingsError for a certificate or key that cannot be loaded.
    """
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": settings.client_id,
        "security_protocol": settings.kafka_security_protocol,
        "metadata_max_age_ms": tuning.METADATA_MAX_AGE_MS,
        "reconnect_backoff_max_ms": tuning.RECONNECT_BACKOFF_MAX_MS,
        **_options(settings.client_options),
    }
    if settings.kafka_security_protocol in {"SSL", "SASL_SSL"}:
        arguments["ssl_context"] = ssl_context(settings)
    if settings.kafka_security_protocol in {"SASL_PLAINTEXT", "SASL_SSL"}:
        arguments |= _sasl_arguments(settings)
    return arguments


def _options(options: Mapping[str, Value]) -> dict[str, Any]:
    found: dict[str, Any] = {own: options[name] for name, own in _OPTION_NAMES.items() if name in options}
    # kafka-python takes settings for these, and does not use them.
    buffers = [(socket.SOL_SOCKET, own, options[name]) for name, own in _BUFFERS.items() if name in options]
    return found | ({"socket_options": [*_SOCKET_OPTIONS, *buffers]} if buffers else {})


def ssl_context(settings: Settings) -> ssl.SSLContext:
    """TLS as the settings say: 1.2 or later, the broker's certificate always verified.

    Raises SettingsError for a file that cannot be loaded and for a wrong password, which it does not repeat.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = settings.kafka_ssl_check_hostname
    if settings.kafka_ssl_cafile is None:
        context.load_default_certs()
    else:
        with _named(("kafka_ssl_cafile",), f"KAFKA_SSL_CAFILE: {settings.kafka_ssl_cafile} has no PEM certificates"):
            context.load_verify_locations(settings.kafka_ssl_cafile)
    if settings.kafka_ssl_certfile is not None:
        password = settings.kafka_ssl_password
        with _named(
            ("kafka_ssl_certfile", "kafka_ssl_keyfile", "kafka_ssl_password"),
            f"KAFKA_SSL_CERTFILE: {settings.kafka_ssl_certfile} cannot be loaded; check it, KAFKA_SSL_KEYFILE and "
            "KAFKA_SSL_PASSWORD",
        ):
            # A callable, because without one OpenSSL asks for the password on the terminal.
            context.load_cert_chain(
                settings.kafka_ssl_certfile,
                settings.kafka_ssl_keyfile,
                lambda: "" if password is None else password.get_secret_value(),
            )
    return context


class _named(contextlib.AbstractContextManager[None]):  # noqa: N801  # reads as a statement
    def __init__(self, fields: tuple[str, ...], problem: str) -> None:
        self._fields = fields
        self._problem = problem

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):  # ssl.SSLError is one
            raise SettingsError((f"{self._problem} ({error})",), frozenset(self._fields)) from error


def _sasl_arguments(settings: Settings) -> dict[str, Any]:
    if settings.kafka_sasl_mechanism == "OAUTHBEARER":
        credentials = ClientCredentials(
            url=_text(settings.kafka_sasl_oauth_token_url),
            client_id=_text(settings.kafka_sasl_oauth_client_id),
            client_secret=_text(settings.kafka_sasl_oauth_client_secret),
            scope=settings.kafka_sasl_oauth_scope,
        )
        tokens = TokenProvider(credentials, extensions=settings.sasl_extensions)
        return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": tokens}
    return {
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": _text(settings.kafka_sasl_username),
        "sasl_plain_password": _text(settings.kafka_sasl_password),
    }


def _text(value: str | SecretStr | None) -> str:
    # Never None: load_settings refuses a mechanism without its credentials.
    return value.get_secret_value() if isinstance(value, SecretStr) else value or ""
