"""The cluster through an admin client: its facts, and the creation of missing topics."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType

from worker.errors import BrokersUnreachable, ExitStatus, StopProcessError, TopicNotCreated, WorkerError
from worker.kafka.client import authentication_failure, connected
from worker.kafka.errors import AuthenticationFailed, fault
from worker.kafka.facts import Absent, ClusterFacts, GroupFacts, TopicFacts
from worker.kafka.members import GroupAdmin
from worker.kafka.oauth import TokenEndpointUnavailable
from worker.kafka.protocol_probe import listener_at
from worker.settings import Settings

_T = TypeVar("_T")

# Kafka's default for max.message.bytes; a topic only needs the setting for larger records.
_MESSAGE_MAX_BYTES_DEFAULT: Final = 1_048_588
_TOPIC_SETTINGS: Final = (
    "cleanup.policy",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
    "min.insync.replicas",
    "retention.bytes",
    "retention.ms",
)
_BROKER_SETTINGS: Final = (
    "group.max.session.timeout.ms",
    "group.min.session.timeout.ms",
    "transaction.max.timeout.ms",
)
# On the first use of a new cluster, coordinators are not available until their internal topics are created.
_COORDINATOR_WAIT_S: Final = 5.0
_REQUEST_TIMEOUT_MS: Final = 10_000
# For each of five steps per listener; with the time to connect before, less than a drain may take.
_LISTENER_WAIT_S: Final = 0.5
_PROBE_AGAIN_S: Final = 10.0


class ListenerProbe:
    """Asks the bootstrap servers for their protocol, at most every ten seconds, because it costs them connections."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._not_before_s = 0.0

    def other_protocol(self) -> StopProcessError | None:
        """The error to stop with if a server speaks another protocol than the worker; None if asked too recently."""
        now_s = time.monotonic()
        if now_s < self._not_before_s:
            return None
        self._not_before_s = now_s + _PROBE_AGAIN_S
        given = self._settings.kafka_security_protocol
        until_s = now_s + _LISTENER_WAIT_S
        for server in self._settings.bootstrap_servers:
            # Another one only if those before failed at once, as ports without a listener do.
            listener = listener_at(server, _LISTENER_WAIT_S) if time.monotonic() < until_s else None
            if listener is not None and not listener.takes(given):
                return StopProcessError(
                    f"{server} speaks {listener.protocol}, but KAFKA_SECURITY_PROTOCOL is {given}; set it to "
                    f"{listener.protocol}, or set KAFKA_BOOTSTRAP_SERVERS to the address of another listener",
                    ExitStatus.ACT_FIRST,
                )
        return None


class Cluster:
    """An admin connection: it never reads or writes records, joins a group or opens a transaction."""

    def __init__(
        self, settings: Settings, arguments: Mapping[str, Any], wait_s: float, probe: ListenerProbe | None = None
    ) -> None:
        """Connect, waiting up to `wait_s` for a broker; callers that retry pass the same `probe` each time.

        Raises BrokersUnreachable if no broker answered, and StopProcessError if authentication or TLS failed, where
        waiting longer would not help.
        """
        self._settings = settings
        with _client_log_muted():
            try:
                self._admin: GroupAdmin = connected(
                    _Admin,
                    **arguments,
                    bootstrap_timeout_ms=max(int(wait_s * 1000), 1),
                    request_timeout_ms=_REQUEST_TIMEOUT_MS,
                )
            except kafka_errors.KafkaError as error:
                found = _unreachable(settings, error)
                if not isinstance(error, AuthenticationFailed):
                    # Kafka closes connections that speak another protocol, which looks like a broker that goes away.
                    found = (probe or ListenerProbe(settings)).other_protocol() or found
                raise found from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admin.close()

    def facts(self) -> ClusterFacts:
        """The facts now. Raises BrokersUnreachable if brokers stop answering meanwhile."""
        settings = self._settings
        with self._answers():
            cluster = self._admin.describe_cluster()
            active = [broker["broker_id"] for broker in cluster["brokers"]]
            if not active:
                raise BrokersUnreachable(
                    f"the cluster at {settings.kafka_bootstrap_servers} has no active broker; see the brokers' logs"
                )
            described = {topic["name"]: topic for topic in self._admin.describe_topics(list(settings.topics))}
            configs = self._configs(active[0])
            return ClusterFacts(
                cluster_id=str(cluster["cluster_id"]),
                brokers=len(active),
                topics={
                    name: _topic_facts(described[name], configs.get("topic", {}).get(name, {}))
                    for name in settings.topics
                },
                group=self.group(),
                transactional_id_visible=self._transactional_id_visible(),
                broker_configs=_values(next(iter(configs.get("broker", {}).values()), {})),
            )

    def group(self) -> GroupFacts | Absent | None:
        """The group only; None if its coordinator is not available. Raises BrokersUnreachable."""
        with self._answers():
            try:
                return _retried(lambda: self._admin.group_facts(self._settings.worker_group_id))
            except kafka_errors.GroupAuthorizationFailedError:
                return Absent.HIDDEN
            except _NO_COORDINATOR:
                return None

    def create_missing_topics(self, partitions: int) -> Mapping[str, int]:
        """Create the missing ones of the topics, and return the number of partitions of each one created.

        A missing input topic gets `partitions`; the others get as many as the input topic has. Raises
        TopicNotCreated with the reason, and BrokersUnreachable.
        """
        settings = self._settings
        created: list[str] = []
        with self._answers():
            created += self._create(settings.worker_input_topic, {"num_partitions": partitions})
            self._admin.wait_for_topics([settings.worker_input_topic])
            partitions = len(self._admin.describe_topics([settings.worker_input_topic])[0]["partitions"])
            options: dict[str, Any] = {"num_partitions": partitions}
            created += self._create(settings.worker_output_topic, options)
            if settings.worker_current_topic is not None:
                compacted = {"cleanup.policy": "compact"}
                created += self._create(settings.worker_current_topic, {**options, "configs": compacted})
            if settings.rejected_max_bytes > _MESSAGE_MAX_BYTES_DEFAULT:
                options["configs"] = {"max.message.bytes": str(settings.rejected_max_bytes)}
            created += self._create(settings.worker_rejected_topic, options)
            self._admin.wait_for_topics(list(settings.topics))
        return dict.fromkeys(created, partitions)

    @contextlib.contextmanager
    def _answers(self) -> Iterator[None]:
        try:
            yield
        except kafka_errors.KafkaError as error:
            raise _unreachable(self._settings, authentication_failure(self._admin) or error) from error

    def _create(self, name: str, options: Mapping[str, Any]) -> tuple[str, ...]:
        reply = self._admin.create_topics({name: options}, raise_errors=False)
        (topic,) = reply["topics"]
        kind = kafka_errors.for_code(topic["error_code"])
        if kind is kafka_errors.NoError:
            return (name,)
        if kind is kafka_errors.TopicAlreadyExistsError:
            return ()
        if issubclass(kind, kafka_errors.AuthorizationError):
            raise TopicNotCreated(
                f"topic {name} does not exist, and CREATE is not allowed; grant CREATE on it, or create it yourself"
            )
        raise TopicNotCreated(
            f"topic {name} could not be created ({topic.get('error_message') or kind.__name__}); create it yourself"
        )

    def _configs(self, broker_id: int) -> dict[str, dict[str, Any]]:
        resources = [
            *(ConfigResource(ConfigResourceType.TOPIC, name, list(_TOPIC_SETTINGS)) for name in self._settings.topics),
            ConfigResource(ConfigResourceType.BROKER, str(broker_id), list(_BROKER_SETTINGS)),
        ]
        found: dict[str, dict[str, Any]] = self._admin.describe_configs(resources, config_filter="all")
        return found

    def _transactional_id_visible(self) -> bool | None:
        # Described, never used. A dynamic member picks its id later; any id with the prefix has the same rights.
        name = self._settings.transactional_id("check")
        try:
            _retried(lambda: self._admin.describe_transactions([name]))
        except kafka_errors.TransactionalIdAuthorizationFailedError:
            return False
        except kafka_errors.TransactionalIdNotFoundError:
            return True
        except _NO_COORDINATOR:
            return None
        except kafka_errors.IncompatibleBrokerVersion:
            # Brokers before Kafka 3.0 cannot describe it; the first transaction shows whether it may be used.
            return True
        return True


class _Admin(GroupAdmin):
    async def _describe_cluster(self) -> Any:
        # kafka-python 3.0.12 removes a field from the answer that Kafka 2.8 to 3.6 does not send, and fails. A metadata
        # answer has the same facts, for active brokers only.
        metadata = await self._get_cluster_metadata([])
        return {**metadata, "brokers": [{**each, "broker_id": each["node_id"]} for each in metadata["brokers"]]}


_NO_COORDINATOR: Final = (
    kafka_errors.CoordinatorNotAvailableError,
    kafka_errors.NotCoordinatorError,
    kafka_errors.CoordinatorLoadInProgressError,
)


def _retried(ask: Callable[[], _T]) -> _T:
    until_s = time.monotonic() + _COORDINATOR_WAIT_S
    while True:
        try:
            return ask()
        except _NO_COORDINATOR:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.1)


def _topic_facts(described: Mapping[str, Any], configs: Mapping[str, Any]) -> TopicFacts | Absent:
    kind = kafka_errors.for_code(described["error_code"])
    if kind is kafka_errors.UnknownTopicOrPartitionError:
        return Absent.MISSING
    if issubclass(kind, kafka_errors.AuthorizationError):
        return Absent.HIDDEN
    partitions = described["partitions"]
    return TopicFacts(
        partitions=len(partitions),
        leaderless=tuple(each["partition_index"] for each in partitions if each["leader_id"] < 0),
        replicas=min((len(each["replica_nodes"]) for each in partitions), default=0),
        operations=frozenset(described["authorized_operations"] or ()),
        configs=_values(configs),
    )


def _values(configs: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(config["value"]) for name, config in configs.items() if config["value"] is not None}


@contextlib.contextmanager
def _client_log_muted() -> Iterator[None]:
    """Drop kafka-python's log lines meanwhile: for a broker that is not up yet, it writes several per second."""
    log = logging.getLogger("kafka")
    before = log.handlers, log.propagate
    log.handlers, log.propagate = [logging.NullHandler()], False
    try:
        yield
    finally:
        log.handlers, log.propagate = before


def _unreachable(settings: Settings, error: Exception) -> WorkerError:
    found = fault([error], "connecting", settings)
    if isinstance(found, StopProcessError):
        return found
    servers = settings.kafka_bootstrap_servers
    if isinstance(error, TokenEndpointUnavailable):
        return BrokersUnreachable(
            f"cannot authenticate at {servers} without a token: {_reason(error)}; check KAFKA_SASL_OAUTH_TOKEN_URL, "
            "and that it can be reached from here"
        )
    return BrokersUnreachable(
        f"no broker answers at {servers} ({_reason(error)}); "
        "check KAFKA_BOOTSTRAP_SERVERS, KAFKA_SECURITY_PROTOCOL, and that the brokers run"
    )


def _reason(failure: Exception) -> str:
    return str(failure.args[0]) if failure.args else type(failure).__name__
