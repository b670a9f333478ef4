"""The release of the project that is running."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def release() -> str:
    """The version of the installed distribution; 0+unknown in a checkout that was never installed."""
    try:
        return version("stream-segmentation")
    except PackageNotFoundError:
        return "0+unknown"
