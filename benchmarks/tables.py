"""Synthetic tables of users, with and without groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from models.encoding import Floats
from schemas import UserProfile
from schemas.roles import Kind, ProfileField, profile_fields

USERS = 1_000
FIELDS = profile_fields(UserProfile)
RANGES = {
    "likes_and_reactions": (100, 10_000),
    "followed_accounts": (10, 500),
    "weekday_hours_online": (0.5, 5),
    "weekend_hours_online": (1, 8),
    "click_through_rate": (0, 0.25),
    "conversion_rate": (0, 0.1),
    "ad_interaction_seconds": (5, 180),
}
COUNTS = frozenset({"likes_and_reactions", "followed_accounts", "ad_interaction_seconds"})
LABELS: Mapping[str, Sequence[str]] = {
    **{field.name: field.levels for field in FIELDS if field.kind is Kind.ORDERED},
    "gender": ("Female", "Male"),
    "location": ("Rural", "Suburban", "Urban"),
    "language": ("English", "Hindi", "Mandarin", "Spanish"),
    "device_usage": ("Desktop Only", "Mobile + Desktop", "Mobile Only", "Tablet"),
}
INTERESTS = tuple(f"Interest {letter}" for letter in "ABCDEFGHIJKLMNOPQRSTU")

Truth = npt.NDArray[np.intp]
Rng = np.random.Generator
Values = dict[str, Any]


@dataclass(frozen=True)
class Users:
    """Columns under their event names; and the group of each user, where there are groups."""

    values: Values
    truth: Truth | None = None
    fields: tuple[ProfileField, ...] = FIELDS


# --- users without groups --------------------------------------------------------------------------------------------


def independent(rng: Rng) -> Users:
    """Users with independent columns, all uniform."""
    values: Values = {}
    for field in FIELDS:
        if field.kind is Kind.NUMBER:
            values[field.name] = rng.uniform(*RANGES[field.name], USERS)
        elif field.kind is Kind.SEVERAL_OF:
            values[field.name] = [_items(INTERESTS, rng) for _ in range(USERS)]
        else:
            values[field.name] = rng.choice(LABELS[field.name], USERS)
    return Users(values)


def _items(pool: Sequence[str], rng: Rng) -> tuple[str, ...]:
    return tuple(rng.choice(pool, rng.integers(1, 4), replace=False).tolist())


def _with_numbers(values: Values, positions: Floats) -> Values:
    """The seven numbers at these positions in their ranges (users × 7): 0 is the low end, 1 the high one."""
    numbers = {
        name: low + (high - low) * position
        for (name, (low, high)), position in zip(RANGES.items(), positions.T, strict=True)
    }
    return values | numbers


def one_cloud(rng: Rng) -> Users:
    """Seven normal numbers, each pair with a correlation of .5."""
    positions = 0.5 + 0.15 * _correlated(rng.normal(size=USERS), 0.7, len(RANGES), rng)
    return Users(_with_numbers(independent(rng).values, positions))


def _correlated(trait: Floats, strength: float, columns: int, rng: Rng) -> Floats:
    """Normal columns, each with this correlation to the trait; shape (users, columns)."""
    noise = rng.normal(size=(len(trait), columns))
    correlated: Floats = strength * trait[:, None] + np.sqrt(1 - strength**2) * noise
    return correlated


def hidden_factor(rng: Rng) -> Users:
    """One hidden trait behind all fifteen columns, of every kind."""
    trait = rng.normal(size=USERS)
    values = _with_numbers(independent(rng).values, ndtr(_correlated(trait, 0.7, len(RANGES), rng)))
    for name, labels in LABELS.items():
        kind = next(field.kind for field in FIELDS if field.name == name)
        levels = np.array(labels if kind is Kind.ORDERED else rng.permutation(labels))
        parts = ndtr(_correlated(trait, 0.7, 1, rng)[:, 0]) * len(levels)
        values[name] = levels[np.minimum(parts.astype(np.intp), len(levels) - 1)]
    pull = rng.normal(size=len(INTERESTS))
    liked = np.argsort(-(trait[:, None] * pull + rng.gumbel(size=(USERS, len(INTERESTS)))), axis=1)
    counts = rng.integers(1, 4, USERS)
    values["top_interests"] = [
        tuple(INTERESTS[item] for item in row[:count]) for row, count in zip(liked, counts, strict=True)
    ]
    return Users(values)


def log_normals(rng: Rng) -> Users:
    """Seven log-normal numbers, the logarithms of each pair with a correlation of .56."""
    logs = 0.8 * _correlated(rng.normal(size=USERS), 0.75, len(RANGES), rng)
    return Users(_with_numbers(independent(rng).values, 0.05 * np.exp(logs)))


def curved_cloud(rng: Rng) -> Users:
    """Seven numbers along half a circle, each seen from its own side, with some noise around it."""
    angles = np.pi * rng.uniform(size=USERS)[:, None] + rng.uniform(0, 2 * np.pi, len(RANGES))
    positions = 0.5 + 0.35 * np.cos(angles) + 0.06 * rng.normal(size=angles.shape)
    return Users(_with_numbers(independent(rng).values, positions))


def heavy_tails(rng: Rng) -> Users:
    """Seven numbers of one correlated cloud with tails of Student's t with 3 degrees of freedom, all at once."""
    stretch = np.sqrt(3 / rng.chisquare(3, USERS))
    cloud = _correlated(rng.normal(size=USERS), 0.7, len(RANGES), rng)
    return Users(_with_numbers(independent(rng).values, 0.5 + 0.05 * stretch[:, None] * cloud))


def two_labels(rng: Rng) -> Users:
    """Location and device related in any way, and nothing else."""
    values = independent(rng).values
    locations, devices = LABELS["location"], LABELS["device_usage"]
    pairs = rng.choice(len(locations) * len(devices), USERS, p=rng.dirichlet(np.ones(len(locations) * len(devices))))
    values["location"] = np.array(locations)[pairs // len(devices)]
    values["device_usage"] = np.array(devices)[pairs % len(devices)]
    return Users(values)


# --- users in groups -------------------------------------------------------------------------------------------------


def groups_in_numbers(shares: Sequence[float], spread: float) -> Callable[[Rng], Users]:
    """Groups of exactly these shares in the seven numbers; spread is one standard deviation, in ranges of a column."""

    def plant(rng: Rng) -> Users:
        ends = np.rint(np.cumsum(shares) * USERS)
        truth = rng.permutation(np.searchsorted(ends, np.arange(USERS), side="right"))
        centres = np.column_stack([rng.permutation(np.linspace(0.12, 0.88, len(shares))) for _ in RANGES])
        positions = np.clip(centres[truth] + spread * rng.normal(size=(USERS, len(RANGES))), 0, 1)
        return Users(_with_numbers(independent(rng).values, positions), truth)

    return plant


def with_strays(plant: Callable[[Rng], Users], share: float) -> Callable[[Rng], Users]:
    """The same, but a share of the users belongs to no group: anywhere in the numbers' ranges, and beyond."""

    def strayed(rng: Rng) -> Users:
        users = plant(rng)
        stray = rng.random(USERS) < share
        anywhere = _with_numbers({}, rng.uniform(0, 1.5, size=(USERS, len(RANGES))))
        numbers = {name: np.where(stray, anywhere[name], users.values[name]) for name in RANGES}
        return Users(users.values | numbers, users.truth)

    return strayed


def groups_in_labels(step: int) -> Callable[[Rng], Users]:
    """Three groups in device, age, education, income and interests only; the seven numbers are noise.

    From one ordered column to the next the groups change positions by this step: with 1 each group is lowest in one of
    them, with 0 the groups are low, middle and high in all three, as steps of one trait are.
    """

    def plant(rng: Rng) -> Users:
        groups = 3
        truth = rng.integers(0, groups, USERS)
        values = independent(rng).values
        order = rng.permutation(groups)
        for i, name in enumerate(("age", "education_level", "income_level")):
            levels = np.array(LABELS[name])
            centres = np.linspace(0, len(levels) - 1, groups)[np.roll(order, i * step)]
            positions = np.clip(np.rint(centres[truth] + 0.7 * rng.normal(size=USERS)), 0, len(levels) - 1)
            values[name] = levels[positions.astype(np.intp)]
        devices = rng.permutation(LABELS["device_usage"])[:groups]
        loyal = rng.random(USERS) < 0.8
        values["device_usage"] = np.where(loyal, devices[truth], rng.choice(LABELS["device_usage"], USERS))
        pools = [pool.tolist() for pool in np.array_split(rng.permutation(INTERESTS), groups)]
        values["top_interests"] = [_items(pools[group] if rng.random() < 0.8 else INTERESTS, rng) for group in truth]
        return Users(values, truth)

    return plant


def groups_apart(groups: int, separation: float) -> Callable[[Rng], Users]:
    """Equal groups; neighbours differ by so many standard deviations in each number."""

    def plant(rng: Rng) -> Users:
        truth = rng.integers(0, groups, USERS)
        centres = np.column_stack([rng.permutation(groups) for _ in RANGES])
        positions = 0.5 + 0.05 * (separation * centres[truth] + rng.normal(size=(USERS, len(RANGES))))
        return Users(_with_numbers(independent(rng).values, positions), truth)

    return plant


PLANTED: Mapping[str, Callable[[Rng], Users]] = {
    "three equal groups": groups_in_numbers([1 / 3] * 3, spread=0.08),
    "six groups, 36 to 5 %": groups_in_numbers([0.36, 0.24, 0.16, 0.11, 0.08, 0.05], spread=0.06),
    "two groups, 5 % strays": with_strays(groups_in_numbers([0.6, 0.4], spread=0.08), share=0.05),
    "groups in labels only": groups_in_labels(step=1),
    "… steps of one trait": groups_in_labels(step=0),
    "overlapping groups": groups_in_numbers([1 / 3] * 3, spread=0.25),
}
NOTHING: Mapping[str, Callable[[Rng], Users]] = {
    "independent noise": independent,
    "one correlated cloud": one_cloud,
    "one hidden factor": hidden_factor,
    "correlated log-normals": log_normals,
    "curved cloud": curved_cloud,
    "heavy tails": heavy_tails,
    "two related labels": two_labels,
}
