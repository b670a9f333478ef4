"""The store: immutable versions in folders of their own, and the history of which of them was in force when."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from models.errors import (
    AliasNotFound,
    ModelError,
    ModelFormatError,
    PromotionRefused,
    PublishFailed,
    VersionDamaged,
    VersionNotFound,
)
from models.golden import Golden
from models.manifest import (
    MANIFEST_FORMAT,
    VERSION_PATTERN,
    Churn,
    Digest,
    Fit,
    Manifest,
    Verdict,
    sha256,
    version_id,
)
from models.segmentation import Segmentation

# A model of a thousand columns has well under a megabyte; more is not a model.
_FILE_MAX_BYTES = 64 * 1024 * 1024

# What may be promoted without a word: all but data in which no segments were found.
PROMOTABLE = frozenset(Verdict) - {Verdict.NONE}


class AliasEntry(BaseModel):
    """One line of aliases.jsonl: from then on the alias names this version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime
    alias: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    action: Literal["promote", "rollback"]
    version: str = Field(pattern=VERSION_PATTERN)
    model_digest: Digest
    previous: str | None
    verdict: Verdict
    accepted_no_structure: bool


@dataclass(frozen=True, slots=True)
class ChurnLimit:
    """How many users may change their segment at a promotion."""

    most: float
    """Greatest share, 0 to 1."""
    measured: Churn | None
    """Measured for this promotion; None: as the store knows it."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A version that has been read and checked."""

    manifest: Manifest
    segmentation: Segmentation
    accepted_no_structure: bool = False
    """Whether some alias was given it although no segments were found in its data."""


class ModelStore:
    """Versions of a model below one directory, and the aliases that name some of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._versions = root / "versions"
        self._aliases = root / "aliases.jsonl"
        self._next_number = root / "next_number"

    # Reading

    def versions(self) -> tuple[Manifest, ...]:
        """The manifests of all versions, oldest first; a damaged one raises VersionDamaged."""
        return tuple(map(self.manifest, self.version_ids()))

    def version_ids(self) -> tuple[str, ...]:
        """The ids of all versions, oldest first, those that are damaged among them."""
        return tuple(path.name for path in sorted(self._versions.glob("[0-9]*Z-*")))

    def manifest(self, version: str) -> Manifest:
        """The manifest of a version; raises VersionNotFound, VersionDamaged or ModelFormatError."""
        folder = self._versions / version
        if not re.match(VERSION_PATTERN, version) or not folder.is_dir():
            known = ", ".join(self.version_ids()[-3:]) or "none yet"
            raise VersionNotFound(
                f"there is no version {version} in {self.root} (newest: {known}): "
                "list them with `segment-trainer list`, or fit one with `segment-trainer fit`"
            )
        content = self._read(folder, "manifest.json")
        try:
            head = _Head.model_validate_json(content)
            if head.format != MANIFEST_FORMAT:
                raise ModelFormatError(
                    f"version {folder.name} has format {head.format}, this release reads {MANIFEST_FORMAT}: "
                    "upgrade this program, or fit the model again with this release"
                )
            manifest = Manifest.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise VersionDamaged(
                f"{folder / 'manifest.json'} is damaged ({'.'.join(map(str, first['loc']))}: {first['msg']}): "
                "restore it from a backup, or promote another version"
            ) from error
        if manifest.id != folder.name:
            raise VersionDamaged(f"{folder} holds the manifest of version {manifest.id}: the folder was renamed")
        return manifest

    def load(self, version: str) -> StoredModel:
        """The model of a version, its digests, format and golden rows checked; nothing is ever unpickled.

        Raises VersionNotFound, VersionDamaged or ModelFormatError.
        """
        manifest = self.manifest(version)
        folder = self._versions / manifest.id
        model = self._read_checked(folder, manifest, "model.json")
        golden = self._read_checked(folder, manifest, "golden.json")
        try:
            segmentation = Segmentation.from_json(model)
            Golden.from_json(golden).check(segmentation)
        except ModelFormatError as error:
            raise ModelFormatError(f"version {manifest.id} in {self.root} cannot be used: {error}") from error
        return StoredModel(manifest, segmentation, manifest.id in self.accepted_without_structure())

    def load_alias(self, alias: str) -> StoredModel:
        """The model that an alias names now; raises AliasNotFound and whatever `load` raises."""
        entry = self.current(alias)
        if entry is None:
            raise AliasNotFound(
                f"no version in {self.root} is named {alias!r}: fit one with `segment-trainer fit DATA.csv` and "
                "name it 'production' with `segment-trainer promote VERSION`"
            )
        stored = self.load(entry.version)
        if stored.segmentation.digest != entry.model_digest:
            raise VersionDamaged(
                f"version {entry.version} in {self.root} is not the model that was promoted "
                f"({stored.segmentation.digest[:12]}, promoted was {entry.model_digest[:12]}): promote it again"
            )
        return stored

    def folder(self, version: str) -> Path:
        """The folder of a version; raises VersionNotFound."""
        return self._versions / self.manifest(version).id

    def checked_folder(self, version: str) -> Path:
        """The folder of a version, each file of which is what was published; raises VersionDamaged when one is not."""
        manifest = self.manifest(version)
        folder = self._versions / manifest.id
        for name in manifest.files:
            self._check_file(folder, manifest, name)
        return folder

    def next_number(self) -> int:
        """The least number that no segment of any version has or had, for the segments that are new in the next one.

        Over all versions, not only those that led to the one in force: after a rollback, users have met numbers that
        are not among its ancestors'. It stands in a file of its own, so that no damaged version keeps anybody from
        fitting; where that is missing, each manifest carries the greatest that was known.
        """
        if self._next_number.is_file():
            content = self._next_number.read_text(encoding="utf-8", errors="replace").strip()
            if not re.fullmatch(r"[0-9]{1,9}", content, re.ASCII):
                raise ModelError(
                    f"{self._next_number} is damaged (it is no number): remove it, the manifests say what it said"
                )
            return int(content)
        return max((manifest.next_number for manifest in self.versions()), default=0)

    def history(self, alias: str) -> tuple[AliasEntry, ...]:
        """Every promotion and rollback of an alias, oldest first; the last is in force."""
        return tuple(entry for entry in self._entries() if entry.alias == alias)

    def accepted_without_structure(self) -> frozenset[str]:
        """The versions that some alias was given although no segments were found in their data."""
        return frozenset(entry.version for entry in self._entries() if entry.accepted_no_structure)

    def current(self, alias: str) -> AliasEntry | None:
        """The entry in force of an alias; None when nothing was promoted yet."""
        history = self.history(alias)
        return history[-1] if history else None

    def known_churn(self, version: str, against: str) -> Churn | None:
        """How many users change their segment when a version replaces another; None where nobody has measured it.

        Known from the fit, when the other was in production then, and where the two differ in names only.
        """
        stored = self.load(version)
        lineage = stored.manifest.lineage
        if lineage is not None and lineage.against == against:
            return lineage
        try:
            other = self.load(against)
        except ModelError:  # a damaged version must not keep anybody from replacing it
            return None
        if _same_but_names(stored.segmentation, other.segmentation):
            return Churn(against=against, churn=0.0, moved=0, compared=stored.manifest.rows)
        return None

    # Writing

    def publish(self, fit: Fit, write_files: Callable[[Path], None]) -> Manifest:
        """Publish a version whose files `write_files` puts into the folder that it is given: whole, or not at all.

        The files must include model.json and golden.json, and are checked as a reader will check them.
        Raises PublishFailed when it cannot be written, ModelFormatError when the files are no model.
        """
        try:
            self._versions.mkdir(parents=True, exist_ok=True)
            with self._locked():
                return self._publish(fit, write_files)
        except OSError as error:
            same = error.errno in {errno.ENOTEMPTY, errno.EEXIST}
            remedy = (
                "the same model was published within this second" if same else "make room, or give another --models"
            )
            raise PublishFailed(
                f"the new version cannot be written below {self.root} ({error.strerror}): "
                f"nothing was published; {remedy}"
            ) from error

    def _publish(self, fit: Fit, write_files: Callable[[Path], None]) -> Manifest:
        # Holding the lock, so whatever lies here unfinished belongs to a process that is gone.
        for leftover in self._versions.glob(".unfinished-*"):
            shutil.rmtree(leftover)
        unfinished = self._versions / f".unfinished-{os.getpid()}"
        unfinished.mkdir()
        try:
            write_files(unfinished)
            segmentation = Segmentation.from_json((unfinished / "model.json").read_bytes())
            Golden.from_json((unfinished / "golden.json").read_bytes()).check(segmentation)
            self._check_numbers(fit, segmentation)
            manifest = Manifest(
                **dict(fit),
                format=MANIFEST_FORMAT,
                id=version_id(fit.created_at, segmentation.digest),
                next_number=max(self.next_number(), *(number + 1 for number in segmentation.names)),
                files={path.name: _digest(path) for path in sorted(unfinished.iterdir())},
            )
            final = self._versions / manifest.id
            (unfinished / "manifest.json").write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
            for path in unfinished.iterdir():
                _sync(path)
            _sync(unfinished)
            # Before the version is there: a kill in between leaves a number that nobody uses, never one used twice.
            self._write_next_number(manifest.next_number)
            # A rename onto a version that exists fails, since no version is empty: the same model in the same second.
            unfinished.rename(final)
            _sync(self._versions)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        return manifest

    def _write_next_number(self, number: int) -> None:
        unfinished = self.root / ".unfinished-next_number"
        unfinished.write_text(f"{number}\n", encoding="utf-8")
        _sync(unfinished)
        unfinished.replace(self._next_number)
        _sync(self.root)

    def _check_numbers(self, fit: Fit, segmentation: Segmentation) -> None:
        """Raise PublishFailed when another fit has given one of the new numbers away while this one was at work."""
        if fit.parent is None:  # nobody had met a number when it was fitted
            return
        new = segmentation.names.keys() - self.load(fit.parent).segmentation.names.keys()
        taken = self.next_number()
        if new and min(new) < taken:
            raise PublishFailed(
                f"another version with a segment {min(new)} was published while this one was fitted, nothing was "
                "published: fit again, so that the number means one segment only"
            )

    def promote(
        self,
        version: str,
        alias: str,
        at: datetime,
        accepting: frozenset[Verdict] = PROMOTABLE,
        limit: ChurnLimit | None = None,
    ) -> AliasEntry:
        """Let the alias name this version from now on; the entry in force is returned when it does so already.

        Raises PromotionRefused when the version's verdict is not among those accepted, when its numbers do not continue
        those that users have met, when more users would change their segment than the limit allows or nobody knows how
        many, and whatever `load` raises.
        """
        stored = self.load(version)
        manifest = stored.manifest
        if manifest.verdict not in accepting:
            raise PromotionRefused(
                f"version {manifest.id} found no segments in its data ({manifest.verdict_reason}): "
                "give --accept-no-structure to promote it all the same"
            )
        self.checked_folder(manifest.id)
        with self._locked():
            before = self.current(alias)
            if before is not None and before.version == manifest.id:
                return before
            if before is not None and not self._continues(stored, before):
                raise PromotionRefused(
                    f"version {manifest.id} was fitted before {before.version} went into production, so its numbers do "
                    "not continue it: fit the history again, and they will"
                )
            if before is not None and limit is not None:
                _check_churn(
                    manifest, before.version, limit.measured or self.known_churn(version, before.version), limit
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
            self._append(entry)
        return entry

    def _continues(self, stored: StoredModel, in_force: AliasEntry) -> bool:
        """Whether the numbers of a version mean what users know them for, where another one is in force.

        They do when both come from one version by parents: each fit continues its parent's numbers. Two fits without a
        parent have both begun at 0. A version of another profile class is another model, with numbers of its own.
        """
        met = set[str]()
        for entry in self.history(in_force.alias):
            met |= self._ancestry(entry.version)
        if met & self._ancestry(stored.manifest.id):
            return True
        try:
            other = self.load(in_force.version)
        except ModelError:  # nobody can tell, and a damaged version must not keep anybody from replacing it
            return True
        return other.manifest.profile != stored.manifest.profile or _same_but_names(
            stored.segmentation, other.segmentation
        )

    def _ancestry(self, version: str) -> set[str]:
        """A version and its parents, back to the first or to one that cannot be read any more."""
        found = set[str]()
        parent: str | None = version
        while parent is not None and parent not in found:
            found.add(parent)
            try:
                parent = self.manifest(parent).parent
            except ModelError:
                break
        return found

    def rollback(self, alias: str, at: datetime) -> AliasEntry:
        """Let the alias name what it named before the promotion in force; a second rollback goes one further back.

        Raises PromotionRefused when there is nothing before, and whatever `load` raises.
        """
        with self._locked():
            stack = _promotions_in_force(self.history(alias))
            if len(stack) < 2:
                raise PromotionRefused(
                    f"{alias!r} in {self.root} has no earlier version to go back to: "
                    "see `segment-trainer history`, and promote a version with `segment-trainer promote VERSION`"
                )
            target = stack[-2]
            stored = self.load(target.version)
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
            self._append(entry)
        return entry

    def prune(self, keep: int) -> tuple[str, ...]:
        """Remove all but the newest `keep` versions, and return the ids of the removed ones.

        What an alias names stays, and so does what a rollback of it would go back to.
        """
        with self._locked():
            named = {
                entry.version
                for alias in {entry.alias for entry in self._entries()}
                for entry in _promotions_in_force(self.history(alias))[-2:]
            }
            versions = self.version_ids()
            doomed = [version for version in versions[: max(len(versions) - keep, 0)] if version not in named]
            for version in doomed:
                # Renamed first: a kill in the middle leaves nothing that looks like a version.
                leaving = self._versions / f".unfinished-{version}"
                (self._versions / version).rename(leaving)
                shutil.rmtree(leaving)
        return tuple(doomed)

    # Files

    def _entries(self) -> tuple[AliasEntry, ...]:
        if not self._aliases.is_file():
            return ()
        # What follows the last line's end was cut off by a crash while it was written: it never came into force.
        lines = self._aliases.read_bytes().split(b"\n")[:-1]
        try:
            return tuple(AliasEntry.model_validate_json(line) for line in lines)
        except ValidationError as error:
            raise ModelError(
                f"{self._aliases} is damaged ({error.error_count()} wrong values in a line): restore it from a backup"
            ) from error

    def _append(self, entry: AliasEntry) -> None:
        with self._aliases.open("ab+") as file:
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)
            file.write(entry.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        _sync(self.root)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self.root.is_dir():
            raise AliasNotFound(f"there is no model store at {self.root}: fit a model first, or give --models DIR")
        with (self.root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read_checked(self, folder: Path, manifest: Manifest, name: str) -> bytes:
        content = self._read(folder, name)
        if manifest.files.get(name) != sha256(content):
            raise self._damaged(folder / name)
        return content

    def _check_file(self, folder: Path, manifest: Manifest, name: str) -> None:
        path = folder / name
        if not path.is_file():
            raise VersionDamaged(f"{path} is missing: restore it from a backup, or use another version")
        if _digest(path) != manifest.files[name]:
            raise self._damaged(path)

    def _damaged(self, path: Path) -> VersionDamaged:
        return VersionDamaged(
            f"{path} is not what was published (its SHA-256 differs from the manifest's): "
            "restore it from a backup, or use another version"
        )

    def _read(self, folder: Path, name: str) -> bytes:
        path = folder / name
        try:
            size = path.stat().st_size
            if size > _FILE_MAX_BYTES:
                raise VersionDamaged(f"{path} has {size} bytes, more than any model: it was not written by the trainer")
            return path.read_bytes()
        except OSError as error:
            raise VersionDamaged(
                f"{path} cannot be read ({error.strerror}): restore it from a backup, or use another version"
            ) from error


class _Head(BaseModel):
    """The part of a manifest that every format has."""

    model_config = ConfigDict(extra="ignore")

    format: int


def _same_but_names(one: Segmentation, other: Segmentation) -> bool:
    """Whether both put every user into the segment of the same number."""
    places = ({segment.number: segment.centroid for segment in model.segments} for model in (one, other))
    return one.encoder == other.encoder and next(places) == next(places)


def _check_churn(manifest: Manifest, in_force: str, churn: Churn | None, limit: ChurnLimit) -> None:
    """Raise PromotionRefused when more users would move than the limit allows, or nobody knows how many."""
    if churn is None or churn.against != in_force:
        earlier = churn or manifest.lineage
        known = "was never measured" if earlier is None else f"was measured against {earlier.against}"
        raise PromotionRefused(
            f"how many users change their segment when {manifest.id} replaces {in_force}, which is in force, is not "
            f"known (it {known}): name a history to measure it on with --data FILE"
        )
    if churn.churn > limit.most:
        raise PromotionRefused(
            f"{churn.moved:,} of {churn.compared:,} users ({churn.churn:.1%}) would change their segment when "
            f"{manifest.id} replaces {in_force}, at most {limit.most:.1%} may: see where they go with "
            f"`segment-trainer compare {in_force} {manifest.id} DATA.csv`, or give a higher --max-churn"
        )


def _promotions_in_force(history: tuple[AliasEntry, ...]) -> list[AliasEntry]:
    """The promotions that have not been rolled back, oldest first."""
    stack: list[AliasEntry] = []
    for entry in history:
        if entry.action == "promote":
            stack.append(entry)
        else:
            stack.pop()
    return stack


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
