"""Texts of the data, such as headers and labels, on one line and in little room.

Room is counted in columns of an average letter; wide characters (Chinese, emoji) take two.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import takewhile

_BREAKS = re.compile(r"[^\S\xa0]+")
"""White space but for the space that holds a number and its unit together."""
_CUT = "…"
# In less room, nothing can be told apart.
_LEAST_COLUMNS = 6


def plain(text: str) -> str:
    """A label on one line, without control characters.

    They break XML, and marks that change the writing direction would also change it in the text around the label.
    """
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    read = (
        sign
        for sign in _BREAKS.sub(" ", text)
        if not (unicodedata.category(sign) in {"Cc", "Cs", "Cn"} or unicodedata.bidirectional(sign) in turning)
    )
    return "".join(read).strip()


def columns_of(text: str) -> int:
    """How many columns a text takes."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else not unicodedata.combining(sign) for sign in text)


def shortened(text: str, columns: int) -> str:
    """A plain label in at most this many columns, cut at its end."""
    text = plain(text)
    return text if columns_of(text) <= columns else _start(text, columns - 1).rstrip() + _CUT


def in_two_lines(text: str, columns: int) -> str:
    """A plain label in at most two lines of this many columns each, broken at a space if that loses nothing."""
    text = plain(text)
    if columns_of(text) <= columns:
        return text
    taken = _start(text, columns)
    first = taken.rpartition(" ")[0]
    if not first or columns_of(text[len(first) :].strip()) > columns:
        first = taken
    return f"{first.rstrip()}\n{shortened(text[len(first) :], columns)}"


def told_apart(texts: Iterable[str], columns: int) -> Mapping[str, str]:
    """Each text -> its short form, of at most this many columns, in which it still differs from the other texts.

    A long text is cut in the middle; where two would then be alike, around what differs. Only texts that differ in
    nothing readable, or at more places than fit, stay alike.
    """
    readable = {text: plain(text) for text in texts}
    short = _told_apart(tuple(dict.fromkeys(readable.values())), columns)
    return {text: short[each] for text, each in readable.items()}


@lru_cache(maxsize=64)
def _told_apart(texts: tuple[str, ...], columns: int) -> Mapping[str, str]:
    short = {text: _cut_inside(text, columns) for text in texts}
    groups: dict[str, list[str]] = {}
    for text, form in short.items():
        groups.setdefault(form, []).append(text)
    for alike in groups.values():
        if len(alike) > 1 and columns > _LEAST_COLUMNS:
            short |= _around_difference(alike, columns)
    return short


def _around_difference(alike: Sequence[str], columns: int) -> dict[str, str]:
    """The short forms of texts that are alike at their start and end: the start, and what lies between."""
    start, end = _common(alike)
    between = [text[start : len(text) - end] for text in alike]
    inner = told_apart(between, columns - 2)
    found = {}
    for text, rest in zip(alike, between, strict=True):
        middle = inner[rest].strip(_CUT) + (_CUT if end else "")
        room = columns - columns_of(middle) - 1
        head = _start(text[:start], room).rpartition(" ")[0]
        found[text] = f"{head}{_CUT if start else ''}{middle}"
    return found


def _common(texts: Sequence[str]) -> tuple[int, int]:
    """How many signs all texts have in common at the start and at the end: of whole words, if there are any."""
    start = _common_start(texts)
    words = start.rfind(" ") + 1
    end = _common_start([text[words:][::-1] for text in texts])
    if words or " " in end:
        return words, end.rfind(" ") + 1
    return len(start), len(_common_start([text[len(start) :][::-1] for text in texts]))


def _common_start(texts: Sequence[str]) -> str:
    alike = takewhile(lambda signs: len({*signs}) == 1, zip(*texts, strict=False))
    return "".join(signs[0] for signs in alike)


def _cut_inside(text: str, columns: int) -> str:
    """The start and the end of a text, at whole words where that leaves half of the room in use."""
    if columns_of(text) <= columns:
        return text
    room = columns - 1
    start = _start(text, room - 2 * room // 5)
    whole = start if text[len(start)] == " " else start.rpartition(" ")[0]
    start = (whole if 2 * columns_of(whole) >= columns_of(start) else start).rstrip()
    end = _end(text, room - columns_of(start))
    whole = end if text[-len(end) - 1] == " " else end.partition(" ")[2]
    end = (whole if 2 * columns_of(whole) >= columns_of(end) else end).lstrip()
    return f"{start}{_CUT}{end}"


def _start(text: str, columns: int) -> str:
    taken = ""
    for sign in text:
        if columns_of(taken + sign) > columns:
            break
        taken += sign
    return taken


def _end(text: str, columns: int) -> str:
    """The longest end that fits; no mark starts it that belongs to the letter before."""
    at = len(text)
    while at and columns_of(text[at - 1 :]) <= columns:
        at -= 1
    while at < len(text) and unicodedata.combining(text[at]):
        at += 1
    return text[at:]
