"""Unnamed temporary files: they are gone when the command ends, however it ends."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from trainer.errors import ScratchError

LARGE_FILES = Path("/var/tmp")  # noqa: S108  # no file there gets a name


def scratch_folder() -> Path:
    """The directory of temporary files: $TMPDIR, else /var/tmp, else Python's default.

    As SQLite chooses: /tmp is often in memory, and these files exist to save memory.
    """
    if "TMPDIR" not in os.environ and os.access(LARGE_FILES, os.W_OK | os.X_OK):
        return LARGE_FILES
    return Path(tempfile.gettempdir())


def scratch_file() -> BinaryIO:
    """A new unnamed file, open for writing and reading, that disappears when it is closed.

    Raises ScratchError when it cannot be created.
    """
    with room_needed():
        return cast(BinaryIO, tempfile.TemporaryFile(dir=scratch_folder()))


def close(file: IO[Any]) -> None:
    """Close a temporary file, full disk or not."""
    with suppress(OSError):  # on a full disk, the last bytes cannot be written either
        file.close()


@contextmanager
def room_needed() -> Iterator[None]:
    """A context in which temporary files are written; raises ScratchError when one cannot be."""
    try:
        yield
    except OSError as error:
        raise ScratchError(
            f"the temporary copy of the history cannot be written in {scratch_folder()} ({error.strerror or error}): "
            "free space there, or set TMPDIR to a directory with more free space than the size of the history"
        ) from error
