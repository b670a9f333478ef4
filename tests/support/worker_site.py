"""A place where a worker can run as a program of its own: topics, a group, a store with a model, a port."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo.kafka.client import Cluster, NewRecord, Sender, StoredRecord, read_committed
from demo.kafka.ports import free_ports
from models import promoting
from models.segmentation import Segmentation
from models.store import ModelStore
from tests.support.brokers import Program, Programs, wait_until
from tests.support.fitted import fit, publish, segmentation
from tests.support.topic_names import TopicNames
from tests.support.transport_contract import PATIENCE_S


@dataclass(frozen=True)
class WorkerSite(TopicNames):
    """Names that no other test uses; nothing of it exists until it is made."""

    programs: Programs
    bootstrap_servers: str
    name: str
    store: Path
    http_port: int

    def create_topics(self, partitions: int = 4, **configs: Mapping[str, str]) -> None:
        """Create the three topics, with settings by role: `rejected={…}`."""
        with Cluster(self.bootstrap_servers) as cluster:
            for role in ("input", "output", "rejected"):
                cluster.create_topic(getattr(self, role), partitions, configs.get(role))

    def publish_model(self, model: Segmentation | None = None) -> str:
        """Publish and promote a model, and return the id of its version."""
        store = ModelStore(self.store)
        version = publish(store, model or segmentation(), fit()).id
        promoting.promote(store, version, "production", datetime.now(UTC))
        return version

    def environment(self, **changed: str) -> dict[str, str]:
        """The settings of a worker here."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "MODELS_DIR": str(self.store),
            "WORKER_GROUP_ID": self.group,
            "WORKER_INPUT_TOPIC": self.input,
            "WORKER_OUTPUT_TOPIC": self.output,
            "WORKER_REJECTED_TOPIC": self.rejected,
            "WORKER_HTTP_PORT": str(self.http_port),
            # A test that waits for a dead worker's partitions should not wait long.
            "WORKER_SESSION_TIMEOUT_MS": "6000",
            **changed,
        }

    def start(self, *arguments: str, **changed: str) -> Program:
        """Start a worker, and do not wait for it."""
        return self.programs.start("worker", "run", *arguments, **self.environment(**changed))

    def start_ready(self, *arguments: str, **changed: str) -> Program:
        """Start a worker, and return when it is ready."""
        worker = self.start(*arguments, **changed)
        wait_until(lambda: self.asked("/readyz") == 200 or not worker.running(), "a ready worker")
        assert worker.running(), worker.log
        return worker

    def run(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """`python -m worker ARGUMENTS…` here, to its end."""
        return self.programs.run("worker", *arguments, **self.environment(**changed))

    def send(self, records: Sequence[NewRecord]) -> None:
        """Append events to the input, and return when they are there."""
        with Sender(self.bootstrap_servers, self.input) as sender:
            sender.send(records)
            sender.flush()

    def read(self, *topics: str) -> tuple[StoredRecord, ...]:
        """All that a read_committed reader receives from these topics now."""
        return read_committed(self.bootstrap_servers, *topics)

    def wait_for_outcomes(self, count: int) -> tuple[StoredRecord, ...]:
        """Results and rejected records, as soon as there are this many."""
        found: list[StoredRecord] = []

        def there() -> bool:
            found[:] = self.read(self.output, self.rejected)
            return len(found) >= count

        wait_until(there, f"{count} outcomes")
        return tuple(found)

    def committed(self) -> Mapping[int, int]:
        """The group's committed offset of each partition of the input."""
        with Cluster(self.bootstrap_servers) as cluster:
            return cluster.committed_offsets(self.group, self.input)

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of what the worker answers. Raises OSError if nothing listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=PATIENCE_S)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def asked(self, path: str) -> int | None:
        """The status, or None if nothing listens."""
        try:
            return self.get(path)[0]
        except (OSError, http.client.HTTPException):
            return None

    def reason(self, path: str) -> str:
        """The reason that a health path gives."""
        answer: dict[str, Any] = json.loads(self.get(path)[1])
        return str(answer["reason"])


def worker_site(programs: Programs, bootstrap_servers: str, name: str, directory: Path) -> WorkerSite:
    """A site whose store lies in the directory, at a free port."""
    (port,) = free_ports(1)
    return WorkerSite(programs, bootstrap_servers, name, directory / "model-store", port)
