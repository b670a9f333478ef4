"""Small histories for tests: users as rows under the headers of a CSV file, with or without groups in them."""

import atexit
import csv
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from models.encoding import Columns
from schemas import UserProfile
from schemas.roles import profile_fields
from trainer.history.history import History, read_history

FIELDS = profile_fields(UserProfile)
HEADER = (UserProfile.history_id_column, *(field.header for field in FIELDS))
ADS_DATA = Path(__file__).parents[3] / "shared" / "data" / "user_profiles_for_ads.csv"

Row = dict[str, Any]

INTERESTS = ("Data Science", "Gaming", "Gardening", "Pet Care", "Photography", "Travel")
LABELS = {
    "Gender": ("Female", "Male"),
    "Location": ("Rural", "Suburban", "Urban"),
    "Language": ("English", "Hindi", "Mandarin", "Spanish"),
    "Device Usage": ("Desktop Only", "Mobile + Desktop", "Mobile Only", "Tablet"),
    **{field.header: field.levels for field in FIELDS if field.levels},
}
TOPS = {
    "Likes and Reactions": 10_000,
    "Followed Accounts": 500,
    "Time Spent Online (hrs/weekday)": 5,
    "Time Spent Online (hrs/weekend)": 8,
    "Click-Through Rates (CTR)": 0.25,
    "Conversion Rates": 0.1,
    "Ad Interaction Time (sec)": 180,
}
COUNTS = ("Likes and Reactions", "Followed Accounts", "Ad Interaction Time (sec)")


def noise(users: int, seed: int = 1) -> list[Row]:
    """Users of whom nothing hangs together."""
    generator = np.random.default_rng(seed)
    columns: dict[str, Sequence[Any]] = {HEADER[0]: [f"user-{i}" for i in range(users)]}
    for header, labels in LABELS.items():
        columns[header] = generator.choice(labels, users).tolist()
    for header, top in TOPS.items():
        columns[header] = _numbers(header, generator.uniform(0, top, users))
    columns["Top Interests"] = [
        ", ".join(generator.choice(INTERESTS, generator.integers(0, 3), replace=False)) for _ in range(users)
    ]
    return [dict(zip(HEADER, values, strict=True)) for values in zip(*(columns[name] for name in HEADER), strict=True)]


def planted(users: int, shares: Sequence[float] = (0.5, 0.3, 0.2), seed: int = 1) -> list[Row]:
    """Users of as many groups as there are shares, in the seven numbers."""
    generator = np.random.default_rng(seed)
    truth = groups(users, shares)
    rows = noise(users, seed)
    for header, top in TOPS.items():
        centres = generator.permutation(np.linspace(0.1, 0.9, len(shares)))
        places = np.clip(centres[truth] + 0.05 * generator.normal(size=users), 0, 1)
        for row, value in zip(rows, _numbers(header, top * places), strict=True):
            row[header] = value
    return rows


def groups(users: int, shares: Sequence[float] = (0.5, 0.3, 0.2)) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The group of each planted user."""
    return np.searchsorted(np.cumsum(shares), (np.arange(users) % 100 + 0.5) / 100)


def _numbers(header: str, values: np.ndarray[Any, Any]) -> list[Any]:
    return [*np.rint(values).astype(int).tolist()] if header in COUNTS else [*np.round(values, 4).tolist()]


def write(path: Path, rows: Sequence[Row]) -> Path:
    """The rows as a CSV file, under the first row's keys."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(path: Path, profile_class: type[BaseModel] = UserProfile) -> History:
    """The history in a file, with nobody watching; its temporary files are closed when the tests end."""
    return _OPEN.enter_context(read_history(path, profile_class, lambda _done, _total: None))


def table(history: History) -> pd.DataFrame:
    """All users, one row each."""
    return history.sample(history.rows, seed=0)


def columns(history: History) -> Columns:
    """All users, as a model reads them."""
    return {str(name): column.tolist() for name, column in table(history).items()}


def users(history: History) -> tuple[str, ...]:
    """The ids of all users."""
    return tuple(user for chunk in history.chunks() for user in chunk.users)


_OPEN = ExitStack()
atexit.register(_OPEN.close)
