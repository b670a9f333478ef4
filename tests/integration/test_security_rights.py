"""The ACLs in docs/kafka.md: all of them are enough for each command, and each single one is needed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType

from demo.kafka.client import Cluster, NewRecord
from tests.support.brokers import ROOT, Program, Programs, wait_until
from tests.support.events import event_bytes
from tests.support.secure_broker import SecureBroker, secure_broker
from tests.support.worker_site import WorkerSite, worker_site

MARK = "<!-- rights: read by tests/integration/test_security_rights.py -->"
PASSWORD = "right"
RESOURCES = {
    "topic": (ResourceType.TOPIC, ACLResourcePatternType.LITERAL),
    "group": (ResourceType.GROUP, ACLResourcePatternType.LITERAL),
    "groups that begin with": (ResourceType.GROUP, ACLResourcePatternType.PREFIXED),
    "transactional ids that begin with": (ResourceType.TRANSACTIONAL_ID, ACLResourcePatternType.PREFIXED),
}


@dataclass(frozen=True)
class Right:
    """One entry of the list: an operation on one resource, by its default name."""

    operation: str
    kind: str
    name: str


def listed() -> dict[str, list[Right]]:
    """The ACLs that docs/kafka.md lists, by command."""
    table = (ROOT / "docs/kafka.md").read_text().split(MARK)[1].strip().split("\n\n")[0]
    rights: dict[str, list[Right]] = {}
    for row in table.splitlines()[2:]:
        commands, operation, resources = (cell.strip() for cell in row.strip("|").split("|"))
        for command in re.findall(r"`([^`]+)`", commands):
            for kind, names in re.findall(r"([a-z][a-z ]+?) ((?:`[^`]+`(?:, )?)+)", resources):
                found = [
                    Right(operation, kind.removesuffix("s") if kind == "topics" else kind, name)
                    for name in re.findall(r"`([^`]+)`", names)
                ]
                rights.setdefault(command, []).extend(found)
    return rights


RIGHTS = listed()
WITHOUT_ONE = [(command, left_out) for command, rights in RIGHTS.items() for left_out in rights]
# The commands in the order in which each finds what it needs: events, then committed offsets and rejected events.
COMMANDS = {
    "run": ("run",),
    "run --create-topics": ("run", "--create-topics"),
    "check": ("check",),
    "verify": ("verify",),
    "replay": ("replay",),
}


def user(command: str, left_out: Right | None = None) -> str:
    """Who has the rights of this command, or all but one of them."""
    number = "all" if left_out is None else RIGHTS[command].index(left_out)
    return f"{command.replace(' ', '')}-{number}"


USERS = [user(command) for command in RIGHTS] + [user(*each) for each in WITHOUT_ONE]


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    with secure_broker(tmp_path_factory.mktemp("rights"), dict.fromkeys(USERS, PASSWORD)) as running:
        yield running


@dataclass(frozen=True)
class Place:
    """A site, and how its worker signs in there."""

    site: WorkerSite
    login: str

    def names(self, command: str, group: str) -> Mapping[str, str]:
        """The names there that stand for the page's."""
        fresh = "-new" if command == "run --create-topics" else ""
        return {
            "user-activity": self.site.input + fresh,
            "user-segments": self.site.output + fresh,
            "user-segments-current": self.site.current + fresh,
            "user-activity-rejected": self.site.rejected + fresh,
            "segment-worker": group,
            "segment-worker:": f"{group}:",
        }

    def environment(self, command: str, who: str, group: str) -> dict[str, str]:
        """The settings of this user."""
        names = self.names(command, group)
        return self.site.environment(
            KAFKA_BOOTSTRAP_SERVERS=self.login,
            KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
            KAFKA_SASL_MECHANISM="PLAIN",
            KAFKA_SASL_USERNAME=who,
            KAFKA_SASL_PASSWORD=PASSWORD,
            WORKER_GROUP_ID=group,
            WORKER_INPUT_TOPIC=names["user-activity"],
            WORKER_OUTPUT_TOPIC=names["user-segments"],
            WORKER_CURRENT_TOPIC=names["user-segments-current"],
            WORKER_REJECTED_TOPIC=names["user-activity-rejected"],
        )

    def grant(self, command: str, left_out: Right | None, group: str) -> list[ACL]:
        """What this user is to be allowed."""
        names = self.names(command, group)
        # To create topics is on top of what `run` needs.
        rights = RIGHTS["run"] + RIGHTS[command] if command == "run --create-topics" else RIGHTS[command]
        return [
            ACL(
                f"User:{user(command, left_out)}",
                "*",
                ACLOperation[right.operation],
                ACLPermissionType.ALLOW,
                ResourcePattern(RESOURCES[right.kind][0], names[right.name], RESOURCES[right.kind][1]),
            )
            for right in rights
            if right != left_out
        ]

    def start(self, command: str, left_out: Right | None, group: str) -> Program:
        """Start the command as this user."""
        environment = self.environment(command, user(command, left_out), group) | {"WORKER_HTTP_PORT": "0"}
        return self.site.programs.start("worker", *COMMANDS[command], **environment)


@pytest.fixture
def place(secure: SecureBroker, programs: Programs, tmp_path: Path) -> Place:
    site = worker_site(programs, secure.broker.bootstrap_servers, "rights", tmp_path)
    site.create_topics(1)
    with Cluster(site.bootstrap_servers) as cluster:
        cluster.create_topic(site.current, 1, {"cleanup.policy": "compact"})
    site.publish_model()
    site.send([NewRecord(b"user-1", event_bytes()), NewRecord(b"user-2", b"{")])
    return Place(site, secure.address("PLAIN"))


def let(secure: SecureBroker, acls: list[ACL]) -> None:
    admin: Any = KafkaAdminClient(bootstrap_servers=secure.broker.bootstrap_servers)
    try:
        admin.create_acls(acls)
        # The controller has them by now; what the broker says is what it goes by.
        wait_until(lambda: all(acl in admin.describe_acls(acl)[0] for acl in acls), "the rights")
    finally:
        admin.close()


@pytest.mark.long
def test_the_list_is_enough_for_each_command_and_each_entry_of_it_is_needed(secure: SecureBroker, place: Place) -> None:
    assert RIGHTS.keys() == COMMANDS.keys()
    group = place.site.name
    let(secure, [acl for command in COMMANDS for acl in place.grant(command, None, group)])
    let(
        secure,
        [acl for command, left_out in WITHOUT_ONE for acl in place.grant(command, left_out, user(command, left_out))],
    )

    # With all of them.
    worker = place.start("run", None, group)
    place.site.wait_for_outcomes(2)
    assert worker.stop() == 0, worker.log
    for command in ("check", "verify", "replay"):
        done = place.start(command, None, group)
        assert done.wait() == 0, (command, done.log)
    creating = place.start("run --create-topics", None, group)
    creating.wait_for_log('"started"')
    assert creating.stop() == 0, creating.log

    # With one less.
    for command in COMMANDS:
        tried = [(left, place.start(command, left, user(command, left))) for left in RIGHTS[command]]
        for left_out, program in tried:
            assert program.wait() == 2, (command, left_out, program.log)
            name = place.names(command, user(command, left_out))[left_out.name]
            lines = [line for line in program.log.splitlines() if left_out.operation in line and name in line]
            assert lines, (command, left_out, program.log)
