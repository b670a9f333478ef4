"""A file that is there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainer.errors import OutputError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file beside the path that takes its place once it is written; of an attempt that fails nothing is left.

    A link is followed. Raises OutputError when it cannot be written, and for anything but a file: a device or a pipe
    must not be replaced by one.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise OutputError(f"{path} cannot be written, it is no file: name one, or a path at which nothing is yet")
    unfinished = target.with_name(f".{target.name}.unfinished-{os.getpid()}")
    try:
        try:
            yield unfinished
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}): make room, or name another file"
        ) from error
