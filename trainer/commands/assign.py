"""segment-trainer assign: the segment of every user of a history, by a stored version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from models.segmentation import Assignments
from models.store import StoredModel
from schemas.counting import counted
from trainer.atomic_file import atomic_file
from trainer.commands.bad_rows import BadRows, require_rows
from trainer.errors import OutputError
from trainer.fitting.scikit import one_thread
from trainer.history.dates import NEWEST_DATE, CountedTo, DayRule
from trainer.history.history import History, read_history
from trainer.publishing.tables import write_segmented_users, write_segmented_users_as_parquet
from trainer.text.console import print_facts
from trainer.text.progress import Watcher, reading
from trainer.text.summary import days_counted, left_out, skipped, version_of

PARQUET = ".parquet"


@dataclass(frozen=True, slots=True)
class Assigned:
    """How the users of a history were assigned, and the file with the segment of each."""

    stored: StoredModel
    sizes: Mapping[int, int]
    """Segment number -> users."""
    outliers: int
    unknown: Mapping[str, int]
    """Field name -> users whose value was not in the training data; fields without one are absent."""
    too_little_known: int
    """Users left out, because more than half of the fields that the model uses have no value."""
    counted_to: CountedTo | None
    output: Path
    rows_skipped: int
    """Bad rows of the history, left out."""


def refuse_output(output: Path, history: Path) -> None:
    """Raise OutputError when the output cannot be written, has an unknown ending, or would replace the history."""
    if output.is_dir():
        raise OutputError(f"{output} is a directory: name a file in it with -o")
    if output.suffix.lower() not in {".csv", PARQUET}:
        raise OutputError(f"{output} ends in neither .csv nor {PARQUET}: name a file of one of the two forms with -o")
    if not output.absolute().parent.is_dir():
        raise OutputError(f"the directory {output.parent} does not exist: create it, or name another file with -o")
    if output.exists() and history.exists() and output.samefile(history):
        raise OutputError(f"{output} is the history itself, which must not be overwritten: name another file with -o")


def assign_history(
    path: Path,
    profile_class: type[BaseModel],
    stored: StoredModel,
    output: Path,
    bad_rows: BadRows,
    watcher: Watcher,
    day_rule: DayRule = NEWEST_DATE,
) -> Assigned:
    """Write the segment of every user of a history, in its order, whole or not at all, as Parquet or else as CSV.

    Users who lack more than half of the fields that the version uses are left out, and counted.

    The day rule says to which day the days since a date are counted. Raises HistoryError for a file that is not a
    history or has a bad row that may not be skipped, ProfileMismatch for another profile class, and OutputError when
    the output cannot be written.
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

    with read_history(path, profile_class, reading(watcher, path), day_rule) as whole:
        require_rows(path, whole, bad_rows)
        whole.require(needed)
        history = whole.known_enough(segmentation.encoder.used)
        # One thread, so that the users of the fit get exactly the same results, to the last digit.
        with atomic_file(output) as unfinished, one_thread():
            header, names, chunks = history.id_header, segmentation.names, assigned(history)
            if output.suffix.lower() == PARQUET:
                write_segmented_users_as_parquet(unfinished, header, history.id_type, names, chunks)
            else:
                write_segmented_users(unfinished, header, names, chunks)
        too_little_known, counted_to = history.too_little_known, history.counted_to
    return Assigned(
        stored,
        dict(sorted(sizes.items())),
        outliers[True],
        unknown,
        too_little_known,
        counted_to,
        output,
        rows_skipped=whole.bad_rows.count,
    )


def print_assigned(assigned: Assigned) -> None:
    """Print the users per segment, the outliers, and how many users have values that training did not see."""
    unknown = [f"{name}: {counted(users, 'user')}" for name, users in assigned.unknown.items()]
    facts = [
        ("users", f"{sum(assigned.sizes.values()):,}"),
        ("users by segment", ", ".join(f"{number}: {size:,}" for number, size in assigned.sizes.items())),
        ("outliers", f"{assigned.outliers:,}"),
        ("unknown values", ", ".join(unknown) or "none"),
        *skipped(assigned.rows_skipped),
        *left_out(assigned.too_little_known),
        *days_counted(assigned.counted_to),
    ]
    print_facts(facts, to_copy=[("version", version_of(assigned.stored)), ("file", str(assigned.output))])
