"""The types of arguments on the command line; each raises ArgumentTypeError for a text that it cannot be."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from datetime import date
from pathlib import Path

from models.store_path import local_path
from schemas.dates import is_iso_date


def at_least(least: int) -> Callable[[str], int]:
    """An integer from this one to 2³² − 1."""

    def whole_number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) < 2**32:
            raise argparse.ArgumentTypeError(f"expected an integer of at least {least}, got {text!r}")
        return int(text)

    return whole_number


def day(text: str) -> date:
    """A day such as 2026-01-31."""
    if not is_iso_date(text):
        raise argparse.ArgumentTypeError(f"expected a day such as 2026-01-31, got {text!r}")
    return date.fromisoformat(text)


def share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, such as 0.2, got {text!r}")
    return found


def store_path(text: str) -> Path:
    """The local directory of a model store."""
    try:
        return local_path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def picture(text: str) -> Path:
    """A file for a picture, by its ending."""
    path = Path(text)
    if path.suffix not in {".svg", ".png"}:
        raise argparse.ArgumentTypeError(f"expected a file name that ends in .svg or .png, got {text!r}")
    return path


def groups(text: str) -> frozenset[str]:
    """Names of feature groups, separated by commas."""
    named = frozenset(filter(None, map(str.strip, text.split(","))))
    if not named:
        raise argparse.ArgumentTypeError(f"expected the name of a feature group, got {text!r}")
    return named
