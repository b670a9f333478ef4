"""Generated users: a few groups that differ in behaviour, devices and interests, and in nothing else.

A user's group depends only on the number in the user's id; history, events and checks all use this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

USERS = 2000
SEED = 7

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Columns = Mapping[str, Sequence[Any]]
"""Values by the event name of each profile field, one per user."""


class Structure(StrEnum):
    """Whether there are groups in the columns."""

    PLANTED = "planted"
    NOISE = "noise"
    """The same values with the same frequencies, each column drawn independently: there is nothing to find."""


@dataclass(frozen=True, slots=True)
class Number:
    """The distribution of one number: its centre in each group, its spread, its bound and its rounding."""

    name: str
    centres: tuple[float, ...]
    spread: float
    """Standard deviation of the logarithm within a group."""
    bound: float
    decimals: int


# Five, and uneven, so that k is not an obvious guess; the smallest is still above the 3 % that a fit requires.
SHARES = (0.34, 0.26, 0.18, 0.13, 0.09)

NUMBERS = (
    Number("likes_and_reactions", (1500, 4200, 9500, 900, 5200), 0.35, 50_000, 0),
    Number("followed_accounts", (120, 300, 650, 60, 210), 0.35, 5_000, 0),
    Number("weekday_hours_online", (2.4, 1.1, 6.0, 1.6, 3.9), 0.22, 20, 1),
    Number("weekend_hours_online", (1.3, 4.4, 5.6, 2.2, 7.9), 0.22, 20, 1),
    Number("click_through_rate", (0.05, 0.17, 0.10, 0.23, 0.03), 0.25, 1, 3),
    Number("conversion_rate", (0.015, 0.07, 0.035, 0.11, 0.008), 0.28, 1, 3),
    Number("ad_interaction_seconds", (18, 95, 55, 130, 10), 0.30, 3_600, 0),
)

DEVICES = ("Mobile Only", "Tablet", "Mobile + Desktop", "Desktop Only")
# One device stands out in each group; two groups share one.
GROUP_DEVICES = (
    (0.76, 0.08, 0.10, 0.06),
    (0.12, 0.74, 0.09, 0.05),
    (0.08, 0.06, 0.75, 0.11),
    (0.72, 0.08, 0.13, 0.07),
    (0.05, 0.07, 0.13, 0.75),
)

INTERESTS = (
    "Fitness and Wellness", "Travel and Adventure", "Pet Care",
    "Fashion Modelling", "Gourmet Cooking", "Gardening",
    "Photography", "Music Production", "Digital Marketing",
    "Investing and Finance", "Reading and Literature", "DIY Crafts",
    "Gaming", "Software Engineering", "Data Science",
)  # fmt: skip
_OWN_INTERESTS = 3
_OWN_CHANCE = 0.6
_OTHER_CHANCE = 0.08

# Independent of the groups: the same probabilities for every user.
UNRELATED: Mapping[str, Mapping[str, float]] = {
    "age": {"18-24": 0.18, "25-34": 0.26, "35-44": 0.21, "45-54": 0.16, "55-64": 0.11, "65+": 0.08},
    "gender": {"Female": 0.5, "Male": 0.48, "Other": 0.02},
    "location": {"Urban": 0.5, "Suburban": 0.32, "Rural": 0.18},
    "language": {"English": 0.4, "Spanish": 0.25, "Hindi": 0.2, "Mandarin": 0.15},
    "education_level": {"High School": 0.3, "Technical": 0.2, "Bachelor": 0.3, "Master": 0.15, "PhD": 0.05},
    "income_level": {
        "0-20k": 0.15, "20k-40k": 0.25, "40k-60k": 0.25, "60k-80k": 0.17, "80k-100k": 0.1, "100k+": 0.08,
    },
}  # fmt: skip


def user_id(number: int) -> str:
    """The id of a user: `user-1` for the first."""
    return f"user-{number}"


def planted_group(user: str) -> int:
    """The planted group, from 0, of a user whose id came from `user_id`."""
    return int(_groups(np.array([int(user.removeprefix("user-"))]))[0])


def _groups(numbers: Integers) -> Integers:
    # A hash (the finaliser of SplitMix64) instead of random draws: a group depends on no seed and on no other user.
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return np.searchsorted(np.cumsum(SHARES)[:-1], mixed / 2.0**64, side="right")


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive users."""

    users: Sequence[str]
    """Their ids."""
    groups: Sequence[int]
    """The planted group of each; 0 where nothing is planted."""
    profiles: Columns


@dataclass(frozen=True, slots=True)
class Population:
    """The users 1 … `users`: with the same seed and structure, a user is the same in a population of any size."""

    users: int = USERS
    seed: int = SEED
    structure: Structure = Structure.PLANTED

    def blocks(self) -> Iterator[Block]:
        """All users in order, some thousands at a time."""
        for first in range(1, self.users + 1, _BLOCK_USERS):
            numbers = np.arange(first, min(first + _BLOCK_USERS, self.users + 1))
            # One row per user, filled in order, so a user does not depend on how many follow.
            drawn = np.random.default_rng([self.seed, first]).random((len(numbers), _DRAWS))
            groups = _groups(numbers)
            if self.structure is Structure.NOISE:
                columns = _noise_groups(drawn[:, -_GROUPED_COLUMNS:])
                groups = np.zeros_like(groups)
            else:
                columns = [groups] * _GROUPED_COLUMNS
            yield Block([user_id(number) for number in numbers.tolist()], groups.tolist(), _profiles(columns, drawn))


_BLOCK_USERS = 10_000
_GROUPED_COLUMNS = len(NUMBERS) + 2
_DRAWS = 2 * len(NUMBERS) + 1 + len(INTERESTS) + len(UNRELATED) + _GROUPED_COLUMNS


def _noise_groups(drawn: Floats) -> list[Integers]:
    return [np.searchsorted(np.cumsum(SHARES)[:-1], column, side="right") for column in drawn.T]


def _profiles(groups: Sequence[Integers], drawn: Floats) -> Columns:
    """Profiles of users; `groups` holds, for each column that depends on groups, the group to draw from."""
    column = iter(drawn.T)
    group_of = iter(groups)
    profiles: dict[str, Sequence[Any]] = {}
    for number in NUMBERS:
        normal = np.sqrt(-2 * np.log1p(-next(column))) * np.cos(2 * np.pi * next(column))  # Box and Muller's
        centre = np.array(number.centres)[next(group_of)]
        profiles[number.name] = rounded(number, centre * np.exp(number.spread * normal))
    profiles["device_usage"] = _picked(DEVICES, np.array(GROUP_DEVICES)[next(group_of)], next(column))
    profiles["top_interests"] = _interests(next(group_of), np.stack([next(column) for _ in INTERESTS], axis=1))
    for name, chances in UNRELATED.items():
        profiles[name] = _picked(tuple(chances), np.array([*chances.values()]), next(column))
    return profiles


def rounded(number: Number, values: Floats) -> list[float]:
    """Values clipped to the bound and rounded to the number's decimals, integers where it has none."""
    within = np.round(np.clip(values, 0, number.bound), number.decimals)
    found: list[float] = (within if number.decimals else within.astype(np.int64)).tolist()
    return found


def _picked(levels: Sequence[str], chances: Floats, drawn: Floats) -> list[str]:
    edges = np.cumsum(chances, axis=-1)[..., :-1]
    return [levels[position] for position in (drawn[:, None] >= edges).sum(axis=1).tolist()]


def _interests(groups: Integers, drawn: Floats) -> list[tuple[str, ...]]:
    own = np.arange(len(INTERESTS)) // _OWN_INTERESTS == groups[:, None]
    having = drawn < np.where(own, _OWN_CHANCE, _OTHER_CHANCE)
    return [tuple(INTERESTS[item] for item in np.flatnonzero(row)) for row in having]
