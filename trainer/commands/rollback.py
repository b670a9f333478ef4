"""segment-trainer rollback: the version that was in production before."""

from __future__ import annotations

from datetime import datetime

from models import promoting
from models.store import ModelStore
from trainer.text.production import PRODUCTION, workers_that_switch
from trainer.text.summary import marked_entry


def rollback(store: ModelStore, at: datetime) -> None:
    """Put the previous version back into production, and report it; raises PromotionRefused when there is none."""
    entry = promoting.rollback(store, PRODUCTION, at)
    print(
        f"{marked_entry(entry)} is in production again, before: {entry.previous}; {workers_that_switch(store, entry)}"
    )
