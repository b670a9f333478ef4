"""What a running worker makes of a promotion, a rollback, and of a store that it must not follow."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from models.keys import SigningKey
from models.store import ModelStore
from tests.unit.signed import NOON, new_key, published, signed_store, signing
from tests.unit.worker.test_process import SCORING
from worker.metrics import Metrics
from worker.model import load_model
from worker.promotions import PromotionWatch
from worker.settings import Settings


@dataclass(frozen=True)
class Site:
    """A signed store whose first version is in production, and a worker that loaded it."""

    store: ModelStore
    key: SigningKey
    watch: PromotionWatch
    metrics: Metrics

    @property
    def history(self) -> Path:
        return self.store.root / "aliases.jsonl"

    def publish(self) -> str:
        return published(self.store, 60 * len(self.store.version_ids())).id

    def promote(self, version: str) -> None:
        self.store.promote(version, "production", NOON)

    def looked(self) -> list[str]:
        """The reasons for refusals that one look logs."""
        with capture_logs() as logs:
            self.watch.look()
        return [entry["because"] for entry in logs if entry["event"] == "promotion_refused"]

    @property
    def served(self) -> str:
        return self.watch.scoring.model.manifest.id

    def shown(self) -> tuple[list[str], float]:
        """The versions that the metrics name, and whether they say that one was refused."""
        families = text_string_to_metric_families(self.metrics.expose(live=True, ready=True).decode())
        samples = [sample for family in families for sample in family.samples]
        (refused,) = (sample.value for sample in samples if sample.name == "segment_worker_promotion_refused")
        models = [sample for sample in samples if sample.name == "segment_worker_model_info"]
        return [sample.labels["version"] for sample in models], refused


@pytest.fixture
def site(tmp_path: Path) -> Site:
    key = new_key()
    store = signed_store(tmp_path / "store", key)
    return watching(store, key, Settings(models_dir=store.root, model_public_key=key.one_line))


def watching(store: ModelStore, key: SigningKey, settings: Settings) -> Site:
    model, metrics = load_model(settings), Metrics()
    watch = PromotionWatch(settings, model, replace(SCORING, model=model.stored), metrics)
    return Site(store, key, watch, metrics)


def test_a_promotion_and_a_rollback_are_taken_up_for_the_next_batch(site: Site) -> None:
    first, second = site.served, site.publish()
    assert site.looked() == []
    assert site.served == first, "published is not promoted"

    site.promote(second)
    in_hand = site.watch.scoring
    with capture_logs() as logs:
        site.watch.look()
    assert site.served == second
    assert site.watch.scoring == replace(in_hand, model=site.watch.scoring.model), "all else stays"
    assert site.shown() == ([second], 0)
    (loaded,) = logs
    assert (loaded["event"], loaded["version"], loaded["sequence"]) == ("model_loaded", second, 2)
    assert loaded["signature"] == "verified"

    site.store.rollback("production", NOON)
    assert site.looked() == []
    assert site.served == first
    assert site.shown() == ([first], 0)


def test_what_changes_nothing_is_not_told(site: Site) -> None:
    site.store.promote(site.publish(), "canary", NOON)
    with capture_logs() as logs:
        site.watch.look()
    assert logs == []


def test_an_older_state_that_is_put_back_is_refused_and_told_once(site: Site) -> None:
    old, second = site.history.read_bytes(), site.publish()
    site.promote(second)
    site.watch.look()
    new = site.history.read_bytes()
    site.history.write_bytes(old)
    (because,) = site.looked()
    assert "does not continue what was read there before, up to sequence 2: an older state was put back" in because
    assert site.served == second
    assert site.shown() == ([second], 1)
    assert site.looked() == []
    site.history.write_bytes(new)
    with capture_logs() as logs:
        site.watch.look()
    assert [entry["event"] for entry in logs] == ["promotions_followed_again"]
    assert site.shown() == ([second], 0)
    site.history.write_bytes(old)
    assert len(site.looked()) == 1, "a second time is a second time"


def test_an_entry_that_was_seen_counts_although_it_changed_nothing(site: Site) -> None:
    first, second = site.served, site.publish()
    site.promote(second)
    promoted = site.history.read_bytes()
    site.store.rollback("production", NOON)
    assert site.looked() == []
    site.history.write_bytes(promoted)
    assert len(site.looked()) == 1
    assert site.served == first


def test_another_history_of_the_same_key_is_refused_however_long_it_is(site: Site, tmp_path: Path) -> None:
    first = site.served
    other = tmp_path / "other"
    shutil.copytree(site.store.root, other)
    site.history.unlink()
    for _ in range(3):
        site.promote(site.publish())
    (because,) = site.looked()
    assert "or another history; restore the newest one" in because
    assert site.served == first


def test_a_history_that_was_begun_anew_above_what_was_seen_is_followed(site: Site) -> None:
    second = site.publish()
    site.history.unlink()
    ModelStore(site.store.root, signing(site.key, least_sequence=1)).promote(second, "production", NOON)
    assert site.looked() == []
    assert site.served == second


def damaged(site: Site) -> str:
    site.promote(site.publish())
    (site.store.folder(site.store.version_ids()[-1]) / "model.json").write_bytes(b"{}")
    return "is not what was published"


def unsigned(site: Site) -> str:
    plain = ModelStore(site.store.root)
    published(plain, 600)
    ModelStore(site.store.root, signing(new_key())).sign(plain.version_ids()[-1])
    site.history.write_bytes(site.history.read_bytes() + site.history.read_bytes().splitlines()[0][:-3] + b'"}\n')
    return "is not signed by a key of MODEL_PUBLIC_KEY"


def away(site: Site) -> str:
    site.store.root.rename(site.store.root.with_name("away"))
    return "there is no model store at"


def without_history(site: Site) -> str:
    site.history.unlink()
    return "does not continue what was read there before"


@pytest.mark.parametrize("harm", [damaged, unsigned, away, without_history])
def test_what_would_be_refused_at_a_start_leaves_the_model_in_hand(site: Site, harm: Callable[[Site], str]) -> None:
    first, expected = site.served, harm(site)
    (because,) = site.looked()
    assert expected in because
    assert site.served == first
    assert site.shown()[1] == 1


def test_a_version_for_another_profile_class_leaves_the_model_in_hand(site: Site) -> None:
    first, second = site.served, site.store.manifest(site.publish())
    profile = second.profile.model_copy(update={"name": "OtherProfile", "schema_digest": "0" * 64})
    path = site.store.folder(second.id) / "manifest.json"
    path.write_text(second.model_copy(update={"profile": profile}).model_dump_json())
    (path.parent / "manifest.sig").unlink()
    site.store.sign(second.id)
    site.promote(second.id)
    (because,) = site.looked()
    assert "fitted for profile class OtherProfile" in because
    assert site.served == first


def test_an_unsigned_store_is_followed_wherever_it_leads(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    first = published(store).id
    store.promote(first, "production", NOON)
    site = watching(store, new_key(), Settings(models_dir=store.root))
    old = site.history.read_bytes()
    second = site.publish()
    site.promote(second)
    site.watch.look()
    assert site.served == second
    site.history.write_bytes(old)
    assert site.looked() == []
    assert site.served == first
