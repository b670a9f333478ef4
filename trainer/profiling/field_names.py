"""The name of a field in Python and in events, made from a header that may be anything."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import BaseModel

_LONGEST: Final = 60
# Of pydantic's own functions: it warns of a field whose name begins with one.
_PROTECTED: Final = ("model_dump", "model_validate")
# What the file of a class imports or declares itself: a field of the same name would hide it from the fields after it.
_TAKEN: Final = frozenset(
    {
        *("number", "ordered", "category", "several_of", "history_id_column", "history_format"),
        *("model_config", "str", "float", "bool", "boolean", "date", "days_since", "tuple"),
    }
)


def field_names(headers: Iterable[str]) -> Mapping[str, str]:
    """A different name for each different header, readable, and one that Python and pydantic accept."""
    names: dict[str, str] = {}
    used: set[str] = set()
    for header in headers:
        if header in names:
            continue
        name = plain = _name(header)
        again = 2
        while name in used:
            name, again = f"{plain}_{again}", again + 1
        used.add(name)
        names[header] = name
    return names


def _name(header: str) -> str:
    text = re.sub(r"(?<=[a-z\d])(?=[A-Z])", "_", header).casefold()
    folded = unicodedata.normalize("NFKD", text.replace("ä", "ae").replace("ö", "oe").replace("ü", "ue"))
    # Letters without their accents, or as they are where nothing would be left of another alphabet.
    name = _joined(folded.encode("ascii", "ignore").decode()) or _joined(unicodedata.normalize("NFKC", text))
    if not name.isidentifier() or name.startswith(_PROTECTED):
        name = f"field_{name}".rstrip("_")
    if not name.isidentifier():
        name = "field"
    return f"{name}_" if keyword.iskeyword(name) or name in _TAKEN or hasattr(BaseModel, name) else name


def _joined(text: str) -> str:
    return re.sub(r"\W+|_+", "_", text).strip("_")[:_LONGEST].rstrip("_")
