"""The commands over a history: fit and assign, with their files and their words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from models.manifest import Manifest, ProfileReference
from models.segmentation import Assignments
from models.store import ModelStore, StoredModel
from trainer.atomic_file import whole
from trainer.commands.store import PRODUCTION
from trainer.errors import FitRefused, OutputError
from trainer.fitting.scikit import one_thread
from trainer.history.history import History, read_history, refuse_bad_rows
from trainer.lineage.succession import before_fit
from trainer.pipeline import FitOptions, Fitted, fit
from trainer.publishing.tables import write_segmented_users
from trainer.publishing.version import Origin, describe, files_of, findings_of
from trainer.report.page import REPORT_FILE
from trainer.text.console import print_facts
from trainer.text.progress import Watcher
from trainer.text.summary import facts_of, next_step, version_of


class BadRows(Enum):
    """What becomes of a history with bad rows."""

    REFUSE = auto()
    SKIP = auto()


@dataclass(frozen=True, slots=True)
class Published:
    """A version that a fit left in the store, and the fit itself."""

    manifest: Manifest
    fitted: Fitted


@dataclass(frozen=True, slots=True)
class Assigned:
    """How the users of a history were assigned, and the file that says so of each."""

    stored: StoredModel
    sizes: Mapping[int, int]
    """Stable number -> users."""
    outliers: int
    unknown: Mapping[str, int]
    """Field name -> users whose value training had not seen; fields without one are absent."""
    output: Path


def fit_history(
    path: Path,
    profile_class: type[BaseModel],
    options: FitOptions,
    bad_rows: BadRows,
    store: ModelStore,
    created_at: datetime,
    watcher: Watcher,
) -> Published:
    """Fit a history and publish the version, whole or not at all; nothing is promoted.

    Raises HistoryError for a file that is no history, FitRefused where there is nothing to segment, and what
    ModelStore.publish raises.
    """
    with _read(path, profile_class, watcher) as history:
        if bad_rows is BadRows.REFUSE:
            refuse_bad_rows(path, history, "correct them, or leave them out with --skip-bad-rows")
        elif history.rows == 0:
            raise FitRefused(f"{path} has no good row: its first problem is {_first_problem(history)}")
        before = before_fit(store, PRODUCTION, ProfileReference.of(profile_class))
        fitted = fit(history, options, before, watcher)
        watcher.at("writing the report and the version")
        origin = Origin(created_at, before.parent, ProfileReference.of(profile_class))
        found = findings_of(fitted, history, options, origin)
        manifest = store.publish(describe(fitted, history, options, origin), files_of(fitted, history, found))
    return Published(manifest, fitted)


def print_fit(published: Published, store: ModelStore, store_flag: str) -> None:
    """Print what was fitted, and what to do next; store_flag repeats the user's --models, or is empty."""
    manifest = published.manifest
    facts = facts_of(manifest)
    facts += [("note", note) for note in published.fitted.columns.notes]
    to_copy = [
        ("report", str(store.folder(manifest.id) / REPORT_FILE)),
        ("next", next_step(manifest, store_flag)),
    ]
    print_facts(facts, to_copy)


def refuse_output(output: Path, history: Path) -> None:
    """Raise OutputError when the output cannot be written, or would replace the history."""
    if output.is_dir():
        raise OutputError(f"{output} is a directory: name a file in it with -o")
    if not output.absolute().parent.is_dir():
        raise OutputError(f"{output.parent} is no directory: make it first, or name another file with -o")
    if output.exists() and history.exists() and output.samefile(history):
        raise OutputError(f"{output} is the history itself: name another file with -o")


def assign_history(
    path: Path, profile_class: type[BaseModel], stored: StoredModel, output: Path, watcher: Watcher
) -> Assigned:
    """Write the segment of every user of a history, in its order, whole or not at all.

    Raises HistoryError for a file that is no history or has a bad row, ProfileMismatch for another profile class, and
    OutputError when the output cannot be written.
    """
    stored.manifest.check_profile(profile_class)
    segmentation = stored.segmentation
    needed = [column.name for column in segmentation.encoder.columns]
    sizes = Counter(dict.fromkeys(segmentation.names, 0))
    outliers = Counter[bool]()
    unknown = Counter[str]()

    def assigned(history: History) -> Iterator[tuple[Sequence[str], Assignments]]:
        done = 0
        for chunk in history.chunks(needed):
            watcher.at("assigning", done, history.rows)
            found = segmentation.assign(chunk.columns)
            sizes.update(found.segment.tolist())
            outliers.update(found.outlier.tolist())
            unknown.update(name for names in found.unknown.values() for name in names)
            done += len(chunk.users)
            yield chunk.users, found

    with _read(path, profile_class, watcher) as history:
        refuse_bad_rows(path, history, "correct them")
        history.require(needed)
        # One thread, so that the users of the fit get what the fit gave them, to the last digit.
        with whole(output) as unfinished, one_thread():
            write_segmented_users(unfinished, history.id_header, segmentation.names, assigned(history))
    return Assigned(stored, dict(sorted(sizes.items())), outliers[True], unknown, output)


def print_assigned(assigned: Assigned) -> None:
    """Print how many users fell into each segment, and how many were unlike those of training."""
    facts = [
        ("users", f"{sum(assigned.sizes.values()):,}"),
        ("users by segment", ", ".join(f"{number}: {size:,}" for number, size in assigned.sizes.items())),
        ("outliers", f"{assigned.outliers:,}"),
        ("unknown values", ", ".join(f"{name}: {rows:,} users" for name, rows in assigned.unknown.items()) or "none"),
    ]
    print_facts(facts, to_copy=[("version", version_of(assigned.stored)), ("file", str(assigned.output))])


def _read(path: Path, profile_class: type[BaseModel], watcher: Watcher) -> History:
    step = f"reading {path.name}"
    watcher.at(step)
    return read_history(path, profile_class, partial(watcher.at, step))


def _first_problem(history: History) -> str:
    first = history.bad_rows.first[0]
    return f"{history.bad_rows.in_place} {first.place}, {first.problem}"
