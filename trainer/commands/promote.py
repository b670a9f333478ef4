"""segment-trainer promote: the version that workers use."""

from __future__ import annotations

from datetime import datetime

from models.errors import NotSigned
from models.manifest import Reassigned, Verdict
from models.reassigned import ReassignedLimit
from models.store import PROMOTABLE, ModelStore
from trainer.text.production import PRODUCTION, workers_that_switch
from trainer.text.summary import marked_entry, reassigned_since


def promote(
    store: ModelStore,
    version: str,
    at: datetime,
    accepting: frozenset[Verdict] = PROMOTABLE,
    most_reassigned: float | None = None,
    measured: Reassigned | None = None,
) -> None:
    """Put a version into production, and print so, with how many users change their segment.

    most_reassigned is the greatest share of them, 0 to 1; measured takes precedence over the manifest. Raises
    PromotionRefused for a verdict that is not accepted, and for a share that is too high or not known.
    """
    before = store.to_replace(PRODUCTION)
    limit = None if most_reassigned is None else ReassignedLimit(most_reassigned, measured)
    entry = store.promote(version, PRODUCTION, at, accepting, limit)
    if before is not None and before.version == entry.version:
        print(f"{entry.version} is in production already")
        return
    parts = [f"{marked_entry(entry)} is in production now, before: {entry.previous or 'none'}"]
    if entry.previous is not None:
        found = measured or store.known_reassigned(entry.version, entry.previous)
        parts.append("how many users change their segment is not known" if found is None else reassigned_since(found))
    print("; ".join([*parts, workers_that_switch(store, entry)]))


def sign(store: ModelStore, version: str) -> None:
    """Sign a version as it lies in the store, and print so; a signed one stays as it is."""
    try:
        store.manifest(version)
    except NotSigned:
        store.sign(version)
        print(f"{version} is signed now, as it lies in {store.root}")
