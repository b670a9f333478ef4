"""librdkafka's errors as kafka.errors names them, so that worker.kafka.errors says of both clients what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import confluent_kafka
from kafka import errors

# What librdkafka notices by itself; everything else has the brokers' number.
_LOCAL: Final[dict[str, type[Exception]]] = {
    "_ALL_BROKERS_DOWN": errors.KafkaConnectionError,
    "_AUTHENTICATION": errors.SaslAuthenticationFailedError,
    "_BAD_COMPRESSION": errors.CorruptRecordError,
    "_BAD_MSG": errors.CorruptRecordError,
    "_FENCED": errors.ProducerFencedError,
    "_MSG_TIMED_OUT": errors.KafkaTimeoutError,
    "_NOT_IMPLEMENTED": errors.UnsupportedCodecError,
    "_RESOLVE": errors.KafkaConnectionError,
    "_SSL": errors.KafkaConnectionError,
    "_TIMED_OUT": errors.KafkaTimeoutError,
    "_TIMED_OUT_QUEUE": errors.KafkaTimeoutError,
    "_TRANSPORT": errors.KafkaConnectionError,
    "_UNKNOWN_PARTITION": errors.UnknownTopicOrPartitionError,
    "_UNKNOWN_TOPIC": errors.UnknownTopicOrPartitionError,
    "_UNSUPPORTED_FEATURE": errors.UnsupportedVersionError,
}


# A fatal error shows to a consumer as a text that quotes the broker's error.
_FENCED_INSTANCE: Final = confluent_kafka.KafkaError(confluent_kafka.KafkaError.FENCED_INSTANCE_ID)


@contextmanager
def translated(topic: str | None = None) -> Iterator[None]:
    """The block raises kafka.errors.KafkaError instead of librdkafka's errors; `topic` is the one that it is about."""
    try:
        yield
    except confluent_kafka.KafkaException as error:
        raise kafka_error(error.args[0], topic) from error
    except SystemError as error:
        # A callback ran after a fatal error was raised, and before it was seen; it may have been lost then.
        cause = error.__cause__
        if isinstance(cause, confluent_kafka.KafkaException):
            raise kafka_error(cause.args[0], topic) from error
        raise errors.KafkaError(str(error)) from error
    except BufferError as error:  # its queue is full
        raise errors.KafkaError(str(error)) from error


def kafka_error(error: confluent_kafka.KafkaError, topic: str | None = None) -> Exception:
    """The error; with its topic, where it is one's."""
    code = error.code()
    kind = errors.for_code(code) if code > 0 else _LOCAL.get(error.name(), errors.KafkaError)
    if error.name() == "_FATAL" and _FENCED_INSTANCE.str() in error.str():
        kind = errors.FencedInstanceIdError
    if issubclass(kind, errors.TopicAuthorizationFailedError):
        found = kind(topic) if topic else kind()
    elif issubclass(kind, errors.GroupAuthorizationFailedError):
        found = kind()  # its argument would be taken for another group
    else:
        found = kind(f"{error.name()}: {error.str()}")
    return found  # type: ignore[no-any-return]  # kafka-python ships no types
