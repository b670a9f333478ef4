"""The folder of one version: the manifest, its signature, and the files whose digests the manifest holds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from hashlib import file_digest
from io import BufferedReader
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from models import files
from models.errors import KeyUnusable, ModelFormatError, NotSigned, VersionDamaged, require_format
from models.golden import Golden
from models.limits import FILE_MAX_BYTES, MANIFEST_MAX_BYTES, SIGNATURE_MAX_BYTES, TABLE_MAX_BYTES
from models.manifest import MANIFEST_FORMAT, Manifest, sha256
from models.segmentation import Segmentation
from models.signing import Keyring, Purpose, SigningKey

MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.sig"


class Signature(StrEnum):
    """What is known about the signature of a version, or about all signatures of a store."""

    VERIFIED = "verified"
    UNCHECKED = "unchecked"
    """There is a signature, but no key to check it with."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class VersionFolder:
    """A folder, and the keys that its contents are checked with."""

    path: Path
    keys: Keyring

    def manifest(self) -> Manifest:
        """The manifest; with trusted keys, a manifest that none of them signed is never parsed.

        Raises NotSigned, VersionDamaged or ModelFormatError.
        """
        content = self._read(MANIFEST_FILE, MANIFEST_MAX_BYTES)
        if self.keys.trusted is not None and not self.keys.trusted.signed(
            Purpose.MANIFEST, content, self._signature() or b""
        ):
            raise NotSigned(
                f"version {self.path.name} is not signed by a key of MODEL_PUBLIC_KEY, or its manifest was altered "
                f"since: restore {self.path} from a backup, fit again with MODEL_SIGNING_KEY, or vouch for it with "
                f"`segment-trainer promote {self.path.name} --accept-unsigned`"
            )
        return self._parsed(content)

    def signature(self) -> Signature:
        """What is known about the signature, once `manifest` has returned."""
        if self.keys.trusted is not None:
            return Signature.VERIFIED
        return Signature.NONE if self._signature() is None else Signature.UNCHECKED

    def sign(self) -> None:
        """Sign the version as it is, after every other check; the signer vouches for it.

        Raises KeyUnusable without a key to sign with, and whatever `manifest`, `model` and `check_files` raise.
        """
        key = self.keys.signing
        if key is None:
            raise KeyUnusable("signing a version needs MODEL_SIGNING_KEY: set it to the private key's path")
        content = self._read(MANIFEST_FILE, MANIFEST_MAX_BYTES)
        manifest = self._parsed(content)
        self.check_files(manifest)
        self.model(manifest)
        unfinished = self.path / f".unfinished-{SIGNATURE_FILE}"
        unfinished.unlink(missing_ok=True)
        write_signature(unfinished, content, key)
        unfinished.replace(self.path / SIGNATURE_FILE)
        files.sync(self.path)

    def model(self, manifest: Manifest) -> Segmentation:
        """The model, its digest, format and golden rows checked; raises VersionDamaged or ModelFormatError."""
        model = self.content(manifest, "model.json")
        golden = self.content(manifest, "golden.json")
        try:
            segmentation = Segmentation.from_json(model)
            Golden.from_json(golden).check(segmentation)
        except ModelFormatError as error:
            raise ModelFormatError(
                f"version {manifest.id} in {self.path.parent.parent} cannot be used: {error}"
            ) from error
        return segmentation

    def content(self, manifest: Manifest, name: str) -> bytes:
        """The bytes of a file, as they were published; raises VersionDamaged."""
        content = self._read(name, FILE_MAX_BYTES)
        if manifest.files.get(name) != sha256(content):
            raise self._damaged(name)
        return content

    def copy(self, manifest: Manifest, name: str, to: Path) -> None:
        """Copy a file of any size, and raise VersionDamaged unless the copy is what was published."""
        with self._opened(name) as source, to.open("xb") as copy:
            shutil.copyfileobj(source, copy)
        # The copy, since the original may change in between.
        if files.digest(to, TABLE_MAX_BYTES) != manifest.files.get(name):
            raise self._damaged(name)

    def check_files(self, manifest: Manifest) -> None:
        """Raise VersionDamaged unless each file is what was published."""
        for name, published in manifest.files.items():
            with self._opened(name) as file:
                if file_digest(file, "sha256").hexdigest() != published:
                    raise self._damaged(name)

    @contextmanager
    def _opened(self, name: str) -> Iterator[BufferedReader]:
        with ExitStack() as stack:
            try:
                file = stack.enter_context(files.opened(self.path / name, TABLE_MAX_BYTES))
            except OSError as error:
                raise self._unreadable(name, error) from error
            yield file

    def _parsed(self, content: bytes) -> Manifest:
        try:
            head = _Head.model_validate_json(content)
            require_format(f"the manifest of version {self.path.name}", head.format, MANIFEST_FORMAT)
            manifest = Manifest.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            # A name in it may be anything: line breaks and control characters are shown escaped.
            field = repr(".".join(map(str, first["loc"])))[1:-1]
            raise VersionDamaged(
                f"{self.path / MANIFEST_FILE} is damaged ({field:.100}: {first['msg']:.200}): "
                "restore it from a backup, or promote another version"
            ) from error
        if manifest.id != self.path.name:
            raise VersionDamaged(f"{self.path} holds the manifest of version {manifest.id}: the folder was renamed")
        return manifest

    def _signature(self) -> bytes | None:
        try:
            return files.read(self.path / SIGNATURE_FILE, SIGNATURE_MAX_BYTES).strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(SIGNATURE_FILE, error) from error

    def _read(self, name: str, max_bytes: int) -> bytes:
        try:
            return files.read(self.path / name, max_bytes)
        except OSError as error:
            raise self._unreadable(name, error) from error

    def _unreadable(self, name: str, error: OSError) -> VersionDamaged:
        return VersionDamaged(
            f"{self.path / name} cannot be read ({error.strerror}): restore it from a backup, or use another version"
        )

    def _damaged(self, name: str) -> VersionDamaged:
        return VersionDamaged(
            f"{self.path / name} is not what was published (its SHA-256 differs from the manifest's): "
            "restore it from a backup, or use another version"
        )


class _Head(BaseModel):
    """The part of a manifest that every format has."""

    model_config = ConfigDict(extra="ignore")

    format: int


def write_signature(path: Path, manifest: bytes, key: SigningKey) -> None:
    """Write the signature of a manifest's bytes into a new file, durably."""
    path.write_bytes(key.sign(Purpose.MANIFEST, manifest) + b"\n")
    files.sync(path)
