"""What each of Kafka's errors means for the process."""

import ssl

import pytest
from kafka import errors
from kafka.errors import KafkaConnectionError

from worker.errors import ExitStatus, RetryBatchError, StopProcessError
from worker.kafka.errors import AuthenticationFailed, fault, is_fencing, tls_failure
from worker.kafka.patches.decompression import OversizedBatch
from worker.settings import Settings

SETTINGS = Settings(_env_file=None, worker_instance_id="one", worker_input_topic="in", worker_output_topic="out")


def stop(*causes: Exception) -> StopProcessError:
    error = fault(causes, "committing a batch", SETTINGS)
    assert isinstance(error, StopProcessError)
    return error


@pytest.mark.parametrize(
    ("cause", "named"),
    [
        (errors.FencedInstanceIdError(), ["instance id one", "WORKER_INSTANCE_ID"]),
        (errors.TopicAuthorizationFailedError({"out"}), ["topic out"]),
        (errors.TopicAuthorizationFailedError("out"), ["topic out"]),
        (errors.GroupAuthorizationFailedError("mine"), ["group mine", "READ"]),
        (errors.GroupAuthorizationFailedError(), ["group segment-worker", "READ"]),
        (errors.TransactionalIdAuthorizationFailedError(), ["segment-worker:", "WRITE"]),
        (errors.ClusterAuthorizationFailedError(), ["segment-worker check"]),
        (errors.SaslAuthenticationFailedError("bad password"), ["(bad password)", "KAFKA_SASL_USERNAME"]),
        (errors.UnsupportedSaslMechanismError(), ["KAFKA_SASL_MECHANISM"]),
        (errors.IllegalSaslStateError(), ["KAFKA_SECURITY_PROTOCOL"]),
        (AuthenticationFailed("check KAFKA_SSL_CAFILE"), ["check KAFKA_SSL_CAFILE"]),
        (errors.MessageSizeTooLargeError("2 MB"), ["max.message.bytes", "WORKER_EVENT_MAX_BYTES"]),
        (errors.RecordListTooLargeError(), ["max.message.bytes", "WORKER_EVENT_MAX_BYTES"]),
        (errors.InvalidTimestampError(), ["clock"]),
        (errors.InvalidRecordError("no key"), ["cleanup.policy"]),
        (errors.UnsupportedCodecError("lz4"), ["topic in"]),
        (errors.LogTruncationError({}, {}), ["topic in", "--reset-offsets"]),
        (errors.InvalidSessionTimeoutError(), ["WORKER_SESSION_TIMEOUT_MS=10000"]),
        (errors.InconsistentGroupProtocolError(), ["WORKER_GROUP_ID"]),
        (errors.GroupMaxSizeReachedError("g"), ["group.max.size"]),
        (errors.UnsupportedVersionError("0.11"), ["Kafka 2.5"]),
        (errors.KafkaError("[Error 50] InvalidTransactionTimeoutError"), ["WORKER_TRANSACTION_TIMEOUT_MS=10000"]),
        (
            OversizedBatch("in", 3, 7, 9, 64),
            ["topic in", "partition 3", "offset 7", "WORKER_EVENT_MAX_BYTES", "--topic in:3", "--to-offset 9"],
        ),
    ],
)
def test_an_error_that_waiting_cannot_fix_stops_the_process_and_names_what_to_change(
    cause: Exception, named: list[str]
) -> None:
    error = stop(cause)
    assert error.exit_status == ExitStatus.ACT_FIRST
    assert [each for each in named if each not in str(error)] == []
    assert "\n" not in str(error)


def test_a_corrupt_record_stops_the_process_for_a_restart() -> None:
    assert stop(errors.CorruptRecordError("at offset 7")).exit_status == ExitStatus.RESTART


@pytest.mark.parametrize(
    "cause",
    [
        errors.KafkaTimeoutError("60 s"),
        errors.ProducerFencedError(),
        errors.InvalidProducerEpochError(),
        errors.CommitFailedError("stale generation"),
        errors.OutOfOrderSequenceNumberError(),
        errors.KafkaConnectionError("reset"),
        errors.KafkaError("Cannot execute transactional method because we are in an error state"),
    ],
)
def test_a_temporary_error_is_retried(cause: Exception) -> None:
    error = fault([cause], "committing a batch", SETTINGS)
    assert isinstance(error, RetryBatchError)
    assert "committing a batch" in str(error)


def test_the_cause_that_needs_a_person_decides_whatever_else_was_reported() -> None:
    vague = errors.KafkaError("we are in an error state")
    assert "out" in str(stop(vague, errors.TopicAuthorizationFailedError("out")))


@pytest.mark.parametrize(
    ("cause", "fenced"),
    [
        (errors.ProducerFencedError(), True),
        (errors.InvalidProducerEpochError(), True),
        (errors.KafkaError("Cannot begin: [Error 90] ProducerFencedError"), True),
        (errors.KafkaTimeoutError(), False),
    ],
)
def test_fencing_is_distinguished_from_other_errors(cause: Exception, fenced: bool) -> None:
    assert is_fencing([errors.KafkaError("vague"), cause]) is fenced


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
    ("code", "named"),
    [
        (10, "ssl.keystore.location"),
        (9, "clock"),
        (62, "KAFKA_SSL_CHECK_HOSTNAME=false"),
        (64, "advertised.listeners"),
        (18, "KAFKA_SSL_CAFILE"),
        (19, "KAFKA_SSL_CAFILE"),
        (20, "KAFKA_SSL_CAFILE"),
        (23, "KAFKA_SSL_CAFILE"),
    ],
)
def test_a_broker_s_certificate_that_is_not_accepted_is_named_with_its_address_and_what_to_change(
    code: int, named: str
) -> None:
    failure = tls_failure(not_verified(code, "revoked"), "kafka:9093")
    assert failure is not None
    assert "certificate of kafka:9093 " in failure.line
    assert named in failure.line
    assert "\n" not in failure.line


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
def test_a_client_s_certificate_that_is_not_accepted_names_its_setting(reason: str) -> None:
    failure = tls_failure(alert(reason), "kafka:9093")
    assert failure is not None
    assert "kafka:9093" in failure.line
    assert "KAFKA_SSL_CERTFILE" in failure.line


@pytest.mark.parametrize(
    "error",
    [KafkaConnectionError("socket disconnected"), KafkaConnectionError(), alert("UNEXPECTED_EOF_WHILE_READING")],
)
def test_a_temporary_error_is_not_an_authentication_failure(error: Exception) -> None:
    assert tls_failure(error, "kafka:9093") is None
