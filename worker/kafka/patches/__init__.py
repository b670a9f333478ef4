"""What kafka-python 3.0.x lacks for untrusted input, each patch in its own module; `apply` installs all of them."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Final

from kafka.version import __version__

from worker.errors import UnsupportedClientError
from worker.kafka.patches import decompression, headers, record_builder, sockets

PATCHES: Final[tuple[ModuleType, ...]] = (decompression, headers, record_builder, sockets)
_KNOWN: Final = (3, 0, 12)
"""The first version that is known to work; later ones of 3.0 work as long as they leave the patched functions alone."""


def apply(event_max_bytes: int) -> None:
    """Patch kafka-python, for a worker that takes events of up to this size; once per process, before its first client.

    Raises UnsupportedClientError, and changes nothing, for a version of kafka-python that is not known and when a
    function to be replaced is not the one that the patch was written for.
    """
    _require_known_version(__version__)
    for patch in PATCHES:
        for replacement in patch.REPLACEMENTS:
            replacement.require_unchanged()
    decompression.apply(event_max_bytes)
    headers.apply()
    record_builder.apply()
    sockets.apply()


def _require_known_version(version: str) -> None:
    numbers = tuple(map(int, re.findall(r"\d+", version)[:3]))
    if numbers[:2] != _KNOWN[:2] or numbers < _KNOWN:
        raise UnsupportedClientError(
            f"kafka-python {version} is installed, and this worker patches 3.0.12 and later versions of 3.0; "
            "pip install 'kafka-python~=3.0.12'"
        )
