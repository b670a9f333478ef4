"""segment-trainer history: which version was in production when."""

from __future__ import annotations

import sys

from models.store import ModelStore
from trainer.text.console import print_json, print_table
from trainer.text.production import PRODUCTION, start_of_history
from trainer.text.summary import ACCEPTED


def print_history(store: ModelStore) -> None:
    """Print every promotion and rollback, oldest first, and whether earlier ones are known to be missing."""
    entries = store.history(PRODUCTION)
    if entries:
        print_table(
            ("at", "action", "version", "before", "verdict", "sequence", ""),
            [
                (
                    f"{entry.at:%Y-%m-%d %H:%M:%S %Z}",
                    entry.action,
                    entry.version,
                    entry.previous or "none",
                    entry.verdict,
                    "unsigned" if entry.sequence is None else str(entry.sequence),
                    ACCEPTED if entry.accepted_no_structure else "",
                )
                for entry in entries
            ],
        )
    else:
        print(_nothing_in(store))
    for line in start_of_history(store):
        print(line)


def print_history_as_json(store: ModelStore) -> None:
    """Print the same as an array; standard error says whether it is empty, or earlier entries are missing."""
    entries = store.history(PRODUCTION)
    print_json([entry.model_dump(mode="json") for entry in entries])
    if not entries:
        print(_nothing_in(store), file=sys.stderr)
    for line in start_of_history(store):
        print(line, file=sys.stderr)


def _nothing_in(store: ModelStore) -> str:
    return f"no version in {store.root} has been promoted yet: run `segment-trainer promote VERSION`"
