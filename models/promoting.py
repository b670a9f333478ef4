"""Choosing the version that workers use: promotions and rollbacks, and removing versions that none of them needs."""

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

# What may be promoted without a word: all but data in which no segments were found.
PROMOTABLE = frozenset(Verdict) - {Verdict.NONE}


@dataclass(frozen=True, slots=True)
class ReassignedLimit:
    """How many users may change their segment at a promotion."""

    most: float
    """Greatest share, 0 to 1."""
    measured: Reassigned | None
    """Measured for this promotion; None: as the store knows it."""


def promote(
    store: ModelStore,
    version: str,
    alias: str,
    at: datetime,
    accepting: frozenset[Verdict] = PROMOTABLE,
    limit: ReassignedLimit | None = None,
) -> AliasEntry:
    """Let the alias name this version from now on; the entry in force is returned when it does so already.

    Raises PromotionRefused when the version's verdict is not among those accepted, when its numbers do not continue
    those that users have met, when more users would change their segment than the limit allows or nobody knows how
    many, and whatever `load` raises.
    """
    store.keys.require_signing()
    stored = store.load_by(version, store.aliases.to_continue())
    manifest = stored.manifest
    if manifest.verdict not in accepting:
        raise PromotionRefused(
            f"version {manifest.id} found no segments in its data ({manifest.verdict_reason}): "
            "give --accept-no-structure to promote it all the same"
        )
    store.check_files(manifest.id)
    with store.locked():
        history = store.aliases.to_continue()
        before = history.current(alias)
        if before is not None and before.version == manifest.id:
            return before
        if before is not None and not _continues(store, stored, history.of(alias)):
            raise PromotionRefused(
                f"version {manifest.id} was fitted before {before.version} went into production, so its numbers do "
                "not continue it: fit the history again, and they will"
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
    """Let the alias name what it named before the promotion in force; a second rollback goes one further back.

    Raises PromotionRefused when there is nothing before, and whatever `load` raises.
    """
    store.keys.require_signing()
    with store.locked():
        stack = store.aliases.read().promotions_in_force(alias)
        if len(stack) < 2:
            raise PromotionRefused(
                f"{alias!r} in {store.root} has no earlier version to go back to: "
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

    What an alias names stays, and so does what a rollback of it would go back to.
    """
    with store.locked():
        history = store.aliases.read()
        named = {entry.version for alias in history.aliases() for entry in history.promotions_in_force(alias)[-2:]}
        versions = store.version_ids()
        doomed = [version for version in versions[: max(len(versions) - keep, 0)] if version not in named]
        for version in doomed:
            # Renamed first: a kill in the middle leaves nothing that looks like a version.
            leaving = store.versions_folder / f".unfinished-{version}"
            (store.versions_folder / version).rename(leaving)
            shutil.rmtree(leaving)
    return tuple(doomed)


def to_replace(store: ModelStore, alias: str) -> AliasEntry | None:
    """The entry that a promotion would replace: the one in force, or None where nothing that is there is signed."""
    return store.aliases.to_continue().current(alias)


def known_reassigned(store: ModelStore, version: str, against: str) -> Reassigned | None:
    """How many users change their segment when a version replaces another; None where nobody has measured it.

    Known from the fit, when the other was in production then, and where the two differ in names only.
    """
    stored = store.load(version)
    measured = stored.manifest.reassigned
    if measured is not None and measured.against == against:
        return measured
    try:
        other = store.load(against)
    except ModelError:  # a damaged version must not keep anybody from replacing it
        return None
    if _same_but_names(stored.segmentation, other.segmentation):
        return Reassigned(against=against, share=0.0, users=0, compared=stored.manifest.rows)
    return None


def _require_few_reassigned(
    manifest: Manifest, in_force: str, found: Reassigned | None, limit: ReassignedLimit
) -> None:
    """Raise PromotionRefused when more users would move than the limit allows, or nobody knows how many."""
    if found is None or found.against != in_force:
        earlier = found or manifest.reassigned
        known = "was never measured" if earlier is None else f"was measured against {earlier.against}"
        raise PromotionRefused(
            f"how many users change their segment when {manifest.id} replaces {in_force}, which is in force, is not "
            f"known (it {known}): name a history to measure it on with --data FILE"
        )
    if found.share > limit.most:
        raise PromotionRefused(
            f"{found.users:,} of {found.compared:,} users ({found.share:.1%}) would change their segment when "
            f"{manifest.id} replaces {in_force}, at most {limit.most:.1%} may: see where they go with "
            f"`segment-trainer compare {in_force} {manifest.id} DATA.csv`, or give a higher --max-reassigned"
        )


def _continues(store: ModelStore, stored: StoredModel, promoted: tuple[AliasEntry, ...]) -> bool:
    """Whether the numbers of a version mean what users know them for, where others were promoted.

    They do when both come from one version by parents: each fit continues its parent's numbers. Two fits without a
    parent have both begun at 0. A version of another profile class is another model, with numbers of its own.
    """
    if _ancestry(store, (entry.version for entry in promoted)) & _ancestry(store, [stored.manifest.id]):
        return True
    try:
        other = store.load(promoted[-1].version)
    except ModelError:  # nobody can tell, and a damaged version must not keep anybody from replacing it
        return True
    return other.manifest.profile != stored.manifest.profile or _same_but_names(stored.segmentation, other.segmentation)


def _ancestry(store: ModelStore, versions: Iterable[str]) -> set[str]:
    """Versions and their parents, back to the first or to one that cannot be read any more; each is read once."""
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


def _same_but_names(one: Segmentation, other: Segmentation) -> bool:
    """Whether both put every user into the segment of the same number."""
    places = ({segment.number: segment.centroid for segment in model.segments} for model in (one, other))
    return one.encoder == other.encoder and next(places) == next(places)
