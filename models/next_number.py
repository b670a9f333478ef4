"""The next number: the least number that no segment of a profile class has or had, in one file per class."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from models import files
from models.errors import ModelError
from models.limits import NUMBER_MAX_BYTES


@dataclass(frozen=True, slots=True)
class NextNumberFile:
    """The file; a writer must hold the lock of the store."""

    path: Path

    def read(self) -> int | None:
        """The number, or None if there is no file; raises ModelError for a file without a number."""
        try:
            content = files.read(self.path, NUMBER_MAX_BYTES).decode("utf-8", errors="replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._damaged(str(error.strerror)) from error
        if not re.fullmatch(r"[0-9]{1,9}", content, re.ASCII):
            raise self._damaged("it is not a number")
        return int(content)

    def write(self, number: int) -> None:
        """Replace the number atomically."""
        unfinished = self.path.with_name(f".unfinished-{self.path.name}")
        unfinished.unlink(missing_ok=True)
        with files.opened_to_write(unfinished) as file:
            file.write(f"{number}\n".encode())
        files.sync(unfinished)
        unfinished.replace(self.path)
        files.sync(self.path.parent)

    def _damaged(self, reason: str) -> ModelError:
        return ModelError(f"{self.path} is damaged ({reason}): remove it, and the number is taken from the manifests")
