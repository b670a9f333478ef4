"""Writing versions into a store: a new one appears whole or not at all, and one that is there can be signed."""

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
    """Publish a version whose files `write_files` puts into the folder that it is given: whole, or not at all.

    The files must include model.json and golden.json, and are checked as a reader will check them.
    Raises PublishFailed when it cannot be written, ModelFormatError when the files are no model, KeyUnusable when
    it must be signed and no key is there.
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


def sign(store: ModelStore, version: str) -> None:
    """Sign a version that no trusted key has signed, as it lies there: whoever does so vouches for it.

    Raises KeyUnusable without a key to sign with, and whatever `load` raises but NotSigned.
    """
    with store.locked():
        store.version_folder(version).sign()


def _publish(store: ModelStore, fit: Fit, write_files: Callable[[Path], None]) -> Manifest:
    # Holding the lock, so whatever lies here unfinished belongs to a process that is gone.
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
        # Before the version is there: a kill in between leaves a number that nobody uses, never one used twice.
        store.next_number_file(fit.profile.name).write(manifest.next_number)
        # A rename onto a version that exists fails, since no version is empty: the same model in the same second.
        unfinished.rename(final)
        files.sync(store.versions_folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return manifest


def _check_numbers(store: ModelStore, fit: Fit, segmentation: Segmentation) -> None:
    """Raise PublishFailed when another fit has given one of the new numbers away while this one was at work."""
    if fit.parent is None:  # nobody had met a number when it was fitted
        return
    parent = store.load(fit.parent)
    known = parent.segmentation.names.keys() if parent.manifest.profile.name == fit.profile.name else frozenset()
    new = segmentation.names.keys() - known
    taken = store.next_number(fit.profile.name)
    if new and min(new) < taken:
        raise PublishFailed(
            f"another version with a segment {min(new)} was published while this one was fitted, nothing was "
            "published: fit again, so that the number means one segment only"
        )
