"""A broker that asks for a login, and what its one user may do."""

from __future__ import annotations

from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLPermissionType, ACLResourcePatternType, ResourcePattern

from tests.support.brokers import wait_until
from tests.support.worker_site import WorkerSite

USER = "worker"
LOGIN = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
    "sasl.enabled.mechanisms": "PLAIN",
    "listener.name.login.plain.sasl.jaas.config": (
        'org.apache.kafka.common.security.plain.PlainLoginModule required user_worker="right";'
    ),
}


def allow(
    site: WorkerSite, kind: Any, name: str, operation: Any, pattern: Any = ACLResourcePatternType.LITERAL
) -> None:
    """Grant the worker's user one operation on one resource."""
    admin: Any = KafkaAdminClient(bootstrap_servers=site.bootstrap_servers)
    granted = ACL(f"User:{USER}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name, pattern))
    admin.create_acls([granted])
    # The controller has it by now; what the broker says is what it goes by.
    wait_until(lambda: granted in admin.describe_acls(granted)[0], "the right")
    admin.close()
