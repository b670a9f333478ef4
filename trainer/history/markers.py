"""What programs and people write where there is no value, in lower case."""

from __future__ import annotations

import re
from typing import Final

AMONG_LABELS: Final = frozenset(
    {
        *("", "n/a", "#n/a", "<na>", "nan", "nat", "null", "(null)", "(blank)", "-", "--", "?", "\\n"),
        *("n.a.", "k.a.", "k. a.", "n/d", "s/d", "tbd"),
    }
)
NO_ANSWERS: Final = frozenset(
    {
        *("missing", "unknown", "not known", "don't know", "don’t know", "dont know", "not sure", "no answer"),
        *("prefer not to say", "prefer not to answer", "rather not say", "not applicable", "not specified"),
        *("not stated", "not disclosed", "undisclosed", "unspecified", "not available", "refused"),
        *("keine angabe", "weiß nicht", "unbekannt", "inconnu", "ne sait pas", "non renseigné", "desconocido"),
        *("no sabe", "ns/nc", "prefiero no decir", "prefiero no decirlo", "sconosciuto", "non so", "desconhecido"),
        *("não sei", "prefiro não dizer", "onbekend", "weet niet", "zeg ik liever niet", "nie wiem", "brak danych"),
    }
)
"""What people choose who do not answer: no step of a scale, though it may be a label of its own elsewhere."""
AMONG_NUMBERS: Final = (
    AMONG_LABELS | NO_ANSWERS | frozenset({"na", "none", "nil", ".", "0000-00-00", "0000-00-00 00:00:00"})
)
"""And among dates: some of these are labels."""
# In any language: #DIV/0!, #WERT!, #¿NOMBRE?, #N/D; a hashtag has no such sign at its end.
_ERROR_OF_A_SPREADSHEET: Final = re.compile(r"#(?:NV|[A-Z]/[A-Z]|[¡¿]?[^\W\d_a-z]+(?:/[0A-Z])?[!?])")


def is_marker(cell: str, markers: frozenset[str] = AMONG_NUMBERS) -> bool:
    """Whether a cell is one of these markers, in any case, or the error of a spreadsheet."""
    text = cell.strip()
    return text.casefold() in markers or _ERROR_OF_A_SPREADSHEET.fullmatch(text) is not None
