"""Replacing one function of kafka-python, and only the function that the replacement was written for."""

from __future__ import annotations

import hashlib
import inspect
from typing import Any

from worker.errors import UnsupportedClientError


class Replacement:
    """A function of kafka-python, by its owner and name, and the SHA-256 of the source that was patched."""

    def __init__(self, owner: Any, name: str, source_sha256: str) -> None:
        self._owner = owner
        self._name = name
        self._source_sha256 = source_sha256
        self.upstream: Any = getattr(owner, name)
        """kafka-python's own function."""

    def require_unchanged(self) -> None:
        """Raise UnsupportedClientError when kafka-python's function is not the one that was patched."""
        if source_sha256(self.upstream) != self._source_sha256:
            raise UnsupportedClientError(
                f"{self.upstream.__module__}.{self.upstream.__qualname__} is not the function that this worker "
                "patches: kafka-python was changed, or another program replaced it; install kafka-python as "
                "requirements/base.txt pins it, and remove what replaces its functions"
            )

    def install(self, ours: Any) -> None:
        """Replace the function; a second time replaces the replacement."""
        setattr(self._owner, self._name, ours)


def source_sha256(function: Any) -> str:
    """The digest of a function's source, or of its full name where Python has no source, as of compiled functions."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = f"{function.__module__}.{function.__qualname__}"
    return hashlib.sha256(source.encode()).hexdigest()
