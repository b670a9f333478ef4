"""Labels that differ only in spaces or capital letters, and how a profile class makes them one."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.roles import Kind

_ONE_SPELLING = "strip_whitespace=True, to_lower=True"


def plain_spelling(label: str) -> str:
    """The label without differences in spaces and capital letters."""
    return " ".join(label.split()).casefold()


def spelled_alike(labels: Iterable[str]) -> list[list[str]]:
    """The labels of which there are several spellings, together, in their order."""
    spellings: dict[str, list[str]] = {}
    for label in labels:
        spellings.setdefault(plain_spelling(label), []).append(label)
    return [found for found in spellings.values() if len(found) > 1]


def remedy(kind: Kind) -> str:
    """What to do in the profile class if they are the same; the text of an item is inside the type of a list."""
    if kind is Kind.SEVERAL_OF:
        item = f"Annotated[str, StringConstraints(strict=True, {_ONE_SPELLING}, min_length=1)]"
        return f"make the type before its role tuple[{item}, ...]"
    return f"add StringConstraints({_ONE_SPELLING}) to the field"
