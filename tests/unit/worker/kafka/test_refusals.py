"""What a person is told of a connection that certificates stood against."""

import ssl

import pytest
from kafka.errors import KafkaConnectionError

from worker.kafka.errors import tls_refusal


def not_verified(code: int, message: str) -> KafkaConnectionError:
    """As kafka-python hands it on: the error of the handshake is only its context."""
    cause = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]")
    cause.verify_code, cause.verify_message = code, message
    error = KafkaConnectionError("Handshake failed")
    error.__context__ = cause
    return error


def alert(reason: str) -> KafkaConnectionError:
    """As kafka-python hands it on: the error that came instead of an answer is its argument."""
    cause = ssl.SSLError(1, reason)
    cause.reason = reason
    return KafkaConnectionError(cause)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (10, "ssl.keystore.location"),
        (9, "this machine's clock"),
        (62, "KAFKA_SSL_CHECK_HOSTNAME=false"),
        (64, "advertised.listeners"),
        (18, "KAFKA_SSL_CAFILE: it must hold the authority"),
        (19, "KAFKA_SSL_CAFILE: it must hold the authority"),
        (20, "KAFKA_SSL_CAFILE: it must hold the authority"),
        (23, "not trusted (revoked); check it and KAFKA_SSL_CAFILE"),
    ],
)
def test_a_brokers_certificate_that_is_not_accepted_is_told_with_its_address_and_what_to_mend(
    code: int, said: str
) -> None:
    refusal = tls_refusal(not_verified(code, "revoked"), "kafka:9093")
    assert refusal is not None
    assert refusal.line.startswith("the certificate of kafka:9093 ")
    assert said in refusal.line
    assert "\n" not in refusal.line


@pytest.mark.parametrize(
    "reason",
    [
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "TLSV1_ALERT_UNKNOWN_CA",
    ],
)
def test_a_clients_certificate_that_is_not_accepted_names_its_setting(reason: str) -> None:
    refusal = tls_refusal(alert(reason), "kafka:9093")
    assert refusal is not None
    assert refusal.line.startswith("kafka:9093 wants a client certificate")
    assert "KAFKA_SSL_CERTFILE" in refusal.line


@pytest.mark.parametrize(
    "error",
    [KafkaConnectionError("socket disconnected"), KafkaConnectionError(), alert("UNEXPECTED_EOF_WHILE_READING")],
)
def test_what_may_pass_by_itself_is_no_refusal(error: Exception) -> None:
    assert tls_refusal(error, "kafka:9093") is None
