"""What is in production, which workers follow a change, and how much of the history of promotions is there."""

from __future__ import annotations

from collections.abc import Iterator

from models.errors import ModelError
from models.promotion_history import AliasEntry
from models.store import ModelStore

PRODUCTION = "production"
"""The alias that workers follow."""


def current_version(store: ModelStore) -> str | None:
    """The id of the version in production; None before the first promotion."""
    entry = store.current(PRODUCTION)
    return None if entry is None else entry.version


def workers_that_switch(store: ModelStore, entry: AliasEntry) -> str:
    """Which workers switch to the version of a promotion or rollback, and which need a restart."""
    profile = store.manifest(entry.version).profile
    try:
        before = profile if entry.previous is None else store.manifest(entry.previous).profile
    except ModelError:  # a damaged version does not say what it was fitted for
        before = profile
    if profile == before:
        return "running workers switch to it, unless their MODEL_POLL_S is 0"
    change = f"{profile.name}, the previous one for {before.name}"
    if profile.name == before.name:
        change = f"{profile.name}, the previous one for other fields of that class"
    return (
        f"it was fitted for profile class {change}: workers that run with its class switch to it, the others keep "
        "their version until they are restarted with that PROFILE_CLASS"
    )


def start_of_history(store: ModelStore) -> Iterator[str]:
    """A line if the history of promotions does not start with the first promotion, as far as signatures can tell."""
    beginning = store.beginning()
    if beginning is not None:
        yield (
            f"the history of promotions in {store.root} {beginning}: unless it was restarted, or keys were changed, "
            "compare aliases.jsonl with a backup"
        )
