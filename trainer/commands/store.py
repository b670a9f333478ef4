"""The commands over what is stored already: they need the base install only."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from models.errors import ModelError, NotSigned
from models.manifest import Churn, Manifest, Verdict
from models.promotion_history import AliasEntry
from models.reassigned import ChurnLimit
from models.store import PROMOTABLE, ModelStore
from models.version_folder import Signature
from trainer.text.console import print_facts, print_table
from trainer.text.summary import ACCEPTED, churn_in_words, facts_of, figure, origin_of

PRODUCTION = "production"

_SIGNATURES = {
    Signature.VERIFIED: "verified",
    Signature.UNCHECKED: "not checked: MODEL_PUBLIC_KEY is not set",
    Signature.NONE: "none",
}


def list_versions(store: ModelStore) -> None:
    """Print every version, oldest first, one a line, and then those that cannot be read, with the reason."""
    versions, unread = _readable(store)
    if not versions and not unread:
        missing = "version in" if store.root.is_dir() else "model store at"
        print(f"there is no {missing} {store.root} yet: check --models, or fit with `segment-trainer fit DATA.csv`")
        return
    production, accepted = _production(store), store.accepted_without_structure()
    print_table(
        ("version", "created", "verdict", "segments", "silhouette", "users", "signature", "alias", ""),
        [
            (
                manifest.id,
                f"{manifest.created_at:%Y-%m-%d %H:%M:%S %Z}",
                manifest.verdict,
                str(manifest.k),
                figure(manifest.silhouette),
                f"{manifest.rows:,}",
                store.signature(manifest.id),
                PRODUCTION if manifest.id == production else "",
                ACCEPTED if manifest.id in accepted else "",
            )
            for manifest in versions
        ],
    )
    for line in (*unread, *_beginning(store)):
        print(line)


def list_versions_as_json(store: ModelStore) -> None:
    """Print an array of manifests, oldest first, each with the aliases that name it.

    What cannot be read is left out, and told on standard error; so is where the history of promotions begins.
    """
    versions, unread = _readable(store)
    _print_json(_as_json(versions, store))
    for line in (*unread, *_beginning(store)):
        print(line, file=sys.stderr)


def show(store: ModelStore, version: str) -> None:
    """Print one version."""
    manifest, accepted = store.manifest(version), store.accepted_without_structure()
    print_facts(
        [
            *facts_of(manifest, accepted),
            ("alias", PRODUCTION if manifest.id == _production(store) else "none"),
            ("signature", _SIGNATURES[store.signature(version)]),
            *origin_of(manifest, accepted),
        ],
        to_copy=[("history", f"SHA-256 {manifest.data_sha256}"), ("files", str(store.folder(version)))],
    )


def show_as_json(store: ModelStore, version: str) -> None:
    """Print the manifest of one version, with the aliases that name it."""
    (shown,) = _as_json([store.manifest(version)], store)
    _print_json(shown)


def history(store: ModelStore) -> None:
    """Print who was production when, oldest first, and what is known to be missing before."""
    entries = store.history(PRODUCTION)
    if entries:
        print_table(
            ("at", "action", "version", "before", "verdict", "sequence", ""),
            [
                (
                    f"{entry.at:%Y-%m-%d %H:%M:%S %Z}",
                    entry.action,
                    entry.version,
                    entry.previous or "none",
                    entry.verdict,
                    "unsigned" if entry.sequence is None else str(entry.sequence),
                    ACCEPTED if entry.accepted_no_structure else "",
                )
                for entry in entries
            ],
        )
    else:
        print(f"no version in {store.root} was promoted yet: promote one with `segment-trainer promote VERSION`")
    for line in _beginning(store):
        print(line)


def history_as_json(store: ModelStore) -> None:
    """Print an array of every promotion and rollback, oldest first; on standard error, what is missing before."""
    _print_json([entry.model_dump(mode="json") for entry in store.history(PRODUCTION)])
    for line in _beginning(store):
        print(line, file=sys.stderr)


def promote(
    store: ModelStore,
    version: str,
    at: datetime,
    accepting: frozenset[Verdict] = PROMOTABLE,
    most_churn: float | None = None,
    measured: Churn | None = None,
) -> None:
    """Make a version the one in production, and print so, with how many users change their segment.

    most_churn is the greatest share of them, 0 to 1; measured counts before what the manifest says. Raises
    PromotionRefused for a verdict that is not accepted, and for too high a churn, or one that nobody knows.
    """
    before = store.to_replace(PRODUCTION)
    limit = None if most_churn is None else ChurnLimit(most_churn, measured)
    entry = store.promote(version, PRODUCTION, at, accepting, limit)
    if before is not None and before.version == entry.version:
        print(f"{entry.version} is in production already")
        return
    said = [f"{_said(entry)} is in production now, before: {entry.previous or 'none'}"]
    if entry.previous is not None:
        churn = measured or store.known_churn(entry.version, entry.previous)
        said.append("how many users change their segment is not known" if churn is None else churn_in_words(churn))
    print("; ".join([*said, _who_takes_up(store, entry)]))


def sign(store: ModelStore, version: str) -> None:
    """Sign a version as it lies there, and print so; one that is signed already stays as it is."""
    try:
        store.manifest(version)
    except NotSigned:
        store.sign(version)
        print(f"{version} is signed now, as it lies in {store.root}")


def rollback(store: ModelStore, at: datetime) -> None:
    """Put back what was in production before, and print so; raises PromotionRefused when there is nothing before."""
    entry = store.rollback(PRODUCTION, at)
    print(f"{_said(entry)} is in production again, before: {entry.previous}; {_who_takes_up(store, entry)}")


def prune(store: ModelStore, keep: int) -> None:
    """Remove old versions and print which; what is in production, and what rollback would put back, stays."""
    removed = store.prune(keep)
    for version in removed:
        print(f"removed {version}")
    print(f"{len(removed)} removed, {len(store.version_ids())} kept")


def _readable(store: ModelStore) -> tuple[list[Manifest], list[str]]:
    """The manifests of all versions, oldest first, and a line for each that cannot be read or is not there."""
    versions, unread = list[Manifest](), list[str]()
    for version in store.version_ids():
        try:
            versions.append(store.manifest(version))
        except NotSigned as error:
            unread.append(f"not signed: {error}")
        except ModelError as error:
            unread.append(f"damaged: {error}")
    production = _production(store)
    if production is not None and production not in store.version_ids():
        unread.append(
            f"{production} is in production and not in {store.root}: restore its folder, or promote another version"
        )
    return versions, unread


def _production(store: ModelStore) -> str | None:
    entry = store.current(PRODUCTION)
    return None if entry is None else entry.version


def _beginning(store: ModelStore) -> Iterator[str]:
    """A line for a history of promotions whose beginning nobody can vouch for."""
    beginning = store.beginning()
    if beginning is not None:
        yield (
            f"the history of promotions in {store.root} {beginning}: unless it was begun anew, or keys were changed, "
            "compare aliases.jsonl with a backup"
        )


def _who_takes_up(store: ModelStore, entry: AliasEntry) -> str:
    profile = store.manifest(entry.version).profile
    try:
        before = profile if entry.previous is None else store.manifest(entry.previous).profile
    except ModelError:  # damaged: nobody can tell
        before = profile
    if profile == before:
        return "running workers take it up, unless their MODEL_POLL_S is 0"
    return (
        f"it was fitted for profile class {profile.name}, the one before for {before.name}: running workers refuse it, "
        "start them again with the PROFILE_CLASS that it needs"
    )


def _said(entry: AliasEntry) -> str:
    return f"{entry.version} ({ACCEPTED})" if entry.accepted_no_structure else entry.version


def _as_json(manifests: Sequence[Manifest], store: ModelStore) -> list[dict[str, Any]]:
    # Read once: each reading checks every signature in the history.
    production, accepted = _production(store), store.accepted_without_structure()
    return [
        {
            **manifest.model_dump(mode="json"),
            "signature": store.signature(manifest.id),
            "aliases": [PRODUCTION] if manifest.id == production else [],
            "accepted_no_structure": manifest.id in accepted,
        }
        for manifest in manifests
    ]


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))
