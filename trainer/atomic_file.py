"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainer.errors import OutputError


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary file beside the path that replaces it at the end; after an error it is removed.

    Links are followed. Raises OutputError when the file cannot be written, and when the path is a device, a pipe or a
    directory, which must not be replaced.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise OutputError(
            f"{path} is not a regular file, so it cannot be replaced: name a file, or a path that does not exist yet"
        )
    unfinished = target.with_name(f".{target.name}.unfinished-{os.getpid()}")
    try:
        try:
            yield unfinished
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}): check its directory and the free space "
            "there, or name another file"
        ) from error


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary file beside the path that gets its name at the end; after an error it is removed.

    Nothing is replaced: raises FileExistsError where something has the name, even if it came meanwhile.
    """
    if path.exists():
        raise FileExistsError(path)
    unfinished = path.with_name(f".{path.name}.unfinished-{os.getpid()}")
    try:
        yield unfinished
        try:
            path.hardlink_to(unfinished)
        except FileExistsError:
            raise
        except OSError:  # the file system has no hard links
            if path.exists():
                raise FileExistsError(path) from None
            unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
