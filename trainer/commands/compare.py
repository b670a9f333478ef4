"""segment-trainer compare: who changes segment when one version replaces another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import BaseModel

from models.encoding import Columns
from models.segmentation import Segmentation
from models.store import ModelStore, StoredModel
from trainer.atomic_file import atomic_file
from trainer.commands.bad_rows import BadRows, require_rows
from trainer.errors import HistoryError, OutputError
from trainer.findings import Fate, Lineage, SegmentFate
from trainer.history.dates import NEWEST_DATE, CountedTo, DayRule
from trainer.history.history import History, read_history
from trainer.lineage.lineage import Earlier, Overlap, columns_needed, lineage, overlap
from trainer.text.console import print_facts, print_json, print_table
from trainer.text.progress import Watcher, reading
from trainer.text.summary import days_counted, left_out, marked, skipped
from trainer.text.wording import became, count, percent, reassigned, title_of


@dataclass(frozen=True)
class Comparison:
    """Who moves where, and between which versions."""

    lineage: Lineage
    before: Segmentation
    after: Segmentation
    after_version: str
    accepted: frozenset[str]
    """Versions of the store that were promoted without structure."""
    too_little_known: int
    """Users left out because more than half of the fields that one of the versions uses have no value."""
    counted_to: CountedTo | None
    rows_skipped: int
    """Bad rows of the history, left out."""


def compare(
    path: Path,
    profile_class: type[BaseModel],
    store: ModelStore,
    versions: tuple[str, str],
    bad_rows: BadRows,
    watcher: Watcher,
    day_rule: DayRule = NEWEST_DATE,
) -> Comparison:
    """Both versions, the earlier one first, over the users of a history.

    The day rule says to which day the days since a date are counted. Raises HistoryError for a file that is not a
    history or has a bad row that may not be skipped, ProfileMismatch for another profile class, and whatever
    ModelStore.load raises.
    """
    before, after = map(store.load, versions)
    found, history = _scored(path, profile_class, before, after, bad_rows, watcher, day_rule)
    accepted = store.accepted_without_structure()
    earlier = Earlier(before.manifest.id, before.manifest.id in accepted, before.segmentation.names)
    return Comparison(
        lineage=lineage(found, earlier, after.segmentation.names),
        before=before.segmentation,
        after=after.segmentation,
        after_version=after.manifest.id,
        accepted=accepted,
        too_little_known=history.too_little_known,
        counted_to=history.counted_to,
        rows_skipped=history.bad_rows.count,
    )


def _scored(
    path: Path,
    profile_class: type[BaseModel],
    before: StoredModel,
    after: StoredModel,
    bad_rows: BadRows,
    watcher: Watcher,
    day_rule: DayRule,
) -> tuple[Overlap, History]:
    """The users of both, and the history that they are from, closed."""
    for model in (before, after):
        model.manifest.check_profile(profile_class)
    with read_history(path, profile_class, reading(watcher, path), day_rule) as whole:
        require_rows(path, whole, bad_rows)
        history = whole
        for model in (before, after):
            history = history.known_enough(model.segmentation.encoder.used)
        if not history.rows:
            raise HistoryError(
                f"{path} has no user with half of the fields that each version uses, so nothing can be compared: "
                "compare over the history of a fit"
            )
        needed = [*columns_needed(before.segmentation, after.segmentation)]

        def chunks() -> Iterator[Columns]:
            done = 0
            for chunk in history.chunks(needed):
                yield chunk.columns
                done += len(chunk.users)
                watcher.at("comparing", done, history.rows)

        found = overlap(before.segmentation, after.segmentation, chunks())
        return found, history


# --- for people ------------------------------------------------------------------------------------------------------


def print_comparison(comparison: Comparison) -> None:
    """Print who moves where, what became of each segment, and how many users change theirs."""
    found = comparison.lineage
    print_table(
        ("before \\ after", *map(str, found.after_segments)),
        [
            (title_of(number, comparison.before.names[number]), *map(count, row))
            for number, row in zip(found.before_segments, found.users, strict=True)
        ],
    )
    print()
    after, gone = _sides(found)
    print_facts(
        [
            *((f"after  {title_of(fate.segment, fate.name)}", _became(fate, found)) for fate in after),
            *((f"before {title_of(fate.segment, fate.name)}", _ended(fate, found)) for fate in gone),
            *skipped(comparison.rows_skipped),
            *left_out(comparison.too_little_known),
            *days_counted(comparison.counted_to),
        ],
        to_copy=[
            ("before", marked(found.reassigned.against, comparison.accepted)),
            ("after", marked(comparison.after_version, comparison.accepted)),
            ("reassigned", reassigned(found.reassigned)),
        ],
    )


def print_comparison_as_json(comparison: Comparison) -> None:
    """Print the same as one object; a count of too few users is null."""
    found = comparison.lineage
    after, gone = _sides(found)
    document = {
        "before": found.reassigned.against,
        "before_accepted_no_structure": found.before_accepted_no_structure,
        "before_segments": [{"segment": n, "name": comparison.before.names[n]} for n in found.before_segments],
        "after": comparison.after_version,
        "after_accepted_no_structure": comparison.after_version in comparison.accepted,
        "after_segments": [{"segment": n, "name": comparison.after.names[n]} for n in found.after_segments],
        "users": found.users,
        "fates_after": [asdict(fate) for fate in after],
        "fates_before": [asdict(fate) for fate in gone],
        "reassigned": found.reassigned.model_dump(mode="json", exclude={"against"}),
        "rows_skipped": comparison.rows_skipped,
        "too_little_known": comparison.too_little_known,
        "as_of": None if comparison.counted_to is None else str(comparison.counted_to.day),
    }
    print_json(document)


def refuse_plot(plot: Path | None) -> None:
    """Raise OutputError when the picture could not be written: before the work, not after it."""
    if plot is not None and (plot.is_dir() or not plot.absolute().parent.is_dir()):
        raise OutputError(f"{plot} cannot be written: name a file in an existing directory with --plot")


def write_picture(path: Path, found: Lineage) -> None:
    """Draw who moves where, as .svg or .png, whichever the path ends in."""
    from trainer.report.figures import migration  # noqa: PLC0415  # slow to import, and rarely needed

    picture = migration(found)
    with atomic_file(path) as unfinished:
        unfinished.write_bytes(picture.png if path.suffix == ".png" else picture.svg)


def _sides(found: Lineage) -> tuple[tuple[SegmentFate, ...], tuple[SegmentFate, ...]]:
    """The fates of all segments after, and of those before that were not kept."""
    return found.fates[: len(found.after_segments)], found.fates[len(found.after_segments) :]


def _became(fate: SegmentFate, found: Lineage) -> str:
    words = became(fate, found)
    if fate.fate is Fate.KEPT and fate.others != (fate.segment,):
        words += f", numbered {fate.others[0]} before"
    return words + _overlap_in_words(fate)


def _ended(fate: SegmentFate, found: Lineage) -> str:
    """What became of a segment of the earlier version.

    Where neither version continues the other, its number may stand for another segment now.
    """
    if fate.segment not in found.after_segments:
        return became(fate, found) + _overlap_in_words(fate)
    words = "retired" if fate.fate is Fate.RETIRED else became(fate, replace(found, after_segments=()))
    return f"{words}; its number belongs to another segment now{_overlap_in_words(fate)}"


def _overlap_in_words(fate: SegmentFate) -> str:
    return "" if fate.jaccard is None else f"; overlap {percent(fate.jaccard)}"
