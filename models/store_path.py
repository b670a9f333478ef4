"""The path of a model store: a local directory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator


def local_path(given: str | Path) -> Path:
    """The path of a directory; raises ValueError for a URL like s3://bucket, which would be a relative path."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", str(given)):
        raise ValueError(
            f"{given} is a URL, but the model store is a local directory: mount it, or copy the store here"
        )
    return Path(given)


StorePath = Annotated[Path, BeforeValidator(local_path)]
