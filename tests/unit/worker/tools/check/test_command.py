"""check without a broker: it checks all that does not need a wrong setting; signatures."""

import socket
import sys
from pathlib import Path

import pytest

from models import promoting
from models.store import ModelStore
from tests.support.fitted import NOON, published
from tests.support.schema_registry import schema_registry
from tests.support.scoring import record
from tests.support.signed import new_key, signed_store
from worker.cluster_rules import Finding, Weight
from worker.kafka import clients
from worker.kafka import registry as registry_of_schemas
from worker.kafka.facts import TopicFacts
from worker.settings_loading import load_settings
from worker.tools.check.command import _events, preflight

NOT_CHECKED = ("not checked", "correct the settings first")
# Nothing listens there, and the wait for it is short.
NOWHERE = {"kafka_bootstrap_servers": "127.0.0.1:1", "worker_broker_wait_s": "0.2"}


@pytest.fixture(autouse=True)
def _no_long_wait_for_brokers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.tools.check.command._WAIT_S", 0.2)


def by_where(flags: dict[str, str]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in preflight(flags):
        found.setdefault(finding.where, []).append(finding)
    return found


def test_every_problem_that_needs_no_broker_is_named_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        found = by_where({**NOWHERE, "worker_http_port": port, "worker_log_level": "loud"})
    assert {where: [each.weight for each in findings] for where, findings in found.items()} == {
        "settings": [Weight.PROBLEM],
        "client": [Weight.FINE],
        "model": [Weight.PROBLEM],
        "http": [Weight.PROBLEM],
        "brokers": [Weight.PROBLEM],
    }


def test_a_client_that_is_not_installed_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "find_spec", lambda _: None)
    (finding,) = by_where({**NOWHERE, "worker_http_port": "0", "kafka_client": "confluent"})["client"]
    assert finding.weight is Weight.PROBLEM
    assert "KAFKA_CLIENT" in finding.line
    assert "stream-segmentation[fast]" in finding.line


def test_a_misspelt_setting_is_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_GROUPID", "mine")
    (finding,) = by_where({**NOWHERE, "worker_http_port": "0"})["settings"]
    assert finding.weight is Weight.ADVICE
    assert finding.line == "settings: WORKER_GROUPID is not a known setting; did you mean WORKER_GROUP_ID?"


def test_a_reject_limit_of_one_event_is_advice() -> None:
    (finding,) = by_where({**NOWHERE, "worker_http_port": "0", "worker_reject_limit_consecutive": "1"})["settings"]
    assert finding.weight is Weight.ADVICE
    assert "WORKER_REJECT_LIMIT_CONSECUTIVE is 1" in finding.line


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"model_alias": "?"}, "model"),
        ({"model_min_sequence": "?"}, "model"),
        ({"worker_http_port": "?"}, "http"),
        ({"worker_input_topic": "?"}, "brokers"),
        ({"kafka_sasl_username": "u"}, "brokers"),
    ],
)
def test_checks_that_need_a_wrong_setting_are_left_out_and_the_others_are_made(
    wrong: dict[str, str], where: str
) -> None:
    found = by_where({**NOWHERE, "worker_http_port": "0", **wrong})
    assert {each: [(f.what, f.remedy) == NOT_CHECKED for f in findings] for each, findings in found.items()} == {
        "settings": [False],
        "client": [False],
        "model": [where == "model"],
        "http": [where == "http"],
        "brokers": [where == "brokers"],
    }


def test_a_certificate_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    found = by_where({"kafka_security_protocol": "SSL", "kafka_ssl_cafile": "ca.pem", "worker_http_port": "0"})
    (finding,) = found["brokers"]
    assert finding.line.startswith("brokers: KAFKA_SSL_CAFILE: ca.pem has no PEM certificates")


# --- signatures -------------------------------------------------------------------------------------------------------


def of_model(root: Path, **flags: str) -> list[Finding]:
    return by_where({**NOWHERE, "worker_http_port": "0", "models_dir": str(root), **flags})["model"]


def test_a_signed_store_whose_signatures_are_not_checked_is_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_store(tmp_path, new_key())
    monkeypatch.setenv("MODEL_PUBLIC_KEY", "")  # as from a Secret that lost its value
    fine, unchecked = of_model(tmp_path)
    assert (fine.weight, unchecked.weight) == (Weight.FINE, Weight.ADVICE)
    assert fine.what.endswith(", signature not checked")
    assert unchecked.line.startswith(f"model: the model store {tmp_path} ")
    assert "MODEL_PUBLIC_KEY" in unchecked.line


def test_a_store_without_signatures_is_fine_and_not_called_checked(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    promoting.promote(store, published(store).id, "production", NOON)
    (fine,) = of_model(tmp_path)
    assert fine.weight is Weight.FINE
    assert fine.what.endswith(", signature not checked")


def test_a_checked_store_is_called_signed(tmp_path: Path) -> None:
    key = new_key()
    signed_store(tmp_path, key, versions=2)
    (fine,) = of_model(tmp_path, model_public_key=key.one_line)
    assert fine.what.endswith(", signed, sequence 2")


def test_a_history_whose_beginning_was_cut_off_names_where_it_begins(tmp_path: Path) -> None:
    key = new_key()
    signed_store(tmp_path, key, versions=3)
    path = tmp_path / "aliases.jsonl"
    path.write_bytes(b"junk\n" + path.read_bytes().splitlines(keepends=True)[-1])
    (fine,) = of_model(tmp_path, model_public_key=key.one_line, model_min_sequence="3")
    assert fine.what.endswith(
        ", signed, sequence 3; the history of promotions begins at sequence 3; 1 line before it is not signed by a key "
        "of MODEL_PUBLIC_KEY"
    )


def test_a_minimum_sequence_without_a_key_is_a_problem(tmp_path: Path) -> None:
    signed_store(tmp_path, new_key())
    (problem,) = of_model(tmp_path, model_min_sequence="1")
    assert problem.weight is Weight.PROBLEM
    assert "MODEL_MIN_SEQUENCE is given without MODEL_PUBLIC_KEY" in problem.what


AVRO = {**NOWHERE, "worker_http_port": "0", "worker_input_format": "avro", "worker_input_user": "$key"}


def test_a_registry_is_asked_and_what_is_wrong_with_it_is_a_problem_and_its_absence_an_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with schema_registry() as registry:
        flags = {**AVRO, "schema_registry_url": registry.url}
        assert [each.weight for each in by_where(flags)["registry"]] == [Weight.FINE]
        registry.require_login("u", "secret")
        (refused,) = by_where(flags)["registry"]
        assert refused.weight is Weight.PROBLEM
        assert "SCHEMA_REGISTRY_USERNAME" in refused.line
        with monkeypatch.context() as without:
            without.setitem(sys.modules, "confluent_kafka.schema_registry", None)
            (missing,) = by_where(flags)["registry"]
        assert missing.weight is Weight.PROBLEM
        assert "stream-segmentation[avro]" in missing.line
    monkeypatch.setattr(registry_of_schemas, "AWAY_MOST_S", 0.0)
    (away,) = by_where(flags)["registry"]
    assert away.weight is Weight.OUTAGE
    assert registry.url in away.line
    assert "registry" not in by_where({**NOWHERE, "worker_http_port": "0"})


def test_records_that_could_not_be_tried_are_said_to_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_of_schemas, "AWAY_MOST_S", 0.0)
    settings = load_settings({**AVRO, "schema_registry_url": "http://127.0.0.1:1"})
    topic = TopicFacts(1, (), 1, frozenset({"READ"}), {})
    (finding,) = _events(topic, [record(b"\x00\x00\x00\x00\x07")], settings)
    assert (finding.weight, finding.where) == (Weight.UNKNOWN, f"topic {settings.worker_input_topic}")
    assert "http://127.0.0.1:1" in finding.what
    (finding,) = _events(topic, [record(b"{}")], load_settings({**NOWHERE, "profile_class": "nowhere:Profile"}))
    assert (finding.weight, "nowhere" in finding.what) == (Weight.UNKNOWN, True)


def test_without_its_address_a_registry_is_not_asked() -> None:
    found = by_where(AVRO)
    assert [(each.weight, each.line.partition(",")[0]) for each in found["settings"]] == [
        (Weight.PROBLEM, "settings: SCHEMA_REGISTRY_URL is missing"),
    ]
    assert [each.weight for each in found["registry"]] == [Weight.UNKNOWN]
