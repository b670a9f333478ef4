"""A right that is taken away from a running worker: it stops, and says which one."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

from demo.kafka.broker import Broker
from tests.support.kafka_world import KafkaWorld, both_clients, echo
from tests.support.transport_contract import commit, next_batch, until, work_off
from worker.errors import ExitStatus, StopProcessError
from worker.kafka.transport import KafkaTransport

AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}


@contextmanager
def denied(kafka: KafkaWorld, kind: Any, name: str, operation: Any) -> Iterator[None]:
    """Everything but this is allowed."""
    pattern = ResourcePattern(kind, name)
    allow, deny = ACLPermissionType.ALLOW, ACLPermissionType.DENY
    everything = ResourcePatternFilter(kind, name, pattern.pattern_type)
    any_acl = ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, everything)
    kafka.admin.create_acls([ACL("User:ANONYMOUS", "*", ACLOperation.ALL, allow, pattern)])
    kafka.admin.create_acls([ACL("User:ANONYMOUS", "*", operation, deny, pattern)])
    # The controller has them by now; what the broker says is what it goes by.
    until(lambda: len(kafka.admin.describe_acls(any_acl)[0]) == 2 or None)
    yield
    kafka.admin.delete_acls([any_acl])
    until(lambda: not kafka.admin.describe_acls(any_acl)[0] or None)


@both_clients
def test_a_right_lost_while_running_stops_the_worker_and_is_named(
    client: str,
    broker_with: Callable[..., AbstractContextManager[Broker]],
) -> None:
    with broker_with(config=AUTHORIZER) as broker, KafkaWorld(broker.bootstrap_servers, client=client) as kafka:

        def stopped(kind: Any, name: str, operation: Any, work: Callable[[KafkaTransport], object]) -> str:
            transport = kafka.open(worker_instance_id="one", worker_session_timeout_ms=30_000)
            until(lambda: transport.poll() or len(transport.progress()) == 4 or None)
            kafka.send(b"event", partition=0, key=b"user")
            with denied(kafka, kind, name, operation), pytest.raises(StopProcessError) as caught:
                until(lambda: work(transport))
            assert caught.value.exit_status == ExitStatus.ACT_FIRST
            transport.close()
            return str(caught.value)

        def poll(transport: KafkaTransport) -> None:
            transport.poll()

        def poll_and_commit(transport: KafkaTransport) -> None:
            batch = next_batch(transport)
            commit(transport, batch, echo(batch.records))

        topic, group, transactional_id = ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID
        write, read = ACLOperation.WRITE, ACLOperation.READ
        assert f"no right to use topic {kafka.output}" in stopped(topic, kafka.output, write, poll_and_commit)
        assert f"no right to use topic {kafka.input}" in stopped(topic, kafka.input, read, poll)
        assert f"no right to use group {kafka.group}" in stopped(group, kafka.group, read, poll_and_commit)
        assert f"begin with {kafka.group}:" in stopped(transactional_id, f"{kafka.group}:one", write, poll_and_commit)
        work_off(kafka.open(worker_instance_id="one"), 4)
        assert kafka.values(kafka.output) == [b"event"] * 4
