"""Reading a store: immutable versions, each in a folder of its own, and the history of promotions."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from models import files
from models.errors import AliasNotFound, HistoryRolledBack, ModelError, VersionDamaged, VersionNotFound
from models.manifest import VERSION_PATTERN, Manifest
from models.next_number import NextNumberFile
from models.promotion_history import AliasEntry, AliasFile, AliasHistory
from models.segmentation import Segmentation
from models.signing import Keyring
from models.version_folder import SIGNATURE_FILE, Signature, VersionFolder

NO_KEYS = Keyring()


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A version that has been read and checked."""

    manifest: Manifest
    segmentation: Segmentation
    accepted_no_structure: bool = False
    """Whether it was promoted under some alias although no segments were found in its data."""
    seen: AliasEntry | None = None
    """The last entry in the history, of any alias, when the model was loaded by its alias."""
    beginning: str | None = None
    """Where that history begins, in words, when its first entries are missing or untrusted; else None."""

    @property
    def sequence(self) -> int | None:
        """The sequence number of that entry; None if it is not signed."""
        return None if self.seen is None else self.seen.sequence


class ModelStore:
    """Versions of a model below one directory, and the aliases that name some of them.

    With trusted keys, anything that they have not signed is refused before it is parsed: each method then raises
    NotSigned or HistoryRolledBack.
    """

    def __init__(self, root: Path, keys: Keyring = NO_KEYS) -> None:
        self.root = root
        self.keys = keys
        self.versions_folder = root / "versions"
        self.aliases = AliasFile(root / "aliases.jsonl", keys.trusted, keys.min_sequence)

    def versions(self) -> tuple[Manifest, ...]:
        """The manifests of all versions, oldest first; a damaged one raises VersionDamaged."""
        return tuple(map(self.manifest, self.version_ids()))

    def version_ids(self) -> tuple[str, ...]:
        """The ids of all versions, including damaged ones, oldest first."""
        found = (path for path in self.versions_folder.glob("[0-9]*Z-*") if re.fullmatch(VERSION_PATTERN, path.name))
        return tuple(sorted(path.name for path in found if _is_folder(path)))

    def manifest(self, version: str) -> Manifest:
        """The manifest of a version; raises VersionNotFound, VersionDamaged or ModelFormatError."""
        return self.version_folder(version).manifest()

    def signature(self, version: str) -> Signature:
        """What is known about the signature of a version whose manifest has been read; raises VersionNotFound."""
        return self.version_folder(version).signature()

    def signatures(self) -> Signature:
        """Verified with trusted keys; without keys, unchecked if any version or promotion is signed, else none."""
        if self.keys.trusted is not None:
            return Signature.VERIFIED
        signed = (self.versions_folder / version / SIGNATURE_FILE for version in self.version_ids())
        return (
            Signature.UNCHECKED if self.aliases.read().signed or any(map(os.path.lexists, signed)) else Signature.NONE
        )

    def load(self, version: str) -> StoredModel:
        """The model of a version, its digests, format and golden rows checked; nothing is ever unpickled.

        Raises VersionNotFound, VersionDamaged or ModelFormatError.
        """
        return self.load_with(version, self.aliases.read())

    def load_alias(self, alias: str) -> StoredModel:
        """The model that an alias names now; raises AliasNotFound, and what `load` raises."""
        return self.load_named(alias, self.aliases.read())

    def history_content(self) -> bytes:
        """The raw bytes of the history of the aliases, for `history_after`; empty if there is no history."""
        return self.aliases.content()

    def history_after(self, seen: AliasEntry | None, content: bytes) -> AliasHistory:
        """The history in this content; `seen` is the last entry when the history was read before.

        Raises HistoryRolledBack when the content does not continue that history.
        """
        history = self.aliases.read(content)
        if seen is not None and history.last is None:
            raise HistoryRolledBack(f"{self.aliases.path} is empty or missing, and had entries before: restore it")
        if seen is not None and not history.continues(seen):
            raise HistoryRolledBack(
                f"{self.aliases.path} no longer has the entry with sequence {seen.sequence} that was read before: an "
                "older or another history was restored, or a copy is still incomplete; restore the history that has "
                "this entry, and promote nothing until then"
            )
        return history

    def load_named(self, alias: str, history: AliasHistory) -> StoredModel:
        """The model that an alias names by this history; raises AliasNotFound, and what `load` raises."""
        entry = history.current(alias)
        if entry is None:
            raise AliasNotFound(
                f"no version in {self.root} is named {alias!r}: fit one with `segment-trainer fit DATA.csv` and "
                "promote it with `segment-trainer promote VERSION`"
            )
        try:
            stored = self.load_with(entry.version, history)
        except VersionNotFound as error:
            raise VersionNotFound(
                f"version {entry.version}, which is named {alias!r}, is not in {self.root}: restore its folder, or "
                "promote another version"
            ) from error
        if stored.segmentation.digest != entry.model_digest:
            raise VersionDamaged(
                f"version {entry.version} in {self.root} is not the model that was promoted "
                f"(digest {stored.segmentation.digest[:12]}, promoted {entry.model_digest[:12]}): promote it again"
            )
        return replace(stored, seen=history.last, beginning=history.beginning)

    def folder(self, version: str) -> Path:
        """The folder of a version; raises VersionNotFound."""
        found = self.version_folder(version)
        found.manifest()
        return found.path

    def file(self, version: str, name: str) -> bytes:
        """The bytes of a file of a version; raises VersionDamaged unless they are as published."""
        found = self.version_folder(version)
        return found.content(found.manifest(), name)

    def copy_file(self, version: str, name: str, to: Path) -> None:
        """Copy a file of a version into a new one; raises VersionDamaged unless it is as published."""
        found = self.version_folder(version)
        found.copy(found.manifest(), name, to)

    def check_files(self, version: str) -> None:
        """Raise VersionDamaged unless each file of a version is as published."""
        found = self.version_folder(version)
        found.check_files(found.manifest())

    def next_number(self, profile: str) -> int:
        """The least number that no segment of this profile class has or had, for new segments of its next version.

        All versions of the class count, not only the ancestors of the current one: after a rollback, users have seen
        numbers that those ancestors do not have. The number has its own file, so that a damaged version never prevents
        a fit; each manifest repeats it, in case the file is missing or too low.
        """
        known = self.next_number_file(profile).read()
        if known is None:
            return max((each.next_number for each in self.versions() if each.profile.name == profile), default=0)
        for version in self.version_ids():
            with suppress(ModelError):
                manifest = self.manifest(version)
                if manifest.profile.name == profile:
                    known = max(known, manifest.next_number)
        return known

    def history(self, alias: str) -> tuple[AliasEntry, ...]:
        """Every promotion and rollback of an alias, oldest first; the last names the current version."""
        return self.aliases.read().of(alias)

    def beginning(self) -> str | None:
        """Where the history of the aliases begins, in words; None if it is complete, or not signed."""
        return self.aliases.read().beginning

    def accepted_without_structure(self) -> frozenset[str]:
        """The versions that were promoted although no segments were found in their data."""
        return self.aliases.read().accepted_without_structure()

    def current(self, alias: str) -> AliasEntry | None:
        """The entry that names the current version of an alias; None if nothing was promoted yet."""
        return self.aliases.read().current(alias)

    def next_number_file(self, profile: str) -> NextNumberFile:
        """The file with the next segment number of a profile class."""
        return NextNumberFile(self.root / f"next_number.{profile}")

    def load_with(self, version: str, history: AliasHistory) -> StoredModel:
        """The model of a version, with a history that was read before; raises what `load` raises."""
        found = self.version_folder(version)
        manifest = found.manifest()
        segmentation = found.model(manifest)
        return StoredModel(manifest, segmentation, manifest.id in history.accepted_without_structure())

    def version_folder(self, version: str) -> VersionFolder:
        """The folder of a version and the keys that it is read with; raises VersionNotFound."""
        folder = self.versions_folder / version
        if not re.fullmatch(VERSION_PATTERN, version) or not _is_folder(folder):
            known = ", ".join(self.version_ids()[-3:]) or "none yet"
            raise VersionNotFound(
                f"there is no version {version} in {self.root} (newest: {known}): "
                "list them with `segment-trainer list`, or fit one with `segment-trainer fit`"
            )
        return VersionFolder(folder, self.keys)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock that every writer needs; raises AliasNotFound if there is no store."""
        if not self.root.is_dir():
            raise AliasNotFound(f"there is no model store at {self.root}: fit a model first, or give --models DIR")
        with files.opened_to_write(self.root / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
