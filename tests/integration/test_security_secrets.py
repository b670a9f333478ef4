"""Secrets in the environment, in .env and where they do not belong: no program writes one, whatever it is asked."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import demo.__main__ as demo
import trainer.__main__ as trainer
import worker.__main__ as worker
from demo.kafka.ports import free_ports
from tests.support.brokers import Programs

SECRETS = {
    "KAFKA_SASL_PASSWORD": "hunter2-sasl",
    "KAFKA_SSL_PASSWORD": "hunter2-key",
    "KAFKA_SASL_OAUTH_CLIENT_SECRET": "hunter2-oauth",
    "MODEL_SIGNING_KEY": "hunter2-signing",
}
PROGRAMS = {"worker": worker.main, "trainer": trainer.main, "demo": demo.main}
# A sign-in that is complete, one that lacks something, and one that contradicts itself.
SIGN_IN = {
    "PLAINTEXT": {},
    "SASL_PLAINTEXT": {"KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_USERNAME": "me"},
    "SASL_SSL": {"KAFKA_SASL_MECHANISM": "OAUTHBEARER", "KAFKA_SASL_OAUTH_TOKEN_URL": "http://me:hunter2-url@idp/"},
}


def run(programs: Programs, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What the program did, after a look for secrets in all that it wrote."""
    ended = programs.run(*arguments, **environment)
    for text in (ended.stdout, ended.stderr):
        assert "hunter2" not in text, (arguments, text)
        assert "Traceback" not in text, (arguments, text)
    return ended


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_shows_no_secret_of_the_environment(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        PROGRAMS[program](["--help"])
    commands = re.findall(r"^    ([a-z]+) ", capsys.readouterr().out, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        with pytest.raises(SystemExit):
            PROGRAMS[program]([command, "--help"])
    shown = capsys.readouterr()
    assert shown.out.count("usage: ") == len(commands)
    assert "hunter2" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("command", "protocol"),
    [("run", "PLAINTEXT"), ("check", "SASL_PLAINTEXT"), *((each, "SASL_SSL") for each in ("run", "verify", "replay"))],
)
def test_settings_that_do_not_fit_are_named_without_their_secrets(
    programs: Programs, command: str, protocol: str, tmp_path: Path
) -> None:
    # Half of them in the environment, half in .env.
    names = sorted(SECRETS)
    (tmp_path / ".env").write_text("".join(f"{name}={SECRETS[name]}\n" for name in names[::2]))
    environment = {name: SECRETS[name] for name in names[1::2]} | SIGN_IN[protocol]
    ended = run(programs, "worker", command, KAFKA_SECURITY_PROTOCOL=protocol, **environment)
    assert ended.returncode == 2
    assert "KAFKA_SSL_PASSWORD is given" in ended.stdout + ended.stderr


def test_a_secret_in_the_wrong_place_is_not_repeated(programs: Programs) -> None:
    (port,) = free_ports(1)
    servers = f"me:hunter2@127.0.0.1:{port}"
    ended = run(programs, "worker", "check", KAFKA_BOOTSTRAP_SERVERS=servers, KAFKA_SASL_MECHANISM="hunter2")
    assert ended.returncode == 2
    assert ended.stdout.count("hidden") == 2
    assert run(programs, "worker", "run", "--bootstrap-servers", servers).returncode == 2


@pytest.mark.parametrize(
    "key", ["hunter2-signing", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"]
)
def test_an_invalid_signing_key_is_not_repeated(programs: Programs, key: str) -> None:
    history = Path(__file__).parents[2] / "demo" / "sample_history.csv"
    for arguments in (("fit", str(history)), ("promote", "20261124T120000Z-777d1e59")):
        ended = run(programs, "trainer", *arguments, MODEL_SIGNING_KEY=key)
        assert ended.returncode == 2
        assert "MODEL_SIGNING_KEY" in ended.stderr
