"""One broker of an older Kafka, with the ZooKeeper that it needs, from locked jars; for the `broker` fixture only."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from demo.errors import BrokerStartError
from demo.kafka.client import answers
from demo.kafka.jars import class_path, default_cache_dir
from demo.kafka.java import Java
from demo.kafka.ports import LOOPBACK, free_ports
from demo.kafka.processes import last_lines
from tests.support.transport_contract import PATIENCE_S

LOCKS = {path.name.split("_")[1]: path for path in Path(__file__).parent.glob("kafka_*_jars.txt")}
"""The versions that can be run, and the lock file of each; up to 3.9, which is the last with ZooKeeper."""

_STOP_GRACE_S = 15
_SETTINGS = """\
broker.id=1
zookeeper.connect={host}:{zookeeper_port}
listeners=PLAINTEXT://{host}:{port}
log.dirs={directory}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
"""
_LOGGING = """\
log4j.rootLogger=INFO, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d %p %c{1}: %m%n
"""


@contextmanager
def old_broker(version: str) -> Iterator[str]:
    """A broker of this version that answers, at `127.0.0.1:port`, for as long as the block runs."""
    java = Java(class_path(default_cache_dir(), print, LOCKS[version]), ())
    zookeeper_port, port = free_ports(2)
    with ExitStack() as closing:
        directory = Path(closing.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        settings, logging = directory / "server.properties", directory / "log4j.properties"
        settings.write_text(
            _SETTINGS.format(host=LOOPBACK, zookeeper_port=zookeeper_port, port=port, directory=directory)
        )
        logging.write_text(_LOGGING)
        options = ("-Xmx512m", f"-Dlog4j.configuration=file:{logging}", "-Dzookeeper.admin.enableServer=false")
        logs = [directory / "zookeeper.out", directory / "broker.out"]
        zookeeper = (
            "org.apache.zookeeper.server.ZooKeeperServerMain",
            str(zookeeper_port),
            str(directory / "zookeeper"),
        )
        closing.callback(java.start(zookeeper, options, output=logs[0]).stop, _STOP_GRACE_S)
        broker = java.start(("kafka.Kafka", str(settings)), options, output=logs[1])
        closing.callback(broker.stop, _STOP_GRACE_S)
        until = time.monotonic() + PATIENCE_S
        while not answers(f"{LOOPBACK}:{port}"):
            if time.monotonic() > until or broker.poll() is not None:
                raise BrokerStartError(f"Kafka {version} did not answer; {last_lines(*logs)}")
            time.sleep(0.1)
        yield f"{LOOPBACK}:{port}"
