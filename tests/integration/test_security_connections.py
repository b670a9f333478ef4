"""Encrypted and authenticated connections: the right ones work, each wrong one names the setting to change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from demo.kafka.client import NewRecord
from demo.kafka.ports import free_ports
from tests.support.brokers import Programs
from tests.support.certificates import Authority, Certificate
from tests.support.events import event_bytes
from tests.support.kafka_world import CLIENTS, both_clients
from tests.support.secure_broker import KEY_PASSWORD, SecureBroker, secure_broker
from tests.support.token_server import BASIC_CREDENTIALS, CLIENT_ID, CLIENT_SECRET, TokenServer, token_server
from tests.support.transport_contract import PATIENCE_S
from tests.support.worker_site import WorkerSite, worker_site
from worker.__main__ import main
from worker.kafka import admin as kafka_cluster
from worker.tools.check import command as preflight

SCRAM_USER, SCRAM_PASSWORD = "scram", "right-scram-password"


@dataclass(frozen=True)
class World:
    """Everything that the tests of this file share."""

    secure: SecureBroker
    tokens: TokenServer
    other: Authority
    """An authority that is not trusted."""
    stranger: Certificate
    ended: Certificate
    """Two clients that the broker does not let in."""

    def connection(self, way: str) -> dict[str, str]:
        """The settings of a worker that is let in at this listener."""
        common = {
            "WORKER_LOG_LEVEL": "debug",
            "KAFKA_BOOTSTRAP_SERVERS": self.secure.address(way),
            "KAFKA_SSL_CAFILE": str(self.secure.authority.cafile),
        }
        certificate = self.secure.client
        if way == "PLAINTEXT":
            return {}
        return (
            common
            | {
                "TLS": {"KAFKA_SECURITY_PROTOCOL": "SSL"},
                "MUTUAL": {
                    "KAFKA_SECURITY_PROTOCOL": "SSL",
                    "KAFKA_SSL_CERTFILE": str(certificate.certfile),
                    "KAFKA_SSL_KEYFILE": str(certificate.keyfile),
                    "KAFKA_SSL_PASSWORD": KEY_PASSWORD,
                },
                "SCRAM": {
                    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
                    "KAFKA_SASL_USERNAME": SCRAM_USER,
                    "KAFKA_SASL_PASSWORD": SCRAM_PASSWORD,
                },
                "OAUTH": {
                    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                    "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
                    "KAFKA_SASL_OAUTH_TOKEN_URL": self.tokens.url,
                    "KAFKA_SASL_OAUTH_CLIENT_ID": CLIENT_ID,
                    "KAFKA_SASL_OAUTH_CLIENT_SECRET": CLIENT_SECRET,
                    "SSL_CERT_FILE": str(self.secure.authority.cafile),
                },
            }[way]
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("security")
    (folder / "other").mkdir()
    with secure_broker(folder, {}) as secure, token_server(secure.server) as tokens:
        secure.grant_login(SCRAM_USER, SCRAM_PASSWORD)
        other = Authority(folder / "other")
        stranger = other.issue("worker.example")
        ended = secure.authority.issue("worker.example", days=-1, file_name="ended")
        yield World(secure, tokens, other, stranger, ended)


@pytest.fixture(autouse=True)
def _patient_endpoint(world: World) -> None:
    world.tokens.lifetime_s, world.tokens.in_trouble, world.tokens.trusts_client = 3600.0, False, True


@pytest.fixture
def site(world: World, programs: Programs, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[WorkerSite]:
    """Topics of the test's own, and a model; afterwards nothing written has a secret or anything of an event in it."""
    name = f"site-{abs(hash(request.node.name)) % 10**8}"
    made = worker_site(programs, world.secure.broker.bootstrap_servers, name, tmp_path)
    made.create_topics(1)
    made.publish_model()
    yield made
    secrets = [SCRAM_PASSWORD, CLIENT_SECRET, BASIC_CREDENTIALS, KEY_PASSWORD, "hunter2", *world.tokens.tokens]
    written = {path.name: path.read_text() for path in tmp_path.glob("*.log")}
    assert written
    for name, text in written.items():
        found = [word for word in (*secrets, PRIVATE) if word in text]
        assert not found, f"{found} in {name}:\n{text}"


# How long a broker that is away is waited for: far longer than any test has patience.
LONG_S = str(10 * PATIENCE_S)
# The word is in every key and value, and in no log.
PRIVATE = "recognisable"
EVENTS = [
    NewRecord(b"user-recognisable", event_bytes(profile={"location": "recognisable"}, subject="user-recognisable")),
    NewRecord(b"user-recognisable", b"{recognisable"),
    NewRecord(b"user-recognisable", event_bytes(profile={"age": ["recognisable"]}, source="/recognisable")),
]


@pytest.mark.parametrize(
    ("way", "client"),
    [("TLS", "kafka-python"), *((way, client) for way in ("MUTUAL", "SCRAM") for client in CLIENTS)],
)
def test_the_worker_and_its_tools_work_over(
    way: str, client: str, site: WorkerSite, world: World, tmp_path: Path
) -> None:
    connection = world.connection(way) | {"KAFKA_CLIENT": client}
    assert site.run("check", **connection).stdout.endswith("ready to run\n")
    worker = site.start_ready(**connection)
    site.send(EVENTS)
    site.wait_for_outcomes(len(EVENTS))
    (tmp_path / "metrics.log").write_bytes(site.get("/metrics")[1])
    assert worker.stop() == 0
    if way == "MUTUAL":
        verified = site.run("verify", **connection)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert site.run("replay", **connection).stdout.startswith("sent 2 events back")


@both_clients
def test_tokens_are_renewed_before_they_end_and_nothing_is_interrupted(
    client: str, site: WorkerSite, world: World
) -> None:
    # The broker checks the extensions, too.
    extensions = {"KAFKA_SASL_OAUTH_EXTENSIONS": "logicalCluster=lkc-1,identityPoolId=pool 1"}
    connection = world.connection("OAUTH") | {"KAFKA_CLIENT": client} | extensions
    # Both log in anew on their connections shortly before a session ends. A busy machine may not schedule them for as
    # long: they then have to do without at a longer lifetime.
    assert any(logins_are_renewed(site, world, lifetime_s, connection) for lifetime_s in (15.0, 40.0))


def logins_are_renewed(site: WorkerSite, world: World, lifetime_s: float, connection: dict[str, str]) -> bool:
    """Whether no connection was lost while tokens were renewed twice; asserts that no batch was."""
    world.tokens.lifetime_s = lifetime_s
    worker = site.start_ready(**connection)
    before, read = len(world.tokens.tokens), len(site.read(site.output, site.rejected))
    sent = 0
    while len(world.tokens.tokens) < before + 2:
        site.send(EVENTS)
        sent += len(EVENTS)
        site.wait_for_outcomes(read + sent)
    assert len(site.read(site.output, site.rejected)) == read + sent
    for trouble in ("batch_retried", "batch_dropped"):
        assert trouble not in worker.log
    assert worker.stop() == 0
    return '"warning","event":"kafka_client"' not in worker.log


@dataclass(frozen=True)
class Wrong:
    """One wrong setting: where the worker connects, what is wrong, and what the message names."""

    name: str
    way: str
    named: str
    listener: str | None = None
    changed: Mapping[str, str] = field(default_factory=dict)


CERTIFICATE = ("KAFKA_SSL_CERTFILE", "KAFKA_SSL_KEYFILE", "KAFKA_SSL_PASSWORD")
WRONG = [
    Wrong("authority", "TLS", "KAFKA_SSL_CAFILE", changed={"KAFKA_SSL_CAFILE": "{other.cafile}"}),
    Wrong("expired certificate", "TLS", "ssl.keystore.location", "EXPIRED"),
    Wrong("host name", "TLS", "KAFKA_SSL_CHECK_HOSTNAME", "ELSEWHERE"),
    Wrong(
        "host name that the brokers advertise",
        "TLS",
        "advertised.listeners",
        "ELSEWHERE",
        changed={"KAFKA_BOOTSTRAP_SERVERS": "localhost:{port_elsewhere}"},
    ),
    Wrong("no client certificate", "TLS", "KAFKA_SSL_CERTFILE", "MUTUAL"),
    Wrong(
        "client certificate of another authority",
        "MUTUAL",
        "KAFKA_SSL_CERTFILE",
        changed=dict(zip(CERTIFICATE, ("{stranger.certfile}", "{stranger.keyfile}", ""), strict=True)),
    ),
    Wrong(
        "client certificate that ended",
        "MUTUAL",
        "KAFKA_SSL_CERTFILE",
        changed=dict(zip(CERTIFICATE, ("{ended.certfile}", "{ended.keyfile}", ""), strict=True)),
    ),
    Wrong("password of the key", "MUTUAL", "KAFKA_SSL_PASSWORD", changed={"KAFKA_SSL_PASSWORD": "hunter2"}),
    Wrong("password", "SCRAM", "KAFKA_SASL_PASSWORD", changed={"KAFKA_SASL_PASSWORD": "hunter2"}),
    Wrong("mechanism", "SCRAM", "KAFKA_SASL_MECHANISM=PLAIN", changed={"KAFKA_SASL_MECHANISM": "PLAIN"}),
    Wrong("no TLS where it is", "PLAINTEXT", "speaks SSL, but KAFKA_SECURITY_PROTOCOL is PLAINTEXT", "TLS"),
    Wrong("TLS where it is not", "TLS", "speaks PLAINTEXT, but KAFKA_SECURITY_PROTOCOL is SSL", "PLAINTEXT"),
    Wrong("no sign-in where it is", "TLS", "speaks SASL_SSL, but KAFKA_SECURITY_PROTOCOL is SSL", "SCRAM"),
    Wrong("sign-in where there is none", "SCRAM", "speaks SSL, but KAFKA_SECURITY_PROTOCOL is SASL_SSL", "TLS"),
    Wrong(
        "client secret",
        "OAUTH",
        "KAFKA_SASL_OAUTH_CLIENT_SECRET",
        changed={"KAFKA_SASL_OAUTH_CLIENT_SECRET": "hunter2"},
    ),
    Wrong(
        "path of the token endpoint",
        "OAUTH",
        "KAFKA_SASL_OAUTH_TOKEN_URL",
        changed={"KAFKA_SASL_OAUTH_TOKEN_URL": "{tokens.url}/nothing-here"},
    ),
    Wrong("authority of the token endpoint", "OAUTH", "SSL_CERT_FILE", changed={"SSL_CERT_FILE": "{other.cafile}"}),
]


def checked(
    environment: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wait_s: float = PATIENCE_S,
) -> str:
    """The output of `segment-worker check`, in this process because there are many; it must find a problem."""
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        # As patient as tests are, and as quick: how long a broker is asked, and how long for what it speaks.
        patch.setattr(preflight, "_WAIT_S", wait_s)
        patch.setattr(kafka_cluster, "_LISTENER_WAIT_S", PATIENCE_S)
        status = main(["check"])
    written = capsys.readouterr()
    assert (status, written.err) == (2, ""), written
    return written.out


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name.replace(" ", "-"))
def test_a_wrong_setting_is_reported_at_once_by_name(
    wrong: Wrong,
    world: World,
    site: WorkerSite,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    connection = world.connection(wrong.way)
    if wrong.listener is not None:
        connection["KAFKA_BOOTSTRAP_SERVERS"] = world.secure.address(wrong.listener)
    port = world.secure.address("ELSEWHERE").rpartition(":")[2]
    changed = {name: value.format_map(vars(world) | {"port_elsewhere": port}) for name, value in wrong.changed.items()}
    environment = site.environment(**connection | {"WORKER_BROKER_WAIT_S": LONG_S} | changed)
    worker = site.programs.start("worker", "run", **environment)
    # A broker that hangs up without a word is asked to the end of the time.
    found = checked(environment, monkeypatch, capsys, 2.0 if "speaks" in wrong.named else PATIENCE_S)
    assert worker.wait() == 2, worker.log
    for output in (found, worker.log):
        assert len([line for line in output.splitlines() if wrong.named in line]) == 1, output
        assert "Traceback" not in output
    (tmp_path / "check.log").write_text(found)


def test_a_token_endpoint_that_is_away_is_waited_for_and_named(
    world: World,
    site: WorkerSite,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (closed,) = free_ports(1)
    connection = world.connection("OAUTH") | {"KAFKA_SASL_OAUTH_TOKEN_URL": f"https://127.0.0.1:{closed}/token"}
    environment = site.environment(**connection, WORKER_BROKER_WAIT_S="3")
    worker = site.programs.start("worker", "run", **environment)
    found = checked(environment, monkeypatch, capsys, 5.0)
    assert worker.wait() == 1, worker.log
    for output in (found, worker.log):
        assert f"the token endpoint https://127.0.0.1:{closed}/token cannot be reached" in output
        assert "check KAFKA_SASL_OAUTH_TOKEN_URL" in output


@pytest.mark.parametrize("order", [("TLS", "EXPIRED"), ("EXPIRED", "TLS")], ids=" ".join)
def test_one_server_that_is_not_to_be_trusted_beside_a_good_one_is_passed_over(
    order: tuple[str, str], site: WorkerSite, world: World
) -> None:
    servers = ",".join(world.secure.address(listener) for listener in order)
    worker = site.start_ready(**world.connection("TLS") | {"KAFKA_BOOTSTRAP_SERVERS": servers})
    site.send(EVENTS)
    site.wait_for_outcomes(len(EVENTS))
    assert worker.stop() == 0, worker.log


def test_a_credential_that_is_refused_for_a_moment_does_not_stop_a_running_worker(
    site: WorkerSite, world: World
) -> None:
    world.secure.grant_login("for-a-while", "right-for-a-while")
    connection = world.connection("SCRAM") | {
        "KAFKA_SASL_USERNAME": "for-a-while",
        "KAFKA_SASL_PASSWORD": "right-for-a-while",
    }
    worker = site.start_ready(**connection)
    world.secure.revoke_login("for-a-while")
    worker.wait_for_log("invalid credentials")
    world.secure.grant_login("for-a-while", "right-for-a-while")
    site.send(EVENTS)
    site.wait_for_outcomes(len(EVENTS))
    assert worker.stop() == 0, worker.log


@both_clients
def test_a_credential_taken_away_from_a_running_worker_stops_it(client: str, site: WorkerSite, world: World) -> None:
    world.secure.grant_login("for-a-while", "right-for-a-while")
    connection = world.connection("SCRAM") | {
        "KAFKA_CLIENT": client,
        "KAFKA_SASL_USERNAME": "for-a-while",
        "KAFKA_SASL_PASSWORD": "right-for-a-while",
    }
    worker = site.start_ready(**connection)
    world.secure.revoke_login("for-a-while")
    assert worker.wait() == 2, worker.log
    assert "refused the login" in worker.log
    assert "check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD" in worker.log


def test_a_client_secret_that_is_withdrawn_stops_a_running_worker_and_an_endpoint_in_trouble_does_not(
    site: WorkerSite, world: World
) -> None:
    world.tokens.lifetime_s = 2.0
    worker = site.start_ready(**world.connection("OAUTH"))
    world.tokens.in_trouble = True
    worker.wait_for_log("answered 503")
    world.tokens.in_trouble = False
    site.send(EVENTS)
    site.wait_for_outcomes(len(EVENTS))
    assert worker.running()
    world.tokens.trusts_client = False
    assert worker.wait() == 2, worker.log
    assert "answered 401; check KAFKA_SASL_OAUTH_CLIENT_ID, KAFKA_SASL_OAUTH_CLIENT_SECRET" in worker.log


@pytest.mark.long
def test_a_certificate_that_expires_under_a_running_worker_stops_it_when_it_connects_again(
    site: WorkerSite, world: World
) -> None:
    # Last, because afterwards the broker shows an expired certificate at every listener.
    worker = site.start_ready(**world.connection("TLS"))
    site.send(EVENTS)
    site.wait_for_outcomes(len(EVENTS))
    world.secure.broker.kill()
    expired = world.secure.authority.issue("127.0.0.1", days=-1, file_name="replaced")
    world.secure.server.keystore.write_bytes(expired.keystore.read_bytes())
    world.secure.broker.start()
    assert worker.wait() == 2, worker.log
    assert "has expired" in worker.log
