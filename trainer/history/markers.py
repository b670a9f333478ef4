"""What programs and people write where there is no value, in lower case."""

from __future__ import annotations

from typing import Final

AMONG_LABELS: Final = frozenset(
    {
        *("", "n/a", "#n/a", "<na>", "nan", "nat", "null", "(null)", "(blank)", "-", "--", "?", "\\n"),
        *("n.a.", "k.a.", "k. a.", "n/d", "s/d", "tbd", "#ref!", "#div/0!", "#value!", "#num!", "#name?"),
    }
)
AMONG_NUMBERS: Final = AMONG_LABELS | frozenset(
    {"na", "none", "nil", ".", "missing", "unknown", "0000-00-00", "0000-00-00 00:00:00"}
)
"""And among dates: some of these are labels."""
