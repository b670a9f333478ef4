"""Files without a name: what a command keeps on disk while it runs, and of which nothing is left however it ends."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from trainer.errors import ScratchError

LARGE_FILES = Path("/var/tmp")  # noqa: S108  # no name is ever taken in it


def scratch_folder() -> Path:
    """Where temporary files lie: in $TMPDIR, else in /var/tmp, else where Python puts them.

    The same choice as SQLite's: /tmp is often kept in memory, which is what these files are to spare.
    """
    if "TMPDIR" not in os.environ and os.access(LARGE_FILES, os.W_OK | os.X_OK):
        return LARGE_FILES
    return Path(tempfile.gettempdir())


def scratch_file() -> BinaryIO:
    """A new file, open for writing and reading, that no folder lists and that is gone once it is closed.

    Raises ScratchError when there is no room for one.
    """
    with room_needed():
        return cast(BinaryIO, tempfile.TemporaryFile(dir=scratch_folder()))


def close(file: IO[Any]) -> None:
    """Close a temporary file, full disk or not."""
    with suppress(OSError):  # where there was no room, there is none for the last bytes now either
        file.close()


@contextmanager
def room_needed() -> Iterator[None]:
    """A context in which temporary files are written; raises ScratchError when one cannot be."""
    try:
        yield
    except OSError as error:
        raise ScratchError(
            f"the checked copy of the history cannot be kept in {scratch_folder()} ({error.strerror or error}): "
            "make room there, or set TMPDIR to a folder on a disk that has more than the history is long"
        ) from error
