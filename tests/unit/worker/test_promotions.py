"""What a running worker makes of a promotion, a rollback, and of a store that it must not follow."""

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from prometheus_client import Gauge
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from models import promoting, publishing
from models.promotion_history import AliasFile, AliasHistory
from models.signing import SigningKey
from models.store import ModelStore
from tests.support.brokers import wait_until
from tests.support.fitted import NOON, published, segmentation
from tests.support.scoring import SCORING
from tests.support.signed import new_key, signed_store, signing
from tests.support.transport_contract import PATIENCE_S
from worker import promotions
from worker.operations.metrics import Metrics
from worker.promotions import PromotionWatch, report_loaded
from worker.served_model import load_model
from worker.settings import Settings
from worker.stream.records import Membership


@dataclass(frozen=True)
class Site:
    """A signed store whose first version is in production, and a worker that loaded it."""

    store: ModelStore
    key: SigningKey
    settings: Settings
    watch: PromotionWatch
    metrics: Metrics

    @property
    def history(self) -> Path:
        return self.store.root / "aliases.jsonl"

    def publish(self) -> str:
        return published(self.store, 60 * len(self.store.version_ids())).id

    def promote(self, version: str) -> None:
        promoting.promote(self.store, version, "production", NOON)

    def looked(self) -> list[str]:
        """The reasons for refusals that one look logs."""
        with capture_logs() as logs:
            self.watch.check()
        return [entry["because"] for entry in logs if entry["event"] == "promotion_refused"]

    @property
    def served(self) -> str:
        return self.watch.scoring.model.manifest.id

    def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        families = text_string_to_metric_families(self.metrics.expose(live=True, ready=True).decode())
        (value,) = (sample.value for family in families for sample in family.samples if sample.name == name)
        return value

    def shown(self) -> tuple[list[str], float]:
        """The versions that the metrics name, and whether they say that one was refused."""
        families = text_string_to_metric_families(self.metrics.expose(live=True, ready=True).decode())
        samples = [sample for family in families for sample in family.samples]
        models = [sample for sample in samples if sample.name == "segment_worker_model_info"]
        return [sample.labels["version"] for sample in models], self.metric("segment_worker_promotion_refused")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    key = new_key()
    store = signed_store(tmp_path / "store", key)
    return watching(store, key, Settings(models_dir=store.root, model_public_key=key.one_line))


def watching(store: ModelStore, key: SigningKey, settings: Settings) -> Site:
    model, metrics = load_model(settings), Metrics()
    watch = PromotionWatch(settings, model, replace(SCORING, model=model.stored), metrics)
    return Site(store, key, settings, watch, metrics)


def test_a_promotion_and_a_rollback_are_taken_up_for_the_next_batch(site: Site) -> None:
    first, second = site.served, site.publish()
    assert site.looked() == []
    assert site.served == first, "published is not promoted"

    site.promote(second)
    in_hand = site.watch.scoring
    with capture_logs() as logs:
        site.watch.check()
    assert site.served == second
    assert site.watch.scoring == replace(in_hand, model=site.watch.scoring.model), "all else stays"
    assert site.shown() == ([second], 0)
    (loaded,) = logs
    assert (loaded["event"], loaded["version"], loaded["sequence"]) == ("model_loaded", second, 2)
    assert (loaded["signature"], loaded["before"]) == ("verified", first)

    promoting.rollback(site.store, "production", NOON)
    assert site.looked() == []
    assert site.served == first
    assert site.shown() == ([first], 0)


def test_what_changes_nothing_is_not_reported(site: Site) -> None:
    promoting.promote(site.store, site.publish(), "canary", NOON)
    with capture_logs() as logs:
        site.watch.check()
    assert logs == []


def test_an_older_state_that_is_restored_is_refused_and_reported_once(site: Site) -> None:
    old, second = site.history.read_bytes(), site.publish()
    site.promote(second)
    site.watch.check()
    new = site.history.read_bytes()
    site.history.write_bytes(old)
    (because,) = site.looked()
    assert "no longer has the entry with sequence 2 that was read before" in because
    assert site.served == second
    assert site.shown() == ([second], 1)
    assert site.looked() == []
    site.history.write_bytes(new)
    with capture_logs() as logs:
        site.watch.check()
    assert [entry["event"] for entry in logs] == ["promotions_resumed"]
    assert site.shown() == ([second], 0)
    site.history.write_bytes(old)
    assert len(site.looked()) == 1, "a second time is a second time"


def test_an_entry_that_was_seen_counts_although_it_changed_nothing(site: Site) -> None:
    first, second = site.served, site.publish()
    site.promote(second)
    promoted = site.history.read_bytes()
    promoting.rollback(site.store, "production", NOON)
    assert site.looked() == []
    site.history.write_bytes(promoted)
    assert len(site.looked()) == 1
    assert site.served == first


@pytest.mark.parametrize("cut", [0, 1], ids=["whole", "without its beginning"])
def test_another_history_of_the_same_key_is_refused_however_long_it_is(site: Site, cut: int) -> None:
    first = site.served
    site.history.unlink()
    for _ in range(3):
        site.promote(site.publish())
    site.history.write_bytes(b"".join(site.history.read_bytes().splitlines(keepends=True)[cut:]))
    (because,) = site.looked()
    assert "no longer has the entry with sequence" in because
    assert site.served == first


def test_what_was_seen_stays_seen_when_it_could_not_be_loaded(site: Site) -> None:
    first, old = site.served, site.history.read_bytes()
    assert site.looked() == []
    expected = damaged(site)
    assert [expected in because for because in site.looked()] == [True]
    site.history.write_bytes(old)
    (because,) = site.looked()
    assert "no longer has the entry with sequence 2" in because
    assert site.served == first
    assert site.shown()[1] == 1


def test_a_history_that_has_not_changed_is_not_checked_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: AliasFile, _content: bytes) -> AliasHistory:
        raise AssertionError

    assert site.looked() == []
    monkeypatch.setattr(AliasFile, "read", read)
    assert site.looked() == []
    site.history.write_bytes(site.history.read_bytes() + b"\n")
    (because,) = site.looked()
    assert because.startswith("unexpected AssertionError (this is a bug")


def test_a_version_that_is_mended_is_taken_up_although_the_history_is_the_same(site: Site) -> None:
    damaged(site)
    assert len(site.looked()) == 1
    second = site.store.version_ids()[-1]
    (site.store.root / "versions" / second / "model.json").write_bytes(segmentation(seed=60).to_json())
    assert site.looked() == []
    assert site.served == second


def test_a_version_of_the_same_name_with_another_model_is_another_version(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    promoting.promote(store, published(store).id, "production", NOON)
    site = watching(store, new_key(), Settings(models_dir=store.root))
    other = ModelStore(tmp_path / "other")
    published(other)
    promoting.promote(other, published(other, 60).id, "production", NOON)
    (folder,) = (store.root / "versions").iterdir()
    shutil.rmtree(folder)
    shutil.copytree(other.folder(other.version_ids()[-1]), folder)
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace(other.version_ids()[-1], folder.name))
    entry = site.history.read_text()
    site.history.write_text(entry.replace(site.watch.scoring.model.segmentation.digest, segmentation(seed=60).digest))
    assert site.looked() == []
    assert site.watch.scoring.model.segmentation == segmentation(seed=60)


def test_it_looks_by_itself_until_it_is_closed(site: Site) -> None:
    looking = watching(site.store, site.key, site.settings.model_copy(update={"model_poll_s": 0.01}))
    looking.watch.start()
    second = site.publish()
    site.promote(second)
    wait_until(lambda: looking.served == second, "the promotion to be taken up")
    looking.watch.close()
    assert "promotions" not in {thread.name for thread in threading.enumerate()}
    promoting.rollback(site.store, "production", NOON)
    assert looking.served == second


def test_a_new_assignment_is_scored_by_the_version_that_the_alias_names_then(site: Site) -> None:
    # Otherwise a partition that comes from a worker which has switched already goes from new to old to new.
    watch, (before, after) = site.watch, (Membership("g", "m", generation, None) for generation in (1, 2))
    watch.start()
    first, second = site.served, site.publish()
    assert watch.scoring_for(before).model.manifest.id == first
    site.promote(second)
    assert watch.scoring_for(before).model.manifest.id == first, "checked at the next interval, which is 10 s"
    assert watch.scoring_for(after).model.manifest.id == second
    watch.close()


def test_a_store_that_does_not_answer_holds_up_a_new_assignment_for_a_moment_only(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(promotions, "ASSIGNMENT_CHECK_S", 0.05)
    monkeypatch.setattr(ModelStore, "history_content", lambda _: answered.wait(PATIENCE_S) and b"")
    site.watch.start()
    began_s = time.monotonic()
    with capture_logs() as logs:
        assert site.watch.scoring_for(Membership("g", "m", 1, None)).model.manifest.id == site.served
    assert time.monotonic() - began_s < 5
    assert [entry["event"] for entry in logs] == ["promotion_check_slow"]
    answered.set()
    site.watch.close()


def test_the_metrics_say_when_it_last_found_out_what_the_store_says(site: Site) -> None:
    name = "segment_worker_model_store_check_timestamp_seconds"
    assert site.metric(name) == 0
    before = time.time()
    assert site.looked() == []
    assert before <= site.metric(name) <= time.time()
    started = watching(site.store, site.key, site.settings)
    started.watch.start()
    assert started.metric(name) >= before, "the start was a look"
    started.watch.close()


def test_no_scrape_is_without_a_model(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = site.served, site.publish()
    seen: list[list[str]] = []
    remove = Gauge.remove

    def removing(gauge: Gauge, *labels: str) -> None:
        seen.append(site.shown()[0])
        remove(gauge, *labels)

    report_loaded(load_model(site.settings), site.settings, site.metrics)
    monkeypatch.setattr(Gauge, "remove", removing)
    site.promote(second)
    assert site.looked() == []
    assert [sorted(each) for each in seen] == [sorted([first, second])]
    assert site.shown()[0] == [second]


def test_it_does_not_look_where_that_is_not_wanted(site: Site) -> None:
    never = watching(site.store, site.key, site.settings.model_copy(update={"model_poll_s": 0.0}))
    never.watch.start()
    assert "promotions" not in {thread.name for thread in threading.enumerate()}
    never.watch.close()


def damaged(site: Site) -> str:
    site.promote(site.publish())
    (site.store.folder(site.store.version_ids()[-1]) / "model.json").write_bytes(b"{}")
    return "is not what was published"


def promoted_by_a_stranger(site: Site) -> str:
    stranger = new_key()
    theirs = ModelStore(site.store.root, signing(stranger, min_sequence=1))
    ours = site.history.read_bytes()
    site.history.unlink()
    publishing.sign(ModelStore(site.store.root, signing(stranger)), published(ModelStore(site.store.root), 600).id)
    promoting.promote(theirs, site.store.version_ids()[-1], "production", NOON)
    site.history.write_bytes(ours + site.history.read_bytes())
    return "is not signed by a key of MODEL_PUBLIC_KEY"


def published_by_a_stranger(site: Site) -> str:
    site.promote(site.publish())
    folder = site.store.folder(site.store.version_ids()[-1])
    (folder / "manifest.sig").unlink()
    publishing.sign(ModelStore(site.store.root, signing(new_key())), folder.name)
    return f"version {folder.name} is not signed by a key of MODEL_PUBLIC_KEY"


def without_the_version(site: Site) -> str:
    site.promote(site.publish())
    shutil.rmtree(site.store.folder(site.store.version_ids()[-1]))
    return "which is named 'production', is not in"


def only_another_alias(site: Site) -> str:
    promoting.promote(site.store, site.publish(), "canary", NOON)
    assert site.looked() == []
    site.history.write_bytes(site.history.read_bytes().splitlines(keepends=True)[-1])
    return "names no version 'production' any more: restore aliases.jsonl"


def a_link(site: Site) -> str:
    site.history.rename(site.store.root / "elsewhere").replace(site.store.root.with_name("history"))
    site.history.symlink_to(site.store.root.with_name("history"))
    return "aliases.jsonl cannot be read (it is a link): check what it is"


def away(site: Site) -> str:
    site.store.root.rename(site.store.root.with_name("away"))
    return "there is no model store at"


def without_history(site: Site) -> str:
    site.history.unlink()
    return "is empty or missing"


@pytest.mark.parametrize(
    "harm",
    [
        damaged,
        promoted_by_a_stranger,
        published_by_a_stranger,
        without_the_version,
        only_another_alias,
        a_link,
        away,
        without_history,
    ],
)
def test_what_would_be_refused_at_a_start_keeps_the_current_model(site: Site, harm: Callable[[Site], str]) -> None:
    first, expected = site.served, harm(site)
    (because,) = site.looked()
    assert expected in because
    assert "fit one" not in because, "that would begin another history"
    assert site.served == first
    assert site.shown()[1] == 1


def test_a_store_that_becomes_signed_is_followed_with_a_warning_where_nothing_checks_it(tmp_path: Path) -> None:
    key = new_key()
    store = ModelStore(tmp_path / "store")
    promoting.promote(store, published(store).id, "production", NOON)
    site = watching(store, key, Settings(models_dir=store.root))
    second = site.publish()
    signed = ModelStore(store.root, signing(key))
    publishing.sign(signed, second)
    promoting.promote(signed, second, "production", NOON)
    with capture_logs() as logs:
        site.watch.check()
    assert [entry["event"] for entry in logs] == ["model_loaded", "signatures_not_checked"]
    assert site.served == second


def test_a_version_for_another_profile_class_keeps_the_current_model(site: Site) -> None:
    first, second = site.served, site.store.manifest(site.publish())
    profile = second.profile.model_copy(update={"name": "OtherProfile", "schema_digest": "0" * 64})
    path = site.store.folder(second.id) / "manifest.json"
    path.write_text(second.model_copy(update={"profile": profile}).model_dump_json())
    (path.parent / "manifest.sig").unlink()
    publishing.sign(site.store, second.id)
    site.promote(second.id)
    (because,) = site.looked()
    assert "fitted for profile class OtherProfile" in because
    assert site.served == first


def test_an_unsigned_store_is_followed_wherever_it_leads(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    first = published(store).id
    promoting.promote(store, first, "production", NOON)
    site = watching(store, new_key(), Settings(models_dir=store.root))
    old = site.history.read_bytes()
    second = site.publish()
    site.promote(second)
    site.watch.check()
    assert site.served == second
    site.history.write_bytes(old)
    assert site.looked() == []
    assert site.served == first
