"""Chooses the version that workers use, by promotions and rollbacks, and removes versions that are not needed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from models.errors import ModelError, PromotionRefused
from models.manifest import Manifest, Reassigned, Verdict
from models.promotion_history import AliasEntry
from models.segmentation import Segmentation
from models.store import ModelStore, StoredModel

# The verdicts that may be promoted without --accept-no-structure.
PROMOTABLE = frozenset(Verdict) - {Verdict.NONE}


@dataclass(frozen=True, slots=True)
class ReassignedLimit:
    """How many users may change their segment at a promotion."""

    max_share: float
    """Share of the users, 0 to 1."""
    measured: Reassigned | None
    """Measured for this promotion; None: use what the store knows."""


def promote(
    store: ModelStore,
    version: str,
    alias: str,
    at: datetime,
    accepting: frozenset[Verdict] = PROMOTABLE,
    limit: ReassignedLimit | None = None,
) -> AliasEntry:
    """Let the alias name this version from now on; if it already does, nothing is written and its entry returned.

    Raises PromotionRefused if the version's verdict is not among those accepted, if its numbers do not continue those
    that users have seen, or if more users would change their segment than the limit allows or the number is not known;
    and what `load` raises.
    """
    store.keys.require_signing()
    stored = store.load_with(version, store.aliases.read_to_append())
    manifest = stored.manifest
    if manifest.verdict not in accepting:
        raise PromotionRefused(
            f"version {manifest.id} found no segments in its data ({manifest.verdict_reason}): "
            "give --accept-no-structure to promote it anyway"
        )
    store.check_files(manifest.id)
    with store.locked():
        history = store.aliases.read_to_append()
        before = history.current(alias)
        if before is not None and before.version == manifest.id:
            return before
        if before is not None and not _continues(store, stored, history.of(alias)):
            raise PromotionRefused(
                f"version {manifest.id} was fitted before {before.version} was promoted, so its segment numbers do "
                "not continue those in production: fit again to continue them"
            )
        if before is not None and limit is not None:
            _require_few_reassigned(
                manifest, before.version, limit.measured or known_reassigned(store, version, before.version), limit
            )
        entry = AliasEntry(
            at=at,
            alias=alias,
            action="promote",
            version=manifest.id,
            model_digest=stored.segmentation.digest,
            previous=before.version if before else None,
            verdict=manifest.verdict,
            accepted_no_structure=manifest.verdict is Verdict.NONE,
        )
        return store.aliases.append(entry, store.keys.signing)


def rollback(store: ModelStore, alias: str, at: datetime) -> AliasEntry:
    """Let the alias name the version before the current one; a second rollback goes one further back.

    Raises PromotionRefused if there is no earlier version, and what `load` raises.
    """
    store.keys.require_signing()
    with store.locked():
        stack = store.aliases.read().active_promotions(alias)
        if len(stack) < 2:
            raise PromotionRefused(
                f"{alias!r} in {store.root} has no earlier version to roll back to: "
                "see `segment-trainer history`, and promote a version with `segment-trainer promote VERSION`"
            )
        target = stack[-2]
        stored = store.load(target.version)
        entry = AliasEntry(
            at=at,
            alias=alias,
            action="rollback",
            version=target.version,
            model_digest=stored.segmentation.digest,
            previous=stack[-1].version,
            verdict=target.verdict,
            accepted_no_structure=target.accepted_no_structure,
        )
        return store.aliases.append(entry, store.keys.signing)


def prune(store: ModelStore, keep: int) -> tuple[str, ...]:
    """Remove all but the newest `keep` versions, and return the ids of the removed ones.

    The current version of each alias stays, and so does the target of its next rollback.
    """
    with store.locked():
        history = store.aliases.read()
        named = {entry.version for alias in history.aliases() for entry in history.active_promotions(alias)[-2:]}
        versions = store.version_ids()
        doomed = [version for version in versions[: max(len(versions) - keep, 0)] if version not in named]
        for version in doomed:
            # Renamed first, so that a kill in between leaves no incomplete version.
            leaving = store.versions_folder / f".unfinished-{version}"
            (store.versions_folder / version).rename(leaving)
            shutil.rmtree(leaving)
    return tuple(doomed)


def to_replace(store: ModelStore, alias: str) -> AliasEntry | None:
    """The entry that a promotion would replace: the current one, or None if no entry is signed by a trusted key."""
    return store.aliases.read_to_append().current(alias)


def known_reassigned(store: ModelStore, version: str, against: str) -> Reassigned | None:
    """How many users change their segment when a version replaces another; None if that was never measured.

    Known from the fit, if the other version was in production then, and if the two differ in names only.
    """
    stored = store.load(version)
    measured = stored.manifest.reassigned
    if measured is not None and measured.against == against:
        return measured
    try:
        other = store.load(against)
    except ModelError:  # a damaged version must still be replaceable
        return None
    if _differ_in_names_only(stored.segmentation, other.segmentation):
        return Reassigned(against=against, share=0.0, users=0, compared=stored.manifest.rows)
    return None


def _require_few_reassigned(manifest: Manifest, current: str, found: Reassigned | None, limit: ReassignedLimit) -> None:
    """Raise PromotionRefused if more users would move than the limit allows, or the number is not known."""
    if found is None or found.against != current:
        earlier = found or manifest.reassigned
        known = "was never measured" if earlier is None else f"was measured against {earlier.against}"
        raise PromotionRefused(
            f"it is not known how many users would change their segment if {manifest.id} replaced the current version "
            f"{current} (this {known}): give a history to measure it on with --data FILE"
        )
    if found.share > limit.max_share:
        raise PromotionRefused(
            f"{found.users:,} of {found.compared:,} users ({found.share:.1%}) would change their segment when "
            f"{manifest.id} replaces {current}, at most {limit.max_share:.1%} may: see where they go with "
            f"`segment-trainer compare {current} {manifest.id} DATA.csv`, or give a higher --max-reassigned"
        )


def _continues(store: ModelStore, stored: StoredModel, promoted: tuple[AliasEntry, ...]) -> bool:
    """Whether the segment numbers of a version mean what they mean in the versions promoted before.

    They do if both descend from one version: each fit continues its parent's numbers. Two fits without a parent both
    start at 0. A version of another profile class is another model, with numbers of its own.
    """
    if _ancestry(store, (entry.version for entry in promoted)) & _ancestry(store, [stored.manifest.id]):
        return True
    try:
        other = store.load(promoted[-1].version)
    except ModelError:  # it cannot be checked, and a damaged version must still be replaceable
        return True
    return other.manifest.profile != stored.manifest.profile or _differ_in_names_only(
        stored.segmentation, other.segmentation
    )


def _ancestry(store: ModelStore, versions: Iterable[str]) -> set[str]:
    """Versions and their ancestors, back to the first or to one that cannot be read; each is read once."""
    found = set[str]()
    for version in versions:
        parent: str | None = version
        while parent is not None and parent not in found:
            found.add(parent)
            try:
                parent = store.manifest(parent).parent
            except ModelError:
                break
    return found


def _differ_in_names_only(one: Segmentation, other: Segmentation) -> bool:
    """Whether both assign every user to a segment of the same number."""
    centroids = ({segment.number: segment.centroid for segment in model.segments} for model in (one, other))
    return one.encoder == other.encoder and next(centroids) == next(centroids)
