"""Which of kafka-python's errors says what really went wrong with a transaction."""

from types import SimpleNamespace

from kafka.errors import KafkaError, MessageSizeTooLargeError, TopicAuthorizationFailedError
from kafka.future import Future
from kafka.producer.transaction_manager import TransactionManager

from worker.kafka.kafka_python.producer import _causes

VAGUE = KafkaError("Cannot execute transactional method because we are in an error state")


def test_the_transaction_s_own_error_comes_before_the_one_that_only_quotes_it() -> None:
    manager = TransactionManager(transactional_id="t")
    manager.transition_to_fatal_error(TopicAuthorizationFailedError({"out"}))
    producer = SimpleNamespace(_transaction_manager=manager)
    assert [type(cause) for cause in _causes(VAGUE, producer, [])] == [TopicAuthorizationFailedError, KafkaError]


def test_the_error_of_a_record_is_found() -> None:
    refused = Future().failure(MessageSizeTooLargeError())
    arrived = Future().success(None)
    assert [type(cause) for cause in _causes(VAGUE, None, [arrived, refused])] == [MessageSizeTooLargeError, KafkaError]


def test_an_error_inside_the_error_is_found() -> None:
    outer = KafkaError("Cannot perform send", TopicAuthorizationFailedError("out"))
    assert [type(cause) for cause in _causes(outer, None, [])] == [TopicAuthorizationFailedError, KafkaError]
