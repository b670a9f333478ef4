"""The store: immutable versions in folders of their own, and the history of which of them was in force when."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from models import files
from models.errors import (
    AliasNotFound,
    ModelError,
    PlayedBack,
    PromotionRefused,
    PublishFailed,
    VersionDamaged,
    VersionNotFound,
)
from models.golden import Golden
from models.limits import TABLE_MAX_BYTES
from models.manifest import (
    MANIFEST_FORMAT,
    VERSION_PATTERN,
    Fit,
    Manifest,
    Reassigned,
    Verdict,
    version_id,
)
from models.next_number import NextNumberFile
from models.promotion_history import AliasEntry, AliasFile, AliasHistory
from models.reassigned import ReassignedLimit, check_reassigned, same_but_names
from models.segmentation import Segmentation
from models.signing import Keyring
from models.version_folder import (
    MANIFEST_FILE,
    SIGNATURE_FILE,
    Signature,
    VersionFolder,
    write_signature,
)

# What may be promoted without a word: all but data in which no segments were found.
PROMOTABLE = frozenset(Verdict) - {Verdict.NONE}

NO_KEYS = Keyring()


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A version that has been read and checked."""

    manifest: Manifest
    segmentation: Segmentation
    accepted_no_structure: bool = False
    """Whether some alias was given it although no segments were found in its data."""
    seen: AliasEntry | None = None
    """The last entry in the history of the aliases, whichever it was of, where an alias led here."""
    beginning: str | None = None
    """Where that history begins, when that is not where the first promotion was; for people."""

    @property
    def sequence(self) -> int | None:
        """The number of that entry; None where it is not signed."""
        return None if self.seen is None else self.seen.sequence


class ModelStore:
    """Versions of a model below one directory, and the aliases that name some of them.

    With trusted keys, whatever they have not signed is refused before it is parsed: each method raises NotSigned or
    PlayedBack then. With a key to sign with, what it writes is signed.
    """

    def __init__(self, root: Path, keys: Keyring = NO_KEYS) -> None:
        self.root = root
        self.keys = keys
        self._versions = root / "versions"
        self._aliases = AliasFile(root / "aliases.jsonl", keys.trusted, keys.least_sequence)

    # Reading

    def versions(self) -> tuple[Manifest, ...]:
        """The manifests of all versions, oldest first; a damaged one raises VersionDamaged."""
        return tuple(map(self.manifest, self.version_ids()))

    def version_ids(self) -> tuple[str, ...]:
        """The ids of all versions, oldest first, those that are damaged among them."""
        found = (path for path in self._versions.glob("[0-9]*Z-*") if re.fullmatch(VERSION_PATTERN, path.name))
        return tuple(sorted(path.name for path in found if _is_folder(path)))

    def manifest(self, version: str) -> Manifest:
        """The manifest of a version; raises VersionNotFound, VersionDamaged or ModelFormatError."""
        return self._version(version).manifest()

    def signature(self, version: str) -> Signature:
        """What is known of the signature of a version whose manifest has been read; raises VersionNotFound."""
        return self._version(version).signature()

    def signatures(self) -> Signature:
        """Verified with trusted keys; without, unchecked where any version or promotion has a signature, else none."""
        if self.keys.trusted is not None:
            return Signature.VERIFIED
        signed = (self._versions / version / SIGNATURE_FILE for version in self.version_ids())
        return (
            Signature.UNCHECKED if self._aliases.read().signed or any(map(os.path.lexists, signed)) else Signature.NONE
        )

    def load(self, version: str) -> StoredModel:
        """The model of a version, its digests, format and golden rows checked; nothing is ever unpickled.

        Raises VersionNotFound, VersionDamaged or ModelFormatError.
        """
        return self._load(version, self._aliases.read())

    def load_alias(self, alias: str) -> StoredModel:
        """The model that an alias names now; raises AliasNotFound and whatever `load` raises."""
        return self.load_named(alias, self._aliases.read())

    def history_content(self) -> bytes:
        """The history of the aliases as it lies there, unread, for `history_after`; none where there is none."""
        return self._aliases.content()

    def history_after(self, seen: AliasEntry | None, content: bytes) -> AliasHistory:
        """What this content says, where the history ended with `seen` when it was read before.

        Raises PlayedBack when it is not the same one any more, but an older state or another one.
        """
        history = self._aliases.read(content)
        if seen is not None and history.last is None:
            raise PlayedBack(f"{self._aliases.path} is empty or away, and had entries before: restore it")
        if seen is not None and not history.continues(seen):
            raise PlayedBack(
                f"{self._aliases.path} is not what it was: it has no longer the entry with sequence {seen.sequence} "
                "that was read there before; an older state was put back, another history, or a copy that is not whole "
                "yet: restore the one that has it, and promote nothing before"
            )
        return history

    def load_named(self, alias: str, history: AliasHistory) -> StoredModel:
        """The model that an alias names by this history; raises AliasNotFound and whatever `load` raises."""
        entry = history.current(alias)
        if entry is None:
            raise AliasNotFound(
                f"no version in {self.root} is named {alias!r}: fit one with `segment-trainer fit DATA.csv` and "
                "name it 'production' with `segment-trainer promote VERSION`"
            )
        try:
            stored = self._load(entry.version, history)
        except VersionNotFound as error:
            raise VersionNotFound(
                f"version {entry.version}, which is named {alias!r}, is not in {self.root}: restore its folder, or "
                "promote another version"
            ) from error
        if stored.segmentation.digest != entry.model_digest:
            raise VersionDamaged(
                f"version {entry.version} in {self.root} is not the model that was promoted "
                f"({stored.segmentation.digest[:12]}, promoted was {entry.model_digest[:12]}): promote it again"
            )
        return replace(stored, seen=history.last, beginning=history.beginning)

    def folder(self, version: str) -> Path:
        """The folder of a version; raises VersionNotFound."""
        found = self._version(version)
        found.manifest()
        return found.path

    def file(self, version: str, name: str) -> bytes:
        """The bytes of a file of a version, as they were published; raises VersionDamaged when they are not."""
        found = self._version(version)
        return found.content(found.manifest(), name)

    def copy_file(self, version: str, name: str, to: Path) -> None:
        """Copy a file of a version into a new one, as it was published; raises VersionDamaged when it is not."""
        found = self._version(version)
        found.copy(found.manifest(), name, to)

    def check_files(self, version: str) -> None:
        """Raise VersionDamaged unless each file of a version is what was published."""
        found = self._version(version)
        found.check_files(found.manifest())

    def next_number(self, profile: str) -> int:
        """The least number that no segment of this profile class has or had, for new segments of its next version.

        Over all versions of the class, not only the ancestors of the current one: after a rollback, users have met
        numbers that those lack. It has its own file, so that a damaged version never prevents a fit; each manifest
        carries the greatest number known, in case the file is missing or too low.
        """
        known = self._next_number(profile).read()
        if known is None:
            return max((each.next_number for each in self.versions() if each.profile.name == profile), default=0)
        for version in self.version_ids():
            with suppress(ModelError):
                manifest = self.manifest(version)
                if manifest.profile.name == profile:
                    known = max(known, manifest.next_number)
        return known

    def history(self, alias: str) -> tuple[AliasEntry, ...]:
        """Every promotion and rollback of an alias, oldest first; the last is in force."""
        return self._aliases.read().of(alias)

    def beginning(self) -> str | None:
        """Where the history of the aliases begins, in words; None where it is whole, or nothing in it is signed."""
        return self._aliases.read().beginning

    def accepted_without_structure(self) -> frozenset[str]:
        """The versions that some alias was given although no segments were found in their data."""
        return self._aliases.read().accepted_without_structure()

    def current(self, alias: str) -> AliasEntry | None:
        """The entry in force of an alias; None when nothing was promoted yet."""
        return self._aliases.read().current(alias)

    def to_replace(self, alias: str) -> AliasEntry | None:
        """The entry that a promotion would replace: the one in force, or None where nothing that is there is signed."""
        return self._aliases.to_continue().current(alias)

    def _next_number(self, profile: str) -> NextNumberFile:
        return NextNumberFile(self.root / f"next_number.{profile}")

    def _load(self, version: str, history: AliasHistory) -> StoredModel:
        found = self._version(version)
        manifest = found.manifest()
        segmentation = found.model(manifest)
        return StoredModel(manifest, segmentation, manifest.id in history.accepted_without_structure())

    def _version(self, version: str) -> VersionFolder:
        folder = self._versions / version
        if not re.fullmatch(VERSION_PATTERN, version) or not _is_folder(folder):
            known = ", ".join(self.version_ids()[-3:]) or "none yet"
            raise VersionNotFound(
                f"there is no version {version} in {self.root} (newest: {known}): "
                "list them with `segment-trainer list`, or fit one with `segment-trainer fit`"
            )
        return VersionFolder(folder, self.keys)

    def known_reassigned(self, version: str, against: str) -> Reassigned | None:
        """How many users change their segment when a version replaces another; None where nobody has measured it.

        Known from the fit, when the other was in production then, and where the two differ in names only.
        """
        stored = self.load(version)
        measured = stored.manifest.reassigned
        if measured is not None and measured.against == against:
            return measured
        try:
            other = self.load(against)
        except ModelError:  # a damaged version must not keep anybody from replacing it
            return None
        if same_but_names(stored.segmentation, other.segmentation):
            return Reassigned(against=against, share=0.0, users=0, compared=stored.manifest.rows)
        return None

    # Writing

    def publish(self, fit: Fit, write_files: Callable[[Path], None]) -> Manifest:
        """Publish a version whose files `write_files` puts into the folder that it is given: whole, or not at all.

        The files must include model.json and golden.json, and are checked as a reader will check them.
        Raises PublishFailed when it cannot be written, ModelFormatError when the files are no model, KeyUnusable when
        it must be signed and no key is there.
        """
        self.keys.require_signing()
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
                next_number=max(self.next_number(fit.profile.name), *(number + 1 for number in segmentation.names)),
                files={path.name: files.digest(path, TABLE_MAX_BYTES) for path in sorted(unfinished.iterdir())},
            )
            final = self._versions / manifest.id
            content = (manifest.model_dump_json(indent=1) + "\n").encode()
            (unfinished / MANIFEST_FILE).write_bytes(content)
            if self.keys.signing is not None:
                write_signature(unfinished / SIGNATURE_FILE, content, self.keys.signing)
            for path in unfinished.iterdir():
                files.sync(path)
            files.sync(unfinished)
            # Before the version is there: a kill in between leaves a number that nobody uses, never one used twice.
            self._next_number(fit.profile.name).write(manifest.next_number)
            # A rename onto a version that exists fails, since no version is empty: the same model in the same second.
            unfinished.rename(final)
            files.sync(self._versions)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        return manifest

    def _check_numbers(self, fit: Fit, segmentation: Segmentation) -> None:
        """Raise PublishFailed when another fit has given one of the new numbers away while this one was at work."""
        if fit.parent is None:  # nobody had met a number when it was fitted
            return
        parent = self.load(fit.parent)
        known = parent.segmentation.names.keys() if parent.manifest.profile.name == fit.profile.name else frozenset()
        new = segmentation.names.keys() - known
        taken = self.next_number(fit.profile.name)
        if new and min(new) < taken:
            raise PublishFailed(
                f"another version with a segment {min(new)} was published while this one was fitted, nothing was "
                "published: fit again, so that the number means one segment only"
            )

    def sign(self, version: str) -> None:
        """Sign a version that no trusted key has signed, as it lies there: whoever does so vouches for it.

        Raises KeyUnusable without a key to sign with, and whatever `load` raises but NotSigned.
        """
        with self._locked():
            self._version(version).sign()

    def promote(
        self,
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
        self.keys.require_signing()
        stored = self._load(version, self._aliases.to_continue())
        manifest = stored.manifest
        if manifest.verdict not in accepting:
            raise PromotionRefused(
                f"version {manifest.id} found no segments in its data ({manifest.verdict_reason}): "
                "give --accept-no-structure to promote it all the same"
            )
        self.check_files(manifest.id)
        with self._locked():
            history = self._aliases.to_continue()
            before = history.current(alias)
            if before is not None and before.version == manifest.id:
                return before
            if before is not None and not self._continues(stored, history.of(alias)):
                raise PromotionRefused(
                    f"version {manifest.id} was fitted before {before.version} went into production, so its numbers do "
                    "not continue it: fit the history again, and they will"
                )
            if before is not None and limit is not None:
                check_reassigned(
                    manifest, before.version, limit.measured or self.known_reassigned(version, before.version), limit
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
            return self._aliases.append(entry, self.keys.signing)

    def _continues(self, stored: StoredModel, promoted: tuple[AliasEntry, ...]) -> bool:
        """Whether the numbers of a version mean what users know them for, where others were promoted.

        They do when both come from one version by parents: each fit continues its parent's numbers. Two fits without a
        parent have both begun at 0. A version of another profile class is another model, with numbers of its own.
        """
        if self._ancestry(entry.version for entry in promoted) & self._ancestry([stored.manifest.id]):
            return True
        try:
            other = self.load(promoted[-1].version)
        except ModelError:  # nobody can tell, and a damaged version must not keep anybody from replacing it
            return True
        return other.manifest.profile != stored.manifest.profile or same_but_names(
            stored.segmentation, other.segmentation
        )

    def _ancestry(self, versions: Iterable[str]) -> set[str]:
        """Versions and their parents, back to the first or to one that cannot be read any more; each is read once."""
        found = set[str]()
        for version in versions:
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
        self.keys.require_signing()
        with self._locked():
            stack = self._aliases.read().promotions_in_force(alias)
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
            return self._aliases.append(entry, self.keys.signing)

    def prune(self, keep: int) -> tuple[str, ...]:
        """Remove all but the newest `keep` versions, and return the ids of the removed ones.

        What an alias names stays, and so does what a rollback of it would go back to.
        """
        with self._locked():
            history = self._aliases.read()
            named = {entry.version for alias in history.aliases() for entry in history.promotions_in_force(alias)[-2:]}
            versions = self.version_ids()
            doomed = [version for version in versions[: max(len(versions) - keep, 0)] if version not in named]
            for version in doomed:
                # Renamed first: a kill in the middle leaves nothing that looks like a version.
                leaving = self._versions / f".unfinished-{version}"
                (self._versions / version).rename(leaving)
                shutil.rmtree(leaving)
        return tuple(doomed)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self.root.is_dir():
            raise AliasNotFound(f"there is no model store at {self.root}: fit a model first, or give --models DIR")
        with files.opened_to_write(self.root / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
