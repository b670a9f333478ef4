"""What each of kafka-python's errors means for the worker: retry, or stop and say what to do.

The one place that translates the client's errors: `fault` for any of them, `tls_failure` for the reason of a failed
connection.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from typing import Any, Final

from kafka import errors

from worker.errors import ExitStatus, RetryBatchError, StopProcessError, WorkerError
from worker.kafka.patches.decompression import OversizedBatch
from worker.settings import Settings

# OpenSSL's X509_V_ERR_… numbers; Python has no names for them.
_EXPIRED: Final = 10
_NOT_YET_VALID: Final = 9
_OTHER_HOST: Final = frozenset({62, 64})
_UNKNOWN_AUTHORITY: Final = frozenset({18, 19, 20, 21})


class AuthenticationFailed(errors.SaslAuthenticationFailedError):  # type: ignore[misc]  # kafka-python ships no types
    """Broker and worker do not trust each other, and waiting cannot fix it; `line` says what, where and what to do.

    A subclass of the one error for which kafka-python gives up: with any other it tries to connect for ever.
    """

    @property
    def line(self) -> str:
        """The message without the error number that kafka-python puts in front."""
        return str(self.args[0])


def tls_failure(error: Exception, address: str) -> AuthenticationFailed | None:
    """Why a connection to this address failed, where one side did not accept the other's certificate; else None."""
    for cause in (error, error.__context__, *error.args):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return AuthenticationFailed(_not_trusted(cause, address))
        if isinstance(cause, ssl.SSLError) and ("CERTIFICATE" in (alert := _alert(cause)) or alert == "UNKNOWN_CA"):
            return AuthenticationFailed(
                f"{address} requires a client certificate that it trusts ({alert}); check that KAFKA_SSL_CERTFILE is "
                "set, has not expired, and was issued by an authority that the brokers trust"
            )
    return None


def _alert(error: ssl.SSLError) -> str:
    # TLSV13_ALERT_CERTIFICATE_REQUIRED, SSLV3_ALERT_BAD_CERTIFICATE: what the other side sent before it hung up.
    return (error.reason or "").partition("ALERT_")[2]


def _not_trusted(error: ssl.SSLCertVerificationError, address: str) -> str:
    if error.verify_code == _EXPIRED:
        return (
            f"the certificate of {address} has expired; renew the one in that broker's ssl.keystore.location, or "
            "correct this machine's clock if it is wrong"
        )
    if error.verify_code == _NOT_YET_VALID:
        return f"the certificate of {address} is not valid yet; correct this machine's clock, or that of its issuer"
    if error.verify_code in _OTHER_HOST:
        return (
            f"the certificate of {address} is for another host ({error.verify_message.rstrip('.')}); use a name "
            "from it in KAFKA_BOOTSTRAP_SERVERS and in the brokers' advertised.listeners, or disable the check with "
            "KAFKA_SSL_CHECK_HOSTNAME=false"
        )
    if error.verify_code in _UNKNOWN_AUTHORITY:
        return (
            f"the certificate of {address} was issued by an authority that is not trusted here "
            f"({error.verify_message}); check that KAFKA_SSL_CAFILE holds the authority that signed the brokers' "
            "certificates"
        )
    return f"the certificate of {address} is not trusted ({error.verify_message}); check it and KAFKA_SSL_CAFILE"


_Explain = Callable[[Any, Settings], str]


def _topics(error: Exception, settings: Settings) -> str:
    named = error.args[0] if error.args else None
    topics = [named] if isinstance(named, str) else sorted(named) if isinstance(named, (set, frozenset)) else []
    return ", ".join(topics) or ", ".join(settings.topics)


def _written(settings: Settings) -> str:
    *others, last = settings.written_topics
    return f"{', '.join(others)} and {last}"


def _group(error: Exception, settings: Settings) -> str:
    # Not every error names it. A group other than the worker's own keeps the progress of a replay.
    named = error.args[0] if error.args else None
    return named if isinstance(named, str) else settings.worker_group_id


def _login_refused(error: Exception, settings: Settings) -> str:
    credentials = (
        "KAFKA_SASL_OAUTH_CLIENT_ID and KAFKA_SASL_OAUTH_SCOPE: the brokers do not accept the token issued for them"
        if settings.kafka_sasl_mechanism == "OAUTHBEARER"
        else "KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM"
    )
    # kafka-python puts the name of the error in front of the broker's reason.
    reason = str(error.args[0]).removeprefix(f"{type(error).__name__}: ") if error.args else "no reason given"
    return f"{settings.kafka_bootstrap_servers} refused the login ({reason}); check {credentials}"


def _oversized(error: OversizedBatch, settings: Settings) -> str:
    at = f"{error.topic}:{error.partition}"
    return (
        f"topic {error.topic}, partition {error.partition}, offset {error.offset}: the compressed batch there holds "
        f"more than {error.limit_bytes} bytes (the larger of 64 MiB and 4 x WORKER_EVENT_MAX_BYTES) and is not read; "
        "if such batches are intended, raise that setting; otherwise ask upstream who sent it and which of its records "
        "must be sent again, stop all workers of the group, skip it with kafka-consumer-groups --bootstrap-server "
        f"{settings.kafka_bootstrap_servers} --group {settings.worker_group_id} --topic {at} --reset-offsets "
        f"--to-offset {error.next_offset} --execute, then restart (verify and replay: --from-offset "
        f"{error.partition}:{error.next_offset})"
    )


# The first match decides, so a subclass stands before its class.
_STOPS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], _Explain], ...] = (
    (
        errors.FencedInstanceIdError,
        lambda _, s: (
            f"instance id {s.worker_instance_id} of group {s.worker_group_id} is used by another worker, which "
            "replaced this one; give each worker its own WORKER_INSTANCE_ID"
        ),
    ),
    (
        errors.TopicAuthorizationFailedError,
        lambda e, s: (
            f"no right to use topic {_topics(e, s)}; grant READ and DESCRIBE on {s.worker_input_topic}, WRITE "
            f"and DESCRIBE on {_written(s)}, then restart"
        ),
    ),
    (
        errors.GroupAuthorizationFailedError,
        lambda e, s: f"no right to use group {_group(e, s)}; grant READ on it, then restart",
    ),
    (
        errors.TransactionalIdAuthorizationFailedError,
        lambda _, s: (
            f"no right to use transactional ids that begin with {s.worker_group_id}:; grant WRITE and "
            "DESCRIBE on that prefix, then restart"
        ),
    ),
    (
        errors.AuthorizationError,
        lambda e, _: f"no right on the cluster ({e}); `segment-worker check` lists the missing ones",
    ),
    (AuthenticationFailed, lambda e, _: str(e.line)),
    (OversizedBatch, _oversized),
    (errors.SaslAuthenticationFailedError, _login_refused),
    (
        errors.UnsupportedSaslMechanismError,
        lambda _, s: (
            f"{s.kafka_bootstrap_servers} does not support KAFKA_SASL_MECHANISM={s.kafka_sasl_mechanism}; use one of "
            "its sasl.enabled.mechanisms"
        ),
    ),
    (
        errors.IllegalSaslStateError,
        lambda _, s: (
            f"{s.kafka_bootstrap_servers} does not use SASL; set KAFKA_SECURITY_PROTOCOL to "
            f"{s.kafka_security_protocol.removeprefix('SASL_')}, or give the address of a listener that does"
        ),
    ),
    (
        (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError),
        lambda e, s: (
            f"a record is too large to be sent ({e}); set max.message.bytes of topics {_written(s)} to "
            f"WORKER_EVENT_MAX_BYTES ({s.worker_event_max_bytes}) plus 64 KiB, or lower that setting"
        ),
    ),
    (
        errors.InvalidTimestampError,
        lambda e, s: (
            f"{s.kafka_bootstrap_servers} refused the timestamp of a record ({e}); correct this machine's clock"
        ),
    ),
    (
        errors.InvalidRecordError,
        lambda e, s: (
            f"topic {s.worker_output_topic} or {s.worker_rejected_topic} refused a record ({e}); a topic with "
            "cleanup.policy=compact accepts no record without a key: set it to delete"
        ),
    ),
    (
        errors.UnsupportedCodecError,
        lambda e, s: (
            f"topic {s.worker_input_topic} has records in a compression format that is not supported here "
            f"({e}); upgrade the worker, or have upstream use gzip, snappy, lz4 or zstd"
        ),
    ),
    (
        errors.LogTruncationError,
        lambda e, s: (
            f"topic {s.worker_input_topic} lost records that were read already ({e}); find out why, then move "
            f"the offsets of group {s.worker_group_id} with kafka-consumer-groups --reset-offsets"
        ),
    ),
    (
        errors.InvalidSessionTimeoutError,
        lambda _, s: (
            f"{s.kafka_bootstrap_servers} does not allow WORKER_SESSION_TIMEOUT_MS="
            f"{s.worker_session_timeout_ms}; stay within its group.min.session.timeout.ms and "
            "group.max.session.timeout.ms"
        ),
    ),
    (
        errors.InconsistentGroupProtocolError,
        lambda _, s: (
            f"group {s.worker_group_id} has members that are not segment workers (they assign partitions by "
            "another protocol); stop them, or change WORKER_GROUP_ID"
        ),
    ),
    (
        errors.GroupMaxSizeReachedError,
        lambda _, s: f"group {s.worker_group_id} is full; run fewer workers or raise the brokers' group.max.size",
    ),
    (
        errors.UnsupportedVersionError,
        lambda e, s: f"{s.kafka_bootstrap_servers} is too old ({e}); Kafka 2.5 or later is needed",
    ),
)


def is_fencing(causes: Iterable[Exception]) -> bool:
    """Whether another producer with the same transactional id, or the coordinator, replaced the one that reported."""
    fencings = (errors.ProducerFencedError, errors.InvalidProducerEpochError)
    # kafka-python often only quotes what the broker reported.
    return any(isinstance(cause, fencings) or "ProducerFenced" in str(cause) for cause in causes)


def fault(causes: Iterable[Exception], doing: str, settings: Settings) -> WorkerError:
    """The one error to raise for what kafka-python reported while doing something.

    `causes` holds at least one error; the first one that needs a person or a restart decides, otherwise the batch is
    to be retried.
    """
    causes = tuple(causes)
    for cause in causes:
        if "InvalidTransactionTimeout" in str(cause):  # kafka-python quotes this one in a plain KafkaError
            return StopProcessError(
                f"{settings.kafka_bootstrap_servers} does not allow WORKER_TRANSACTION_TIMEOUT_MS="
                f"{settings.worker_transaction_timeout_ms}; stay within its transaction.max.timeout.ms",
                ExitStatus.ACT_FIRST,
            )
        for kind, explain in _STOPS:
            if isinstance(cause, kind):
                return StopProcessError(explain(cause, settings), ExitStatus.ACT_FIRST)
        if isinstance(cause, errors.CorruptRecordError):
            # Damaged on its way or on disk? Reading it again decides, and kafka-python 3.0.12 cannot continue after it.
            return StopProcessError(
                f"a record of topic {settings.worker_input_topic} is corrupt ({cause}); restart, and if it fails "
                "again at the same offset, restore that partition from a replica",
                ExitStatus.RESTART,
            )
    return RetryBatchError(f"{doing}: {causes[0]}")
