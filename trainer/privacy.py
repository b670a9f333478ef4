"""Which counts of users may be shown, and which fields are personal: a small count could point at a person."""

from __future__ import annotations

LEAST_SHOWN = 20
DEMOGRAPHIC = "demographic"
"""The group of fields that say who a person is, not what they do."""
SUPPRESSED = f"<{LEAST_SHOWN}"
"""The text for a count below 20, or a figure about so few users."""


def shown(count: int) -> int | None:
    """A count of users, or None below 20; 0 is suppressed too, because it is a statement about every user.

    Suppress shares and means of so few users together with their count: they reveal as much.
    """
    return count if count >= LEAST_SHOWN else None


def share_shown(having: int, users: int) -> bool:
    """Whether the share of users with something may be shown: 20 or more have it, and 20 or more or none lack it."""
    return having >= LEAST_SHOWN and (having == users or users - having >= LEAST_SHOWN)


def shown_text(count: int) -> str:
    """A count of users as it is printed: "1,234", or "<20"."""
    return f"{count:,}" if count >= LEAST_SHOWN else SUPPRESSED
