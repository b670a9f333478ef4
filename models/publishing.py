"""Publishes versions in a store, each completely or not at all, and signs published ones."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from models import files
from models.errors import PublishFailed
from models.golden import Golden
from models.limits import TABLE_MAX_BYTES
from models.manifest import MANIFEST_FORMAT, Fit, Manifest, version_id
from models.segmentation import Segmentation
from models.store import ModelStore
from models.version_folder import MANIFEST_FILE, SIGNATURE_FILE, write_signature


def publish(store: ModelStore, fit: Fit, write_files: Callable[[Path], None]) -> Manifest:
    """Publish a version, completely or not at all; `write_files` writes its files into the folder that it is given.

    The files must include model.json and golden.json, and are checked as a reader will check them.
    Raises PublishFailed if it cannot be written, ModelFormatError if the files are not a valid model, KeyUnusable if
    it must be signed and there is no key.
    """
    store.keys.require_signing()
    try:
        store.versions_folder.mkdir(parents=True, exist_ok=True)
        with store.locked():
            return _publish(store, fit, write_files)
    except OSError as error:
        same = error.errno in {errno.ENOTEMPTY, errno.EEXIST}
        remedy = "the same model was published within this second" if same else "make room, or give another --models"
        raise PublishFailed(
            f"the new version cannot be written below {store.root} ({error.strerror}): nothing was published; {remedy}"
        ) from error


def check_writable(store: ModelStore) -> None:
    """Raise PublishFailed if no version can be written into the store, which need not exist yet."""
    nearest = store.versions_folder.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise PublishFailed(f"{nearest} is not a directory: give another --models")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PublishFailed(f"{nearest} is not writable, so no version can be written there: give another --models")


def sign(store: ModelStore, version: str) -> None:
    """Sign a version as it is, whether or not it was signed before: the signer vouches for it.

    Raises KeyUnusable without a signing key, and what `load` raises except NotSigned.
    """
    with store.locked():
        store.version_folder(version).sign()


def _publish(store: ModelStore, fit: Fit, write_files: Callable[[Path], None]) -> Manifest:
    # The lock is held, so unfinished folders belong to processes that have ended.
    for leftover in store.versions_folder.glob(".unfinished-*"):
        shutil.rmtree(leftover)
    unfinished = store.versions_folder / f".unfinished-{os.getpid()}"
    unfinished.mkdir()
    try:
        write_files(unfinished)
        segmentation = Segmentation.from_json((unfinished / "model.json").read_bytes())
        Golden.from_json((unfinished / "golden.json").read_bytes()).check(segmentation)
        _check_numbers(store, fit, segmentation)
        manifest = Manifest(
            **dict(fit),
            format=MANIFEST_FORMAT,
            id=version_id(fit.created_at, segmentation.digest),
            next_number=max(store.next_number(fit.profile.name), *(number + 1 for number in segmentation.names)),
            files={path.name: files.digest(path, TABLE_MAX_BYTES) for path in sorted(unfinished.iterdir())},
        )
        final = store.versions_folder / manifest.id
        content = (manifest.model_dump_json(indent=1) + "\n").encode()
        (unfinished / MANIFEST_FILE).write_bytes(content)
        if store.keys.signing is not None:
            write_signature(unfinished / SIGNATURE_FILE, content, store.keys.signing)
        for path in unfinished.iterdir():
            files.sync(path)
        files.sync(unfinished)
        # Before the version appears: a kill in between leaves a number unused, never one used twice.
        store.next_number_file(fit.profile.name).write(manifest.next_number)
        # Fails if the version exists (the same model in the same second), since no version folder is empty.
        unfinished.rename(final)
        files.sync(store.versions_folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return manifest


def _check_numbers(store: ModelStore, fit: Fit, segmentation: Segmentation) -> None:
    """Raise PublishFailed if another fit has taken one of the new numbers in the meantime."""
    if fit.parent is None:  # no version was in production, so users have seen no numbers
        return
    parent = store.load(fit.parent)
    known = parent.segmentation.names.keys() if parent.manifest.profile.name == fit.profile.name else frozenset()
    new = segmentation.names.keys() - known
    taken = store.next_number(fit.profile.name)
    if new and min(new) < taken:
        raise PublishFailed(
            f"another version with a segment {min(new)} was published while this one was fitted, so nothing "
            "was published: fit again, so that each number means one segment"
        )
