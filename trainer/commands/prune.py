"""segment-trainer prune: fewer old versions."""

from __future__ import annotations

from models import promoting
from models.store import ModelStore


def prune(store: ModelStore, keep: int) -> None:
    """Remove old versions and print which; the one in production, and the one before it, always stay."""
    removed = promoting.prune(store, keep)
    for version in removed:
        print(f"removed {version}")
    print(f"{len(removed)} removed, {len(store.version_ids())} kept")
