"""librdkafka's errors under the names that decide what they mean."""

import pytest
from confluent_kafka import KafkaError, KafkaException
from kafka import errors

from worker.kafka.confluent.errors import kafka_error, translated


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._AUTHENTICATION, errors.SaslAuthenticationFailedError),
        (KafkaError._BAD_MSG, errors.CorruptRecordError),
        (KafkaError._BAD_COMPRESSION, errors.CorruptRecordError),
        (KafkaError._FENCED, errors.ProducerFencedError),
        (KafkaError._MSG_TIMED_OUT, errors.KafkaTimeoutError),
        (KafkaError._TIMED_OUT, errors.KafkaTimeoutError),
        (KafkaError._TRANSPORT, errors.KafkaConnectionError),
        (KafkaError._STATE, errors.KafkaError),
        (KafkaError.ILLEGAL_GENERATION, errors.IllegalGenerationError),
        (KafkaError.INVALID_PRODUCER_EPOCH, errors.InvalidProducerEpochError),
        (KafkaError.MSG_SIZE_TOO_LARGE, errors.MessageSizeTooLargeError),
        (KafkaError.PRODUCER_FENCED, errors.ProducerFencedError),
        (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, errors.TransactionalIdAuthorizationFailedError),
    ],
)
def test_an_error_has_the_class_of_its_meaning(code: int, kind: type[Exception]) -> None:
    assert type(kafka_error(KafkaError(code, "because"))) is kind


def test_a_topic_without_a_right_is_named_and_a_group_is_not_made_up() -> None:
    assert kafka_error(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "because"), "out").args == ("out",)
    assert kafka_error(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "because")).args == ()
    assert kafka_error(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "because")).args == ()


def test_a_fenced_instance_is_recognized_in_what_a_fatal_error_quotes() -> None:
    quoted = f"Fatal error: {KafkaError(KafkaError.FENCED_INSTANCE_ID).str()}: Fatal consumer error"
    assert isinstance(kafka_error(KafkaError(KafkaError._FATAL, quoted)), errors.FencedInstanceIdError)


def test_an_error_behind_that_of_a_callback_counts() -> None:
    def callback_after_a_fatal_error() -> None:
        raise SystemError("returned a result with an exception set") from KafkaException(KafkaError(KafkaError._FENCED))

    with pytest.raises(errors.ProducerFencedError), translated():
        callback_after_a_fatal_error()


def test_an_error_that_was_lost_in_a_callback_is_retried_like_any_other() -> None:
    with pytest.raises(errors.KafkaError, match="NULL"), translated():
        raise SystemError("returned NULL without setting an exception")


def test_a_full_queue_is_retried_like_any_other_error() -> None:
    with pytest.raises(errors.KafkaError, match="full"), translated():
        raise BufferError("Local: Queue full")
