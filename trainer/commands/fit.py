"""segment-trainer fit: from a history to a published version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

from pydantic import BaseModel

from models import publishing
from models.manifest import Manifest, ProfileReference
from models.store import ModelStore
from schemas.counting import counted
from trainer.commands.bad_rows import BadRows, require_rows
from trainer.findings import Findings
from trainer.fitting.columns import ChosenColumns
from trainer.history.dates import DayRule, today_anywhere
from trainer.history.history import read_history
from trainer.lineage.succession import before_fit
from trainer.pipeline import FitOptions, Fitted, fit
from trainer.publishing.version import Origin, files_of, findings_of, fit_of
from trainer.report.page import REPORT_FILE
from trainer.text.console import print_facts
from trainer.text.production import PRODUCTION
from trainer.text.progress import Watcher, reading
from trainer.text.summary import facts_of

NAMED_FIELDS = 5
"""In a note; a class may have 200."""


@dataclass(frozen=True, slots=True)
class Published:
    """A published version, and its fit."""

    manifest: Manifest
    fitted: Fitted
    findings: Findings


def fit_history(
    path: Path,
    profile_class: type[BaseModel],
    options: FitOptions,
    bad_rows: BadRows,
    store: ModelStore,
    created_at: datetime,
    watcher: Watcher,
    as_of: date | None = None,
) -> Published:
    """Fit a history and publish the version, whole or not at all; nothing is promoted.

    Days since a date are counted to as_of (None: to the newest date in the history). Raises HistoryError for a file
    that is not a history or whose newest date is after created_at, FitRefused when it cannot be segmented, and what
    ModelStore.publish raises.
    """
    publishing.check_writable(store)
    day_rule = DayRule(as_of, today_anywhere(created_at))
    with read_history(path, profile_class, reading(watcher, path), day_rule) as history:
        require_rows(path, history, bad_rows)
        before = before_fit(store, PRODUCTION, ProfileReference.of(profile_class))
        fitted = fit(history, options, before, watcher)
        notes = (*fitted.columns.notes, *_required_in_vain(profile_class, fitted.columns))
        fitted = replace(fitted, columns=replace(fitted.columns, notes=notes))
        watcher.at("writing the report and the version")
        origin = Origin(created_at, before.parent, ProfileReference.of(profile_class))
        used = fitted.history
        found = findings_of(fitted, used, options, origin)
        manifest = publishing.publish(store, fit_of(fitted, used, origin), files_of(fitted, used, found))
    return Published(manifest, fitted, found)


def _required_in_vain(profile_class: type[BaseModel], columns: ChosenColumns) -> Iterator[str]:
    """A note on the fields that every event must have although the model does not use them, if there are any."""
    required = [name for name in columns.left_out if profile_class.model_fields[name].is_required()]
    if required:
        more = f" and {len(required) - NAMED_FIELDS} more" if len(required) > NAMED_FIELDS else ""
        yield (
            f"events must still have {counted(len(required), 'field')} that the model does not use "
            f"({', '.join(required[:NAMED_FIELDS])}{more}): in the profile class, make them optional with a default of "
            "None (this version stays valid), or remove them and fit again"
        )


def print_fit(published: Published, store: ModelStore, next_step: str | None) -> None:
    """Print what was fitted, where its report is, and what to do next, if anything."""
    facts = facts_of(published.manifest, published.findings)
    facts += [("note", note) for note in published.findings.quality.notes]
    to_copy = [("report", str(store.folder(published.manifest.id) / REPORT_FILE))]
    if next_step is not None:
        to_copy.append(("next", next_step))
    print_facts(facts, to_copy)
