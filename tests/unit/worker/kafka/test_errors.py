"""What each of Kafka's errors means for the process."""

import pytest
from kafka import errors

from worker.errors import ExitStatus, RetryBatchError, StopProcessError
from worker.kafka.errors import Refusal, fault
from worker.settings import Settings

SETTINGS = Settings(_env_file=None, worker_instance_id="one", worker_input_topic="in", worker_output_topic="out")


def stop(*causes: Exception) -> StopProcessError:
    error = fault(causes, "committing a batch", SETTINGS)
    assert isinstance(error, StopProcessError)
    return error


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (errors.FencedInstanceIdError(), "instance id one"),
        (errors.TopicAuthorizationFailedError({"out"}), "no right to use topic out"),
        (errors.TopicAuthorizationFailedError("out"), "no right to use topic out"),
        (errors.GroupAuthorizationFailedError("mine"), "group mine; grant READ"),
        (errors.GroupAuthorizationFailedError(), "group segment-worker; grant READ"),
        (errors.TransactionalIdAuthorizationFailedError(), "transactional ids that begin with segment-worker:"),
        (errors.ClusterAuthorizationFailedError(), "segment-worker check"),
        (
            errors.SaslAuthenticationFailedError("bad password"),
            "sign this worker in (bad password); check KAFKA_SASL_USER",
        ),
        (errors.UnsupportedSaslMechanismError(), "KAFKA_SASL_MECHANISM"),
        (errors.IllegalSaslStateError(), "KAFKA_SECURITY_PROTOCOL"),
        (Refusal("mend KAFKA_SSL_CAFILE"), "mend KAFKA_SSL_CAFILE"),
        (errors.MessageSizeTooLargeError("2 MB"), "max.message.bytes"),
        (errors.RecordListTooLargeError(), "max.message.bytes"),
        (errors.InvalidTimestampError(), "clock"),
        (errors.InvalidRecordError("no key"), "cleanup.policy"),
        (errors.UnsupportedCodecError("lz4"), "upgrade the worker"),
        (errors.InvalidSessionTimeoutError(), "WORKER_SESSION_TIMEOUT_MS=10000"),
        (errors.InconsistentGroupProtocolError(), "no segment workers"),
        (errors.GroupMaxSizeReachedError("g"), "group.max.size"),
        (errors.UnsupportedVersionError("0.11"), "too old"),
    ],
)
def test_what_a_person_must_mend_stops_the_process_and_says_what_to_do(cause: Exception, said: str) -> None:
    error = stop(cause)
    assert error.exit_status == ExitStatus.ACT_FIRST
    assert said in str(error)
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
def test_what_passes_by_itself_is_retried(cause: Exception) -> None:
    error = fault([cause], "committing a batch", SETTINGS)
    assert isinstance(error, RetryBatchError)
    assert "committing a batch" in str(error)


def test_the_cause_that_a_person_must_mend_counts_whatever_else_was_reported() -> None:
    vague = errors.KafkaError("we are in an error state")
    assert "out" in str(stop(vague, errors.TopicAuthorizationFailedError("out")))
