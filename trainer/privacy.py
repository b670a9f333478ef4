"""Which counts of users may be shown, and which fields are personal: a small count could point at a person."""

from __future__ import annotations

LEAST_SHOWN = 20
DEMOGRAPHIC = "demographic"
"""The group of fields that say who a person is, not what they do."""
SUPPRESSED = f"<{LEAST_SHOWN}"
"""What stands in a table where a count, or a figure of so few users, may not be shown."""


def shown(count: int) -> int | None:
    """A count of users, or None where it is under 20; nobody at all is suppressed too, for that says something of all.

    A share or mean of so few users tells as much as their count, and is to be left out with it.
    """
    return count if count >= LEAST_SHOWN else None


def share_shown(having: int, users: int) -> bool:
    """Whether the share of users who have something may be shown: 20 have it, and 20 have it not or nobody."""
    return having >= LEAST_SHOWN and (having == users or users - having >= LEAST_SHOWN)


def shown_text(count: int) -> str:
    """A count of users as it is printed: "1,234", or "<20"."""
    return f"{count:,}" if count >= LEAST_SHOWN else SUPPRESSED
