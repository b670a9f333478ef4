"""Which records of a topic are events for this worker: all others are ignored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from schemas.formats.pointers import ABSENT, Pointer, find, pointer
from schemas.formats.records import HEADERS_MOST, Headers

_AND: Final = "&&"
_HEADER: Final = "header:"
# Up to the next "&&" that is not in a value that is a JSON string.
_CONDITION: Final = re.compile(rf'(?:=\s*"(?:[^"\\]|\\.)*"|(?!{_AND}).)*', re.DOTALL)

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Condition:
    """One of these values is in one of these places: the first of them where anything is."""

    places: tuple[Pointer, ...]
    expected: tuple[Scalar, ...]

    def holds(self, document: Any) -> bool:
        """Whether it holds for a document."""
        for at in self.places:
            value = find(document, at)
            if value is not ABSENT:
                return self.accepts(value)
        return False

    def accepts(self, value: Any) -> bool:
        """Whether this is one of the values; 1 is 1.0, and neither "1" nor true."""
        # In Python, True == 1.
        return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in self.expected)


@dataclass(frozen=True, slots=True)
class Where:
    """Conditions that must all hold, or a record is ignored."""

    headers: tuple[tuple[str, bytes], ...] = ()
    """Name and content; the last header of a name counts."""
    values: tuple[Condition, ...] = ()

    def headers_match(self, headers: Headers) -> bool:
        """Whether a record's headers meet the conditions on headers."""
        if not self.headers:
            return True
        found = dict(headers[:HEADERS_MOST])
        return all(found.get(name) == content for name, content in self.headers)

    def apart_from(self, name: str) -> Where:
        """The conditions without those on this value of an object, or within it."""
        return replace(self, values=tuple(each for each in self.values if each.places[0][0] != name))

    def matches(self, document: Any) -> bool:
        """Whether the JSON in a record's value meets the conditions on it."""
        return all(condition.holds(document) for condition in self.values)


def where(text: str) -> Where:
    """The conditions that a text has: `/event=profile_updated && header:kind=user`; raises ValueError.

    A value is a JSON scalar, or else the text itself, unless that looks like another comparison. The value of a header
    is text, with or without quotation marks.
    """
    headers: dict[str, bytes] = {}
    values: dict[Pointer, Condition] = {}
    for part in _conditions(text):
        place, equals, expected = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ValueError(f"{part.strip()!r} has no =" if part.strip() else "a condition is empty")
        if place.endswith(("!", "<", ">", "~")):
            raise ValueError(f"only = is supported, got {place[-1]}=")
        if place.startswith(_HEADER) and place != _HEADER:
            _require_new(place, name := place.removeprefix(_HEADER), headers)
            if name.split() != [name]:
                raise ValueError(f"{place!r} has a space in the name of the header")
            headers[name] = _header_text(expected).encode()
        elif place.startswith("/"):
            _require_new(place, at := pointer(place), values)
            values[at] = Condition((at,), (_scalar(expected),))
        else:
            raise ValueError(f"{place!r} is neither a JSON Pointer nor a header")
    return Where(tuple(headers.items()), tuple(values.values()))


def _conditions(text: str) -> Iterator[str]:
    end = -len(_AND)
    while end < len(text):
        found = _CONDITION.match(text, end + len(_AND))
        if found is None:
            return
        yield found[0]
        end = found.end()


def _require_new(place: str, name: Any, known: Any) -> None:
    if name in known:
        raise ValueError(f"{place} is given twice")


def _scalar(text: str) -> Scalar:
    value = _json_or_text(text)
    if isinstance(value, float) and text.lstrip("-").isdecimal():
        raise ValueError(f"{text} has more than 64 bits")
    if isinstance(value, dict | list):
        raise ValueError(f"{text!r} is not a JSON scalar")  # noqa: TRY004  # as all that is wrong with a setting
    scalar: Scalar = value
    return scalar


def _header_text(text: str) -> str:
    value = _json_or_text(text)
    return value if isinstance(value, str) else text


def _json_or_text(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if "=" in text or '"' in text or text.startswith(("'", "<", ">", "~")):
            raise ValueError(f'{text!r} is not a JSON scalar: write such text as "…"') from None
        return text
