"""The cluster as an administrator sees it: reached or not, what it is like, and the topics it lacks."""

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
from worker.kafka.client import connected, refusal_of
from worker.kafka.errors import Refusal, fault
from worker.kafka.facts import Absent, ClusterFacts, GroupFacts, TopicFacts
from worker.kafka.members import GroupAdmin
from worker.kafka.oauth import TokenEndpointAway
from worker.kafka.protocol_probe import listener_at
from worker.settings import Settings

_T = TypeVar("_T")

# Kafka's own default for max.message.bytes; a topic needs the setting only to take more.
_MESSAGE_MAX_BYTES_DEFAULT: Final = 1_048_588
_TOPIC_SETTINGS: Final = (
    "cleanup.policy",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
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
# A coordinator is not there yet while its internal topic is being made, on the first use of a new cluster.
_COORDINATOR_WAIT_S: Final = 5.0
_REQUEST_TIMEOUT_MS: Final = 10_000
# For each of five steps of one; with the time to connect before, less than a drain may take.
_LISTENER_WAIT_S: Final = 0.5
_PROBE_AGAIN_S: Final = 10.0


class ListenerProbe:
    """Asks the bootstrap servers what they speak, at most once in ten seconds: it costs each of them connections."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._not_before_s = 0.0

    def other_protocol(self) -> StopProcessError | None:
        """What to stop with when one speaks another protocol than the worker; None also when it is too soon to ask."""
        now_s = time.monotonic()
        if now_s < self._not_before_s:
            return None
        self._not_before_s = now_s + _PROBE_AGAIN_S
        given = self._settings.kafka_security_protocol
        until_s = now_s + _LISTENER_WAIT_S
        for server in self._settings.bootstrap_servers:
            # One more only while the others were quick to say nothing: it is a port where nobody listens.
            listener = listener_at(server, _LISTENER_WAIT_S) if time.monotonic() < until_s else None
            if listener is not None and not listener.takes(given):
                return StopProcessError(
                    f"{server} speaks {listener.protocol}, and KAFKA_SECURITY_PROTOCOL is {given}; set it to "
                    f"{listener.protocol}, or give the address of another listener in KAFKA_BOOTSTRAP_SERVERS",
                    ExitStatus.ACT_FIRST,
                )
        return None


class Cluster:
    """A connection that asks and never reads or writes a record, joins no group and opens no transaction."""

    def __init__(
        self, settings: Settings, arguments: Mapping[str, Any], wait_s: float, probe: ListenerProbe | None = None
    ) -> None:
        """Connect, waiting up to `wait_s` for a broker; whoever tries again and again gives the same `probe` each time.

        Raises BrokersUnreachable when none answered, StopProcessError when one refuses to sign this worker in or is not
        to be trusted: waiting longer does not help.
        """
        self._settings = settings
        with _unheard():
            try:
                self._admin: GroupAdmin = connected(
                    _Admin,
                    **arguments,
                    bootstrap_timeout_ms=max(int(wait_s * 1000), 1),
                    reconnect_backoff_max_ms=500,
                    request_timeout_ms=_REQUEST_TIMEOUT_MS,
                )
            except kafka_errors.KafkaError as error:
                found = _not_connected(settings, error)
                if not isinstance(error, Refusal):
                    # Kafka hangs up on whoever speaks another protocol, and that looks like a broker that goes away.
                    found = (probe or ListenerProbe(settings)).other_protocol() or found
                raise found from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admin.close()

    def facts(self) -> ClusterFacts:
        """What the cluster says now. Raises BrokersUnreachable when it stops answering in the middle."""
        settings = self._settings
        with self._answers():
            cluster = self._admin.describe_cluster()
            living = [broker["broker_id"] for broker in cluster["brokers"]]
            if not living:
                raise BrokersUnreachable(
                    f"the cluster at {settings.kafka_bootstrap_servers} has no broker in service; look at their logs"
                )
            described = {topic["name"]: topic for topic in self._admin.describe_topics(list(settings.topics))}
            configs = self._configs(living[0])
            return ClusterFacts(
                cluster_id=str(cluster["cluster_id"]),
                brokers=len(living),
                topics={
                    name: _topic_facts(described[name], configs.get("topic", {}).get(name, {}))
                    for name in settings.topics
                },
                group=self.group(),
                transactional_id_visible=self._transactional_id_visible(),
                broker_configs=_values(next(iter(configs.get("broker", {}).values()), {})),
            )

    def group(self) -> GroupFacts | Absent | None:
        """The group alone; None where its coordinator is not available. Raises BrokersUnreachable as `facts` does."""
        with self._answers():
            try:
                return _of_coordinator(lambda: self._admin.group_facts(self._settings.worker_group_id))
            except kafka_errors.GroupAuthorizationFailedError:
                return Absent.HIDDEN
            except _NO_COORDINATOR:
                return None

    def create_missing_topics(self, partitions: int) -> Mapping[str, int]:
        """Create those of the worker's topics that do not exist; the number of partitions of each topic created.

        The input topic is created with `partitions`; the other two get as many as the input topic has. Raises
        TopicNotCreated with the reason, BrokersUnreachable when no broker answers.
        """
        settings = self._settings
        created: list[str] = []
        with self._answers():
            created += self._create(settings.worker_input_topic, {"num_partitions": partitions})
            self._admin.wait_for_topics([settings.worker_input_topic])
            partitions = len(self._admin.describe_topics([settings.worker_input_topic])[0]["partitions"])
            options: dict[str, Any] = {"num_partitions": partitions}
            created += self._create(settings.worker_output_topic, options)
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
            raise _not_connected(self._settings, refusal_of(self._admin) or error) from error

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
                f"topic {name} does not exist, and this worker may not create it; grant CREATE on it, or create it"
            )
        raise TopicNotCreated(
            f"topic {name} was not created ({topic.get('error_message') or kind.__name__}); create it by hand"
        )

    def _configs(self, broker_id: int) -> dict[str, dict[str, Any]]:
        resources = [
            *(ConfigResource(ConfigResourceType.TOPIC, name, list(_TOPIC_SETTINGS)) for name in self._settings.topics),
            ConfigResource(ConfigResourceType.BROKER, str(broker_id), list(_BROKER_SETTINGS)),
        ]
        found: dict[str, dict[str, Any]] = self._admin.describe_configs(resources, config_filter="all")
        return found

    def _transactional_id_visible(self) -> bool | None:
        # Described, never used: with a dynamic member's, any id of the prefix stands for the one that is made up later.
        name = self._settings.transactional_id("check")
        try:
            _of_coordinator(lambda: self._admin.describe_transactions([name]))
        except kafka_errors.TransactionalIdAuthorizationFailedError:
            return False
        except kafka_errors.TransactionalIdNotFoundError:
            return True
        except _NO_COORDINATOR:
            return None
        except kafka_errors.IncompatibleBrokerVersion:
            # Brokers before Kafka 3.0 cannot describe one; the first transaction shows whether it may be used.
            return True
        return True


class _Admin(GroupAdmin):
    async def _describe_cluster(self) -> Any:
        # kafka-python 3.0.12 removes a field from the answer that Kafka 2.8 to 3.6 does not send, and fails; what is
        # asked of topics has the same facts, of brokers in service only.
        metadata = await self._get_cluster_metadata([])
        return {**metadata, "brokers": [{**each, "broker_id": each["node_id"]} for each in metadata["brokers"]]}


_NO_COORDINATOR: Final = (
    kafka_errors.CoordinatorNotAvailableError,
    kafka_errors.NotCoordinatorError,
    kafka_errors.CoordinatorLoadInProgressError,
)


def _of_coordinator(ask: Callable[[], _T]) -> _T:
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
def _unheard() -> Iterator[None]:
    """Drop what kafka-python logs meanwhile: a broker that is not there yet makes several lines in each second."""
    log = logging.getLogger("kafka")
    before = log.handlers, log.propagate
    log.handlers, log.propagate = [logging.NullHandler()], False
    try:
        yield
    finally:
        log.handlers, log.propagate = before


def _not_connected(settings: Settings, error: Exception) -> WorkerError:
    answer = fault([error], "connecting", settings)
    if isinstance(answer, StopProcessError):
        return answer
    servers = settings.kafka_bootstrap_servers
    if isinstance(error, TokenEndpointAway):
        return BrokersUnreachable(
            f"no sign-in at {servers} without a token: {_reason(error)}; check KAFKA_SASL_OAUTH_TOKEN_URL, and that it "
            "answers from here"
        )
    return BrokersUnreachable(
        f"no broker answers at {servers} ({_reason(error)}); "
        "check KAFKA_BOOTSTRAP_SERVERS, KAFKA_SECURITY_PROTOCOL, and that the brokers run"
    )


def _reason(failure: Exception) -> str:
    return str(failure.args[0]) if failure.args else type(failure).__name__
