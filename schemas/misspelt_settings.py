"""Variables that are nearly a setting: a misspelt one would otherwise be ignored in silence."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic_settings import BaseSettings, DotEnvSettingsSource


@dataclass(frozen=True, slots=True)
class Misspelt:
    """A variable that is not a setting, and the setting that was probably meant."""

    given: str
    meant: str

    @property
    def line(self) -> str:
        """For people."""
        return f"{self.given} is not a known setting; did you mean {self.meant}?"


def misspelt_settings(settings_class: type[BaseSettings]) -> tuple[Misspelt, ...]:
    """Variables of the environment and `.env` that are nearly a setting of this class."""
    names = [name.upper() for name in settings_class.model_fields]
    file_names: list[str] = []
    with contextlib.suppress(UnicodeDecodeError, OSError):  # reading the settings reports these
        file_names = [name.upper() for name in DotEnvSettingsSource(settings_class).env_vars]
    given = sorted({*os.environ, *file_names})
    ours = [name for name in given if name.startswith(("KAFKA_", "WORKER_", "MODEL", "PROFILE_")) and name not in names]
    near = [(name, get_close_matches(name, names, n=1, cutoff=0.9)) for name in ours]
    return tuple(Misspelt(name, match[0]) for name, match in near if match)
