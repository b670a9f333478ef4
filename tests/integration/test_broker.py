"""The embedded broker keeps its promises, and the broker under test does what all other tests rely on."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from demo.errors import BrokerStartError, ClusterError, PortTakenError
from demo.kafka.broker import Broker, running_broker
from demo.kafka.client import Cluster, NewRecord, Sender, answers, read_committed
from demo.kafka.ports import free_ports
from tests.support.brokers import TestBroker, wait_until
from tests.support.transport_contract import PATIENCE_S

SHELL_SETTINGS = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "KAFKA_OPTS", "CLASSPATH")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """An embedded broker that the tests here stop and kill; each leaves it running."""
    with pytest.MonkeyPatch.context() as shell:
        for name in SHELL_SETTINGS:
            shell.setenv(name, "-XX:NoSuchOption")
        with running_broker(tmp_path_factory.mktemp("broker"), announce=print) as broker:
            yield broker


def store(broker: Broker, topic: str, *values: bytes) -> None:
    with Sender(broker.bootstrap_servers, topic) as sender:
        sender.send(NewRecord(b"key", value) for value in values)
        sender.flush()


def stored(broker: Broker, topic: str) -> list[bytes | None]:
    return [record.value for record in read_committed(broker.bootstrap_servers, topic)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_record_comes_back_as_it_was_sent(broker: TestBroker) -> None:
    topic = broker.fresh_topic()
    sent = NewRecord(b"user-1", b"\xffanything", {"a": b"1", "b": b""}, timestamp_ms=1_764_000_000_000, partition=2)

    broker.produce(topic, sent, NewRecord(None, b"without a key"), NewRecord(b"tombstone", None))

    found = {(record.key, record.value): record for record in broker.read_committed(topic)}
    record = found[b"user-1", b"\xffanything"]
    assert (record.topic, record.partition, record.offset) == (topic, 2, 0)
    assert record.timestamp_ms == 1_764_000_000_000
    assert record.headers == {"a": b"1", "b": b""}
    assert len(found) == 3
    assert {(None, b"without a key"), (b"tombstone", None)} < found.keys()


def test_a_topic_that_was_not_created_stays_missing(broker: TestBroker) -> None:
    missing = broker.fresh_name("missing")

    with pytest.raises(ClusterError, match=missing):
        broker.read_committed(missing)
    with pytest.raises(ClusterError, match=missing):
        broker.produce(missing, NewRecord(b"key", b"value"))

    with broker.cluster() as cluster:
        assert missing not in cluster.topics()


def test_a_group_that_never_committed_lags_by_everything(broker: TestBroker) -> None:
    topic = broker.fresh_topic(partitions=2)
    broker.produce(topic, *(NewRecord(None, b"value", partition=number % 2) for number in range(5)))

    with broker.cluster() as cluster:
        assert cluster.end_offsets(topic) == {0: 3, 1: 2}
        assert cluster.lag(broker.fresh_name("group"), topic) == 5


def test_no_setting_of_a_shell_reaches_the_broker(own: Broker) -> None:
    environment = dict(
        entry.split(b"=", 1) for entry in Path(f"/proc/{own.pid}/environ").read_bytes().split(b"\0") if entry
    )

    assert environment.keys() == {b"PATH", b"LC_ALL"}  # and with the options it would not have started


def test_what_was_stored_is_there_after_a_kill_and_after_a_stop(own: Broker) -> None:
    servers = own.bootstrap_servers
    with Cluster(servers) as cluster:
        cluster.create_topic("kept", 1)
    store(own, "kept", b"before the kill")

    own.kill()
    assert not answers(servers)
    own.start()
    store(own, "kept", b"after the kill")
    own.stop()
    assert not answers(servers)
    own.start()

    assert own.bootstrap_servers == servers
    assert stored(own, "kept") == [b"before the kill", b"after the kill"]


def test_listeners_of_the_tests_own_are_there_beside_the_usual_one(tmp_path: Path) -> None:
    logins = "listener.name.login.plain.sasl.jaas.config"
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    config = {
        "sasl.enabled.mechanisms": "PLAIN",
        logins: f'{module} required username="a" password="a" user_a="a";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    with running_broker(tmp_path / "data", config=config, listeners={"LOGIN": "SASL_PLAINTEXT"}) as broker:
        host, port = broker.addresses["LOGIN"].split(":")
        assert broker.addresses["LOGIN"] != broker.bootstrap_servers
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S):
            pass
        assert answers(broker.bootstrap_servers)
    assert "Kafka Server started" in (tmp_path / "data" / "broker.log").read_text()


def test_a_start_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(BrokerStartError, match=r"abc for configuration log\.retention\.ms"),
        running_broker(tmp_path / "data", config={"log.retention.ms": "abc"}),
    ):
        pytest.fail("a broker with such a setting must not start")


def test_a_port_in_use_is_reported_before_anything_starts() -> None:
    (port,) = free_ports(1)
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(PortTakenError, match=str(port)),
        running_broker(port=port),
    ):
        pytest.fail("two cannot listen on one port")


def test_a_broker_does_not_outlive_the_process_that_started_it_even_when_that_is_killed(
    tmp_path: Path, clean_environment: Mapping[str, str]
) -> None:
    code = (
        "import time; from pathlib import Path; from demo.kafka.broker import running_broker\n"
        f"with running_broker(Path({str(tmp_path / 'data')!r})) as broker:\n"
        "    print(broker.pid, broker.bootstrap_servers, flush=True)\n"
        "    time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], env=clean_environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, servers = parent.stdout.readline().split()
        assert alive(int(pid))
        parent.kill()

        wait_until(lambda: not alive(int(pid)), "the end of the broker")
    assert not answers(servers)
