"""The tables that people open: each user's segment, and what is typical of each segment."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from models.encoding import Floats
from models.segmentation import Assignments
from schemas.roles import Kind, ProfileField
from trainer.errors import OutputError
from trainer.fitting.assignment import AssignedUsers
from trainer.history.history import History
from trainer.history.sampling import Drawn, draw
from trainer.privacy import LEAST_SHOWN, SUPPRESSED, share_shown, shown

USER_COLUMNS = ("segment", "segment_name", "distance", "margin", "outlier")
# Rows of a Parquet file that are written, and later read, at a time: about 5 MB.
GROUP_ROWS = 100_000
ITEMS_SHOWN = 3
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
# Medians are computed from at most this many users, shared equally among the segments.
MEDIAN_USERS = 1_000_000


def write_segmented_users(
    path: Path, id_header: str, names: Mapping[int, str], chunks: Iterable[tuple[Sequence[str], Assignments]]
) -> None:
    """Write one row per user as CSV, in the given order: the id, then the columns of USER_COLUMNS.

    The id is written unchanged, so that the table can be joined.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([id_header, *USER_COLUMNS])
        shown_names = {number: _as_text(name) for number, name in names.items()}
        for users, found in chunks:
            numbers = found.segment.tolist()
            writer.writerows(
                zip(
                    users,
                    numbers,
                    map(shown_names.__getitem__, numbers),
                    found.distance.tolist(),
                    found.margin.tolist(),
                    found.outlier.tolist(),
                    strict=True,
                )
            )


def write_segmented_users_as_parquet(
    path: Path,
    id_header: str,
    id_type: Any,
    names: Mapping[int, str],
    chunks: Iterable[tuple[Sequence[str], Assignments]],
) -> None:
    """Write the same table as Parquet; id_type is the Arrow type of integer ids, None where the ids are text.

    Names are written unchanged: a warehouse runs no formulas. Raises OutputError where the id column has the name of
    another column, which few readers of Parquet accept.
    """
    if id_header in USER_COLUMNS:
        raise OutputError(
            f'the id column is named "{id_header}" as another column of the Parquet file would be: write a .csv file, '
            "or rename the column in the history and in the profile class"
        )
    text = pa.string()
    columns = zip(USER_COLUMNS, (pa.int32(), text, pa.float64(), pa.float64(), pa.bool_()), strict=True)
    schema = pa.schema([(id_header, id_type or text), *columns])
    with path.open("wb") as file, pq.ParquetWriter(file, schema) as writer:
        group: list[Any] = []
        for users, found in chunks:
            ids = pa.array(users, text)
            segment_names = pa.array(map(names.__getitem__, found.segment.tolist()), text)
            arrays = [
                ids if id_type is None else ids.cast(id_type),
                pa.array(found.segment, pa.int32()),
                segment_names,
                *map(pa.array, (found.distance, found.margin, found.outlier)),
            ]
            group.append(pa.record_batch(arrays, schema=schema))
            if sum(batch.num_rows for batch in group) >= GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(group))
                group = []
        if group:
            writer.write_table(pa.Table.from_batches(group))


def write_segment_profiles(
    path: Path, history: History, names: Mapping[int, str], assigned: AssignedUsers, seed: int
) -> None:
    """Write one row per segment and a last one for all users: size, share, outliers, and typical values of each column.

    For a number, also the days since a date, its mean and median; for a boolean the share of true; for a label the most
    common one and its share; for lists the three most common items, each with the share of users who have it. Columns
    that do not count in the distance are described too. Means and shares are exact. So are medians up to 1,000,000 ÷
    (segments + 1) users of a segment; for larger ones they come from a seeded sample of that size: with ten segments,
    its rank is within ±0.5 % with a probability of 99 %.
    Figures about fewer than 20 users are "<20". A share that 1 to 19 users lack is "<20" or left out, and so is the
    figure of all users where it would reveal the suppressed one of a segment: of outliers, or of true.
    """
    # Each row of the table describes a group; the last group is all users.
    users = np.append(assigned.users, assigned.users.sum(axis=1, keepdims=True), axis=1)
    sizes = users.sum(axis=0).tolist()
    rows: list[dict[str, object]] = [
        {
            "segment": number,
            "segment_name": _as_text(name),
            "users": _shown(size, size),
            "share": _shown(round(size / sizes[-1], 4), size),
        }
        for number, name, size in zip(
            [*assigned.numbers, "all"],
            [*(names[number] for number in assigned.numbers), "All users"],
            sizes,
            strict=True,
        )
    ]
    outliers = [*assigned.outliers().values()]
    for row, count in zip(rows, [*outliers, sum(outliers)], strict=True):
        row["outliers"] = _shown(count, count)
    if sum(shown(count) is None for count in outliers) == 1:
        rows[-1]["outliers"] = SUPPRESSED  # minus the others, it would reveal the suppressed one
    each = MEDIAN_USERS // len(sizes)
    drawn = [draw(group.tolist(), each, seed) for group in users.T]
    for field in history.fields:
        if field.kind is Kind.BOOLEAN:
            typical = _shares_of_true(history, field, assigned, sizes)
        elif field.kind.is_numeric:
            typical = _typical_numbers(history, field, assigned, drawn)
        else:
            typical = _typical_labels(history, field, assigned, sizes)
        for row, cells, size in zip(rows, typical, sizes, strict=True):
            row |= {name: _shown(cell, size) for name, cell in cells.items()}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _as_text(cell: str) -> str:
    """A name or label that a spreadsheet does not read as a formula."""
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


def _shown(cell: object, users: int) -> object:
    return SUPPRESSED if shown(users) is None else cell


def _typical_numbers(
    history: History, field: ProfileField, assigned: AssignedUsers, drawn: Sequence[Drawn]
) -> Iterator[dict[str, object]]:
    what = f"{field.header}: days since" if field.kind is Kind.DAYS_SINCE else field.header
    groups = len(drawn)
    sums: list[Floats] = []
    counts: list[npt.NDArray[np.intp]] = []
    parts: list[list[Floats]] = [[] for _ in range(groups)]
    for numbers, indices, *rows in zip(history.copy.numbers(field.name), assigned.indices(), *drawn, strict=True):
        known = ~np.isnan(numbers)
        by_segment = np.bincount(indices[known], weights=numbers[known], minlength=groups - 1)
        sums.append(np.append(by_segment, numbers[known].sum()))
        counts.append(np.append(users := np.bincount(indices[known], minlength=groups - 1), users.sum()))
        for group, at in enumerate(rows):
            members = numbers if group == groups - 1 else numbers[indices == group]
            parts[group].append(members[at])
    for total, size, part in zip(zip(*sums, strict=True), np.sum(counts, axis=0).tolist(), parts, strict=True):
        if shown(size) is None:
            yield {f"{what}: mean": SUPPRESSED, f"{what}: median": SUPPRESSED}
            continue
        mean, median = math.fsum(total) / size, float(np.nanmedian(np.concatenate(part)))
        yield {f"{what}: mean": float(f"{mean:.6g}"), f"{what}: median": float(f"{median:.6g}")}


def _shares_of_true(
    history: History, field: ProfileField, assigned: AssignedUsers, sizes: Sequence[int]
) -> Iterator[dict[str, object]]:
    counts, with_value = np.zeros((2, len(sizes)), dtype=np.int64)
    for numbers, indices in zip(history.copy.numbers(field.name), assigned.indices(), strict=True):
        counts += np.bincount(indices[numbers == 1], minlength=len(sizes))
        with_value += np.bincount(indices[~np.isnan(numbers)], minlength=len(sizes))
    counts[-1], with_value[-1] = counts.sum(), with_value.sum()
    shares: list[object] = [
        round(count / size, 4) if share_shown(count, size) else SUPPRESSED
        for count, size in zip(counts.tolist(), with_value.tolist(), strict=True)
    ]
    if shares[:-1].count(SUPPRESSED) == 1:
        shares[-1] = SUPPRESSED
    yield from ({f"{field.header}: share of true": share} for share in shares)


def _typical_labels(
    history: History, field: ProfileField, assigned: AssignedUsers, sizes: Sequence[int]
) -> Iterator[dict[str, object]]:
    labels = history.copy.labels[field.name]
    counts = np.zeros((len(sizes), len(labels)), dtype=np.int64)
    for indices, (rows, codes) in zip(assigned.indices(), history.holders(field.name), strict=True):
        np.add.at(counts, (indices[rows], codes), 1)
    counts[-1] = counts.sum(axis=0)
    if field.optional:  # shares are of the users with a value
        with_value = np.zeros(len(sizes), dtype=np.int64)
        for indices, missing in zip(assigned.indices(), history.without_value(field.name), strict=True):
            with_value += np.bincount(indices[~missing], minlength=len(sizes))
        sizes = [*with_value[:-1].tolist(), int(with_value.sum())]
    for group, size in zip(counts, sizes, strict=True):
        # Labels of fewer users are never shown.
        common = [(int(group[code]), labels[code]) for code in np.flatnonzero(group >= LEAST_SHOWN).tolist()]
        common.sort(key=lambda entry: (-entry[0], entry[1]))
        yield _items(field, common, size) if field.kind is Kind.SEVERAL_OF else _label(field, common, size)


def _items(field: ProfileField, common: Sequence[tuple[int, str]], size: int) -> dict[str, object]:
    texts = [f"{item} {count / size:.0%}" if share_shown(count, size) else item for count, item in common[:ITEMS_SHOWN]]
    return {f"{field.header}: most common": _as_text("; ".join(texts)) or SUPPRESSED}


def _label(field: ProfileField, common: Sequence[tuple[int, str]], size: int) -> dict[str, object]:
    count, label = common[0] if common else (0, SUPPRESSED)
    share = round(count / size, 4) if share_shown(count, size) else SUPPRESSED
    return {f"{field.header}: most common": _as_text(label), f"{field.header}: share": share}
