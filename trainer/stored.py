"""The commands over what is stored already: they need the base install only."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from models.manifest import Manifest, Verdict
from models.store import PROMOTABLE, ModelStore
from trainer.console import print_facts, print_table
from trainer.summary import facts_of, figure, origin_of

PRODUCTION = "production"


def list_versions(store: ModelStore) -> None:
    """Print every version, oldest first, one a line."""
    versions = store.versions()
    if not versions:
        print(f"there is no version in {store.root} yet: fit one with `segment-trainer fit DATA.csv`")
        return
    production = _production(store)
    print_table(
        ("version", "created", "verdict", "segments", "silhouette", "users", "alias"),
        [
            (
                manifest.id,
                f"{manifest.created_at:%Y-%m-%d %H:%M:%S %Z}",
                manifest.verdict,
                str(manifest.k),
                figure(manifest.silhouette),
                f"{manifest.rows:,}",
                PRODUCTION if manifest.id == production else "",
            )
            for manifest in versions
        ],
    )


def list_versions_as_json(store: ModelStore) -> None:
    """Print an array of manifests, oldest first, each with the aliases that name it."""
    production = _production(store)
    _print_json([_with_aliases(manifest, production) for manifest in store.versions()])


def show(store: ModelStore, version: str) -> None:
    """Print one version."""
    manifest = store.manifest(version)
    print_facts(
        [
            *facts_of(manifest),
            ("alias", PRODUCTION if manifest.id == _production(store) else "none"),
            *origin_of(manifest),
        ],
        to_copy=[("history", f"SHA-256 {manifest.data_sha256}"), ("files", str(store.folder(version)))],
    )


def show_as_json(store: ModelStore, version: str) -> None:
    """Print the manifest of one version, with the aliases that name it."""
    _print_json(_with_aliases(store.manifest(version), _production(store)))


def history(store: ModelStore) -> None:
    """Print who was production when, oldest first."""
    entries = store.history(PRODUCTION)
    if not entries:
        print(f"no version in {store.root} was promoted yet: promote one with `segment-trainer promote VERSION`")
        return
    print_table(
        ("at", "action", "version", "before", "verdict", ""),
        [
            (
                f"{entry.at:%Y-%m-%d %H:%M:%S %Z}",
                entry.action,
                entry.version,
                entry.previous or "none",
                entry.verdict,
                "accepted without structure" if entry.accepted_no_structure else "",
            )
            for entry in entries
        ],
    )


def history_as_json(store: ModelStore) -> None:
    """Print an array of every promotion and rollback, oldest first."""
    _print_json([entry.model_dump(mode="json") for entry in store.history(PRODUCTION)])


def promote(store: ModelStore, version: str, at: datetime, accepting: frozenset[Verdict] = PROMOTABLE) -> None:
    """Make a version the one in production, and print so; raises PromotionRefused for a verdict not accepted."""
    before = _production(store)
    entry = store.promote(version, PRODUCTION, at, accepting)
    if before == entry.version:
        print(f"{entry.version} is in production already")
        return
    print(f"{entry.version} is in production now, before: {before or 'none'}; workers load it at their next start")


def rollback(store: ModelStore, at: datetime) -> None:
    """Put back what was in production before, and print so; raises PromotionRefused when there is nothing before."""
    entry = store.rollback(PRODUCTION, at)
    print(f"{entry.version} is in production again, before: {entry.previous}; workers load it at their next start")


def prune(store: ModelStore, keep: int) -> None:
    """Remove old versions and print which."""
    removed = store.prune(keep)
    for version in removed:
        print(f"removed {version}")
    print(f"{len(removed)} removed, {len(store.versions())} kept")


def _production(store: ModelStore) -> str | None:
    entry = store.current(PRODUCTION)
    return None if entry is None else entry.version


def _with_aliases(manifest: Manifest, production: str | None) -> dict[str, Any]:
    return {**manifest.model_dump(mode="json"), "aliases": [PRODUCTION] if manifest.id == production else []}


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))
