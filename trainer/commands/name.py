"""segment-trainer name: a new version that differs only in the name of one segment."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from models import publishing
from models.manifest import Fit, Manifest
from models.segmentation import Segmentation
from models.store import ModelStore
from trainer.errors import NameRefused
from trainer.findings import Findings
from trainer.lineage.lineage import named
from trainer.publishing.findings_file import FINDINGS_FILE, findings_to_json, read_findings
from trainer.report.page import report_files
from trainer.text.console import print_facts
from trainer.text.summary import by_number, marked, next_step

NAME_MAX_CHARS = 60
# The files with a column segment_name, which follows the column of the segment's number.
TABLES = ("segmented_users.csv", "segment_profiles.csv")


def give_name(store: ModelStore, version: str, segment: int, name: str, at: datetime) -> Manifest:
    """Publish a version that differs only in the name of one segment, with this one as its parent.

    Raises NameRefused for a name that is not valid or belongs to another segment, and for an unknown segment; and
    whatever loading and publishing raise.
    """
    stored = store.load(version)
    manifest = stored.manifest
    store.check_files(version)
    given = _checked(name, segment, manifest.id, stored.segmentation)
    segmentation = named(stored.segmentation, {segment: given})
    findings = _renamed(read_findings(store, version), segment, given)
    origin = replace(findings.origin, created_at=at, parent=manifest.id, model_digest=segmentation.digest)
    findings = replace(findings, origin=origin)
    made = {
        "model.json": segmentation.to_json(),
        FINDINGS_FILE: findings_to_json(findings),
        **report_files(findings),
    }
    fit = Fit(**{field: getattr(manifest, field) for field in Fit.model_fields}).model_copy(
        update={
            "created_at": at,
            "parent": manifest.id,
            "given_names": {**manifest.given_names, segment: given},
        }
    )
    return publishing.publish(store, fit, _files(store, manifest, made, {str(segment): given}))


def print_named(manifest: Manifest, store: ModelStore, store_flag: str) -> None:
    """Print what was written, and what to do next; store_flag repeats the user's --models, or is empty."""
    accepted = store.accepted_without_structure()
    print_facts(
        [
            ("version", manifest.id),
            ("parent", marked(manifest.parent, accepted) if manifest.parent else "none"),
            ("named by hand", by_number(manifest.given_names)),
        ],
        to_copy=[
            ("files", str(store.folder(manifest.id))),
            ("next", next_step(manifest, store_flag)),
        ],
    )


def _checked(name: str, segment: int, version: str, segmentation: Segmentation) -> str:
    """The name without space around it; raises NameRefused when the segment cannot have it."""
    name = name.strip()
    names = segmentation.names
    if segment not in names:
        known = ", ".join(f"{number} ({known})" for number, known in names.items())
        raise NameRefused(f"version {version} has no segment {segment}: give one of {known}")
    if not 1 <= len(name) <= NAME_MAX_CHARS or not name.isprintable():
        raise NameRefused(f"{name!r} is not a valid name: give 1 to {NAME_MAX_CHARS} printable characters")
    if name == names[segment]:
        raise NameRefused(f"segment {segment} of version {version} is already named {name!r}")
    if re.fullmatch(r"segment \d+", name, re.IGNORECASE) and name != f"Segment {segment}":
        raise NameRefused(f"{name!r} looks like the default name of another segment: give another name")
    for number, other in names.items():
        if number != segment and other.casefold() == name.casefold():
            raise NameRefused(
                f"segment {number} is already named {other!r}: give another name, or rename that one first"
            )
    return name


def _renamed(findings: Findings, segment: int, name: str) -> Findings:
    """The findings with another name for one segment, wherever it appears."""
    lineage = findings.lineage
    if lineage is not None:
        after = len(lineage.after_segments)
        fates = (
            # The fates of earlier segments follow: those keep the names they had.
            replace(fate, name=name) if index < after and fate.segment == segment else fate
            for index, fate in enumerate(lineage.fates)
        )
        lineage = replace(lineage, fates=tuple(fates))
    cards = (replace(card, name=name) if card.segment == segment else card for card in findings.cards)
    return replace(findings, cards=tuple(cards), lineage=lineage)


def _files(
    store: ModelStore, manifest: Manifest, made: Mapping[str, bytes], names: Mapping[str, str]
) -> Callable[[Path], None]:
    """A function that writes the files of the new version: regenerated, rewritten with the new name, or copied."""

    def write(new: Path) -> None:
        for file, content in made.items():
            (new / file).write_bytes(content)
        for file in manifest.files.keys() - made.keys():
            store.copy_file(manifest.id, file, new / file)
            if file in TABLES:
                _rewrite(new / file, names)

    return write


def _rewrite(path: Path, names: Mapping[str, str]) -> None:
    """Put the names (by number) into the column segment_name; row by row, since there may be millions."""
    renamed = path.with_name(f".{path.name}")
    with path.open(encoding="utf-8", newline="") as read, renamed.open("x", encoding="utf-8", newline="") as written:
        rows, writer = csv.reader(read), csv.writer(written, lineterminator="\n")
        header = next(rows)
        writer.writerow(header)
        # The history's own id column comes first, and may have any name.
        at = header.index("segment_name", 1)
        for row in rows:
            row[at] = names.get(row[at - 1], row[at])
            writer.writerow(row)
    renamed.replace(path)
