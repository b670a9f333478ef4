"""The tables that people open: each user's segment, and what is typical of each segment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from models.segmentation import Assignments, Segmentation
from schemas.roles import Kind, ProfileField
from trainer.history import History

ITEMS_SHOWN = 3


def segmented_users(
    id_header: str, users: Sequence[str], segmentation: Segmentation, assignments: Assignments
) -> pd.DataFrame:
    """One row a user, in the order given: id, segment, segment_name, distance, margin, outlier."""
    names = np.array([segmentation.names[number] for number in range(segmentation.k)], dtype=object)
    return pd.DataFrame(
        {
            id_header: users,
            "segment": assignments.segment,
            "segment_name": names[assignments.segment],
            "distance": assignments.distance,
            "margin": assignments.margin,
            "outlier": assignments.outlier,
        }
    )


def segment_profiles(history: History, segmentation: Segmentation, assignments: Assignments) -> pd.DataFrame:
    """One row a segment and a last one for all users: size, share, outliers, and what is typical in each column.

    Of a number its mean and median; of a label the most common one and its share; of several items the three most
    common, each with the share of users who have it. Columns that do not count in the distance are described too.
    """
    rows = []
    everyone = np.ones(len(history.users), dtype=np.bool_)
    groups = [(str(number), name, assignments.segment == number) for number, name in segmentation.names.items()]
    for number, name, members in [*groups, ("all", "All users", everyone)]:
        row: dict[str, object] = {
            "segment": number,
            "segment_name": name,
            "users": int(members.sum()),
            "share": round(float(members.mean()), 4),
            "outliers": int((assignments.outlier & members).sum()),
        }
        for field in history.fields:
            row |= _typical(history.table.loc[members, field.name], field)
        rows.append(row)
    return pd.DataFrame(rows)


def _typical(values: pd.Series, field: ProfileField) -> dict[str, object]:
    if field.kind is Kind.NUMBER:
        return {
            f"{field.header}: mean": float(f"{values.mean():.6g}"),
            f"{field.header}: median": float(f"{values.median():.6g}"),
        }
    if field.kind is Kind.SEVERAL_OF:
        shares = values.explode().dropna().value_counts() / len(values)
        most_common = sorted(shares.items(), key=lambda entry: (-entry[1], str(entry[0])))[:ITEMS_SHOWN]
        return {f"{field.header}: most common": "; ".join(f"{item} {share:.0%}" for item, share in most_common)}
    counts = values.value_counts()
    label, count = min(counts.items(), key=lambda entry: (-entry[1], str(entry[0])))
    return {
        f"{field.header}: most common": str(label),
        f"{field.header}: share": round(float(count / len(values)), 4),
    }
