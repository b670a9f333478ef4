"""JSON Pointers (RFC 6901): where in a document a value is."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

LEVELS_MOST: Final = 32
_WRONG_ESCAPE: Final = re.compile("~(?![01])")
_INDEX: Final = re.compile("0|[1-9][0-9]{0,8}")

Pointer = tuple[str, ...]
"""The name, or the index in an array, at each level; none is the whole document."""


class Absent(Enum):
    """What a pointer finds where there is nothing; null is not that."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


def pointer(text: str) -> Pointer:
    """The pointer that a text is; raises ValueError if it is not one, or has more than LEVELS_MOST levels."""
    if not text:
        return ()
    levels = text.split("/")
    if levels[0] or len(levels) > LEVELS_MOST + 1 or _WRONG_ESCAPE.search(text):
        raise ValueError("not a JSON Pointer")
    return tuple(level.replace("~1", "/").replace("~0", "~") for level in levels[1:])


def as_text(at: Pointer) -> str:
    """The text of a pointer."""
    return "".join("/" + level.replace("~", "~0").replace("/", "~1") for level in at)


def is_index(level: str) -> bool:
    """Whether a level may be an index in an array."""
    return _INDEX.fullmatch(level) is not None


def find(document: Any, at: Pointer) -> Any:
    """The value there, or ABSENT."""
    for level in at:
        if isinstance(document, dict):
            document = document.get(level, ABSENT)
        elif isinstance(document, list) and is_index(level) and int(level) < len(document):
            document = document[int(level)]
        else:
            return ABSENT
    return document


def nearest(document: Any, places: tuple[Pointer, ...]) -> Pointer:
    """Where `find_first` finds a value, or else the place of which the fewest levels are missing."""

    def missing(at: Pointer) -> int:
        return next(
            (count for count in range(len(at)) if find_first(document, (at[: len(at) - count],)) is not ABSENT), len(at)
        )

    return min(places, key=missing)


def find_first(document: Any, places: tuple[Pointer, ...]) -> Any:
    """The first value among these places that is there and not null, or ABSENT."""
    for at in places:
        value = find(document, at)
        if value is not ABSENT and value is not None:
            return value
    return ABSENT
