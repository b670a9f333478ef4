"""A worker with a public key: it serves what was signed, says which sequence that was, and starts with nothing else."""

import json
from pathlib import Path

import pytest

from demo.kafka.client import NewRecord
from models import promoting
from models.signing import SigningKey
from tests.support.brokers import Programs, TestBroker, wait_until
from tests.support.events import event_bytes
from tests.support.fitted import NOON, published
from tests.support.signed import new_key, pem, secret_of, signed_store
from tests.support.worker_site import WorkerSite, worker_site


@pytest.fixture
def key() -> SigningKey:
    return new_key()


@pytest.fixture
def site(programs: Programs, tmp_path: Path, key: SigningKey) -> WorkerSite:
    """A store with two signed promotions; nobody listens where its brokers should be."""
    site = worker_site(programs, "127.0.0.1:1", "signed", tmp_path)
    signed_store(site.store, key, versions=2)
    return site


def test_a_signed_model_is_served_and_its_sequence_is_logged(
    broker: TestBroker, programs: Programs, tmp_path: Path, key: SigningKey
) -> None:
    site = worker_site(programs, broker.bootstrap_servers, broker.fresh_name("signed"), tmp_path)
    store = signed_store(site.store, key, versions=2)
    site.create_topics(partitions=1)
    worker = site.start_ready(MODEL_PUBLIC_KEY=key.one_line, MODEL_MIN_SEQUENCE="2")
    site.send([NewRecord(b"user", event_bytes())])
    (result,) = site.wait_for_outcomes(1)
    assert json.loads(result.value or b"")["data"]["model"]["version"] == store.version_ids()[-1]
    assert worker.stop() == 0
    (loaded,) = [json.loads(line) for line in worker.log.splitlines() if '"model_loaded"' in line]
    assert (loaded["version"], loaded["sequence"]) == (store.version_ids()[-1], 2)
    assert loaded["signature"] == "verified"
    assert "signatures_not_checked" not in worker.log
    assert "signed, sequence 2" in site.run("check", MODEL_PUBLIC_KEY=key.one_line).stdout


def test_a_running_worker_follows_promotions_and_no_entry_that_is_played_back(
    broker: TestBroker, programs: Programs, tmp_path: Path, key: SigningKey
) -> None:
    site = worker_site(programs, broker.bootstrap_servers, broker.fresh_name("followed"), tmp_path)
    store = signed_store(site.store, key)
    history = site.store / "aliases.jsonl"
    site.create_topics(partitions=1)
    worker = site.start_ready(MODEL_PUBLIC_KEY=key.one_line, MODEL_POLL_S="0.1")
    used: list[str] = []

    def use() -> str:
        """The version that the next event is assigned with."""
        site.send([NewRecord(b"user", event_bytes())])
        used.append(json.loads(site.wait_for_outcomes(len(used) + 1)[-1].value or b"")["data"]["model"]["version"])
        return used[-1]

    first = store.version_ids()[0]
    assert use() == first
    old = history.read_bytes()
    second = published(store, 60).id
    promoting.promote(store, second, "production", NOON)
    wait_until(lambda: use() == second, "a result of the version that was promoted")
    # At once, or the worker may see a half of it, which is refused for another reason.
    (tmp_path / "old").write_bytes(old)
    (tmp_path / "old").replace(history)
    wait_until(lambda: b"segment_worker_promotion_refused 1.0" in site.get("/metrics")[1], "a refusal")
    assert use() == second
    assert site.asked("/readyz") == 200
    (refused,) = [json.loads(line) for line in worker.log.splitlines() if '"promotion_refused"' in line]
    assert (refused["level"], refused["keeps"]) == ("error", second)
    assert f"{history} no longer has the entry with sequence 2" in refused["because"]
    assert worker.stop() == 0
    assert used == [*[first] * used.count(first), *[second] * used.count(second)]
    assert site.run("verify", MODEL_PUBLIC_KEY=key.one_line).returncode == 0


@pytest.mark.parametrize("settings", [{}, {"MODEL_PUBLIC_KEY": ""}], ids=["missing", "empty"])
def test_a_worker_without_its_key_says_that_nothing_checks_a_signed_store(
    site: WorkerSite, settings: dict[str, str]
) -> None:
    done = site.run("run", WORKER_BROKER_WAIT_S="0", **settings)
    entries = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    logged = {entry["event"]: entry for entry in entries}
    assert logged["model_loaded"]["signature"] == "not checked"
    warning = logged["signatures_not_checked"]
    assert warning["level"] == "warning"
    assert f"the model store {site.store} is signed, but its signatures are not checked" in warning["finding"]
    assert "set MODEL_PUBLIC_KEY" in warning["finding"]


def refusal(site: WorkerSite, **settings: str) -> str:
    """The one line that a worker with these settings says before it ends with 2, without asking any broker."""
    done = site.run("run", **settings)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    return line


def test_an_older_state_of_the_store_is_refused_below_the_minimum_sequence(site: WorkerSite, key: SigningKey) -> None:
    path = site.store / "aliases.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    line = refusal(site, MODEL_PUBLIC_KEY=key.one_line, MODEL_MIN_SEQUENCE="2")
    assert line.startswith(f"segment-worker: {path} ends at sequence 1, MODEL_MIN_SEQUENCE is 2: ")


def test_an_old_entry_that_is_played_back_is_refused(site: WorkerSite, key: SigningKey) -> None:
    path = site.store / "aliases.jsonl"
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[0])
    line = refusal(site, MODEL_PUBLIC_KEY=key.one_line)
    assert "line 3 of" in line
    assert "has sequence 1, expected 3" in line


def test_an_altered_model_an_unsigned_one_and_another_key_are_refused(site: WorkerSite, key: SigningKey) -> None:
    newest = max((site.store / "versions").iterdir())
    line = refusal(site, MODEL_PUBLIC_KEY=new_key().one_line)
    assert "none of them signed by a key of MODEL_PUBLIC_KEY" in line
    model = newest / "model.json"
    model.write_bytes(model.read_bytes().replace(b"Segment 0", b"Segment O"))
    assert "model.json is not what was published" in refusal(site, MODEL_PUBLIC_KEY=key.one_line)
    (newest / "manifest.sig").unlink()
    line = refusal(site, MODEL_PUBLIC_KEY=key.one_line)
    assert f"version {newest.name} is not signed by a key of MODEL_PUBLIC_KEY" in line


def test_a_private_key_that_was_given_for_the_public_one_is_never_printed(site: WorkerSite, key: SigningKey) -> None:
    done = site.run("run", MODEL_PUBLIC_KEY=pem(key))
    assert done.returncode == 2
    assert "MODEL_PUBLIC_KEY holds a private key: give the public one" in done.stderr
    assert secret_of(key) not in done.stdout + done.stderr
