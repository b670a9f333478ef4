"""Reads files that others may have written: regular files only, no links, up to a size, and never blocks."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from io import BufferedRandom, BufferedReader
from pathlib import Path

# A pipe or a device in place of a file must not block.
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def opened(path: Path, max_bytes: int) -> Iterator[BufferedReader]:
    """A regular file of at most `max_bytes`, open for reading.

    Raises OSError, with the reason as its strerror, for links, pipes, devices, folders and larger files.
    """
    with _opened(path, os.O_RDONLY) as handle, os.fdopen(handle, "rb", closefd=False) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, at most {max_bytes:,} are read", str(path))
        yield file


@contextmanager
def opened_to_write(path: Path) -> Iterator[BufferedRandom]:
    """A regular file, created if missing, open for reading and writing from its start; raises as `opened`."""
    with _opened(path, os.O_RDWR | os.O_CREAT) as handle, os.fdopen(handle, "r+b", closefd=False) as file:
        yield file


def read(path: Path, max_bytes: int) -> bytes:
    """All bytes of a regular file; raises as `opened`."""
    with opened(path, max_bytes) as file:
        # It may have grown since it was opened.
        return file.read(max_bytes)


def digest(path: Path, max_bytes: int) -> str:
    """The SHA-256 of a regular file, 64 hexadecimal digits; raises as `opened`."""
    with opened(path, max_bytes) as file:
        return file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Return once what was written to a file or folder would survive a power failure."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _opened(path: Path, access: int) -> Iterator[int]:
    try:
        handle = os.open(path, access | _FLAGS, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link", str(path)) from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        yield handle
    finally:
        os.close(handle)
