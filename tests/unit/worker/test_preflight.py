"""check beside wrong settings: what they decide is not looked at, all else is."""

import socket
from pathlib import Path

import pytest

from worker.check import Finding, Weight
from worker.preflight import preflight

NOT_LOOKED_AT = ("not looked at", "mend the settings first")
# Nobody listens there, and nothing waits for it.
NOWHERE = {"kafka_bootstrap_servers": "127.0.0.1:1", "worker_broker_wait_s": "0.2"}


def by_where(flags: dict[str, str]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in preflight(flags):
        found.setdefault(finding.where, []).append(finding)
    return found


def test_everything_that_is_wrong_without_a_broker_is_named_in_one_go(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        found = by_where({**NOWHERE, "worker_http_port": port, "worker_log_level": "loud"})
    assert {where: [each.weight for each in findings] for where, findings in found.items()} == {
        "settings": [Weight.PROBLEM],
        "model": [Weight.PROBLEM],
        "http": [Weight.PROBLEM],
        "brokers": [Weight.PROBLEM],
    }


def test_a_setting_that_is_nearly_one_is_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_GROUPID", "mine")
    (finding,) = by_where({**NOWHERE, "worker_http_port": "0"})["settings"]
    assert finding.weight is Weight.ADVICE
    assert finding.line == "settings: WORKER_GROUPID is none; did you mean WORKER_GROUP_ID?"


def test_a_reject_limit_that_is_hardly_meant_is_advice() -> None:
    (finding,) = by_where({**NOWHERE, "worker_http_port": "0", "worker_reject_limit_consecutive": "1"})["settings"]
    assert finding.weight is Weight.ADVICE
    assert "WORKER_REJECT_LIMIT_CONSECUTIVE is 1" in finding.line


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"model_alias": "?"}, "model"),
        ({"model_min_sequence": "7"}, "model"),
        ({"worker_http_port": "?"}, "http"),
        ({"worker_input_topic": "?"}, "brokers"),
        ({"kafka_sasl_username": "u"}, "brokers"),
    ],
)
def test_what_a_wrong_setting_decides_is_not_looked_at_and_all_else_is(wrong: dict[str, str], where: str) -> None:
    found = by_where({**NOWHERE, "worker_http_port": "0", **wrong})
    assert {each: [(f.what, f.remedy) == NOT_LOOKED_AT for f in findings] for each, findings in found.items()} == {
        "settings": [False],
        "model": [where == "model"],
        "http": [where == "http"],
        "brokers": [where == "brokers"],
    }


def test_a_certificate_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    found = by_where({"kafka_security_protocol": "SSL", "kafka_ssl_cafile": "ca.pem", "worker_http_port": "0"})
    (finding,) = found["brokers"]
    assert finding.line.startswith("brokers: KAFKA_SSL_CAFILE: ca.pem holds no PEM certificates")
