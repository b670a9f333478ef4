"""A cluster of three embedded brokers, so that one of them can be away while the others lead."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from demo.kafka.broker import Broker, installed
from demo.kafka.jars import default_cache_dir
from demo.kafka.java import Java
from demo.kafka.ports import LOOPBACK, free_ports

_IN_SYNC = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
}


@contextmanager
def three_brokers() -> Iterator[tuple[Broker, Broker, Broker]]:
    """Three brokers that answer; the first is the controller, too, and has to stay."""
    java = installed(default_cache_dir(), print)
    controller, *clients = free_ports(4)
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        first, second, third = (
            _broker(Path(name) / str(number), java, number, port, controller)
            for number, port in enumerate(clients, start=1)
        )
        first.format()
        _join(first, second, 2)
        _join(first, third, 3)
        for broker in (first, second, third):
            running.callback(broker.kill)
            broker.start()
        yield first, second, third


def _broker(directory: Path, java: Java, number: int, port: int, controller: int) -> Broker:
    ports = {"PLAINTEXT": port, "CONTROLLER": controller}
    config = {"node.id": str(number), **_IN_SYNC}
    if number > 1:
        config |= {"process.roles": "broker", "listeners": f"PLAINTEXT://{LOOPBACK}:{port}"}
    protocols = dict.fromkeys(ports, "PLAINTEXT")
    return Broker(directory, java, config=config, ports=ports, protocols=protocols)


def _join(first: Broker, other: Broker, number: int) -> None:
    # A broker that is formatted by itself is of a cluster of its own.
    lines = (first.data_dir / "data" / "meta.properties").read_text().splitlines()
    cluster = next(line for line in lines if line.startswith("cluster.id="))
    (other.data_dir / "data").mkdir(parents=True)
    (other.data_dir / "data" / "meta.properties").write_text(f"version=1\nnode.id={number}\n{cluster}\n")
