"""segment-trainer promote: the version that workers use."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from models import promoting, publishing
from models.errors import NotSigned, OlderFormat, PromotionRefused
from models.manifest import ProfileReference, Reassigned, Verdict
from models.promoting import PROMOTABLE, ReassignedLimit
from models.store import ModelStore
from trainer.text.production import PRODUCTION, current_version, workers_that_switch
from trainer.text.summary import marked_entry, reassigned_since


def promote(
    store: ModelStore,
    version: str,
    at: datetime,
    accepting: frozenset[Verdict] = PROMOTABLE,
    most_reassigned: float | None = None,
    measured: Reassigned | None = None,
) -> None:
    """Put a version into production and report it, with how many users change their segment.

    most_reassigned limits their share, 0 to 1; measured takes precedence over the manifest. Raises
    PromotionRefused for a verdict that is not accepted, and for a share that is too high or unknown.
    """
    before = promoting.to_replace(store, PRODUCTION)
    limit = None if most_reassigned is None else ReassignedLimit(most_reassigned, measured)
    entry = promoting.promote(store, version, PRODUCTION, at, accepting, limit)
    if before is not None and before.version == entry.version:
        print(f"{entry.version} is already in production")
        return
    parts = [f"{marked_entry(entry)} is in production now, before: {entry.previous or 'none'}"]
    if entry.previous is not None:
        found = measured or promoting.known_reassigned(store, entry.version, entry.previous)
        parts.append("how many users change their segment is not known" if found is None else reassigned_since(found))
    print("; ".join([*parts, workers_that_switch(store, entry)]))


def promoted_already(store: ModelStore, profile_class: type[BaseModel]) -> str | None:
    """The version in production; None before the first promotion, and for an earlier format, which no worker can use.

    Raises PromotionRefused when it was fitted for another profile class: replacing it would leave the workers of that
    class without new versions, so a person must decide.
    """
    version = current_version(store)
    if version is None:
        return None
    try:
        profile = store.manifest(version).profile
    except OlderFormat:
        return None
    given = ProfileReference.of(profile_class)
    if profile != given:
        raise PromotionRefused(
            f"version {version}, in production in {store.root}, was fitted for {profile}, not for {given}, and "
            "--promote with a fit never replaces a version: set PROFILE_CLASS to the class of that version, or fit "
            "without --promote and then promote the new version"
        )
    return version


def sign(store: ModelStore, version: str) -> None:
    """Sign a version as it is in the store and report it; a signed version stays unchanged."""
    try:
        store.manifest(version)
    except NotSigned:
        publishing.sign(store, version)
        print(f"{version} is signed now, as it is in {store.root}")
