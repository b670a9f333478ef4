"""The runbook's order for another profile class: fit, promote, then restart the workers; and back again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import pytest
from structlog.testing import capture_logs

from models import promoting
from models.errors import ProfileMismatch
from models.manifest import ProfileReference
from models.store import ModelStore
from schemas import UserProfile
from schemas.roles import number
from tests.support.fitted import fit, publish, segmentation
from tests.support.scoring import SCORING
from worker.operations.metrics import Metrics
from worker.promotions import PromotionWatch
from worker.served_model import load_model
from worker.settings import Settings

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


class NewProfile(UserProfile):
    """The class in use, with one more field."""

    basket_value: Annotated[float, number("behaviour")]


def test_a_new_profile_class_is_promoted_first_and_workers_follow_one_by_one(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    old_worker, new_worker = (
        Settings(models_dir=tmp_path),
        Settings(models_dir=tmp_path, profile_class=f"{__file__}:NewProfile"),
    )
    first = publish(store, segmentation(), fit(at=NOON))
    promoting.promote(store, first.id, "production", NOON)
    running = load_model(old_worker)
    watch = PromotionWatch(old_worker, running, replace(SCORING, model=running.stored), Metrics())

    made = fit(at=NOON + timedelta(hours=1)).model_copy(update={"profile": ProfileReference.of(NewProfile)})
    second = publish(store, segmentation(), made)
    with pytest.raises(ProfileMismatch):
        load_model(new_worker)  # before the promotion no new worker starts

    promoting.promote(store, second.id, "production", NOON)
    with capture_logs() as logs:
        watch.check()
    assert [entry["event"] for entry in logs] == ["promotion_refused"]
    assert watch.scoring.model.manifest.id == first.id
    assert load_model(new_worker).version == second.id
    with pytest.raises(ProfileMismatch):
        load_model(old_worker)  # an old worker that stops now does not come back

    promoting.rollback(store, "production", NOON)
    with capture_logs() as logs:
        watch.check()
    assert [entry["event"] for entry in logs] == ["promotions_resumed"]
    assert load_model(old_worker).version == first.id
