"""A small segmentation for tests, made by hand instead of fitted."""

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from models import publishing
from models.encoding import CategoryColumn, Column, Encoder, NumberColumn, OrderedColumn, SeveralOfColumn
from models.golden import Golden
from models.manifest import Fit, Manifest, ProfileReference, Verdict
from models.segmentation import Segment, Segmentation
from models.store import ModelStore
from schemas import UserProfile
from schemas.roles import Kind, profile_fields

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

LEVELS = {
    "gender": ("Female", "Male"),
    "location": ("Rural", "Suburban", "Urban"),
    "language": ("English", "Hindi", "Mandarin", "Spanish"),
    "device_usage": ("Desktop Only", "Mobile + Desktop", "Mobile Only", "Tablet"),
    "top_interests": ("Data Science", "Digital Marketing", "Gaming", "Gardening", "Pet Care", "Photography"),
}
HIGHEST = {"likes_and_reactions": 10_000, "followed_accounts": 500, "ad_interaction_seconds": 180}


def encoder(left_out: frozenset[str] = frozenset()) -> Encoder:
    """An encoder for UserProfile with plausible parameters."""
    columns: list[Column] = []
    for field in profile_fields(UserProfile):
        weight = 0.0 if field.name in left_out else 1.0
        if field.kind is Kind.NUMBER:
            high = float(HIGHEST.get(field.name, 1.0 if field.name.endswith("rate") else 12.0))
            log_unit = high / 4 if field.name == "likes_and_reactions" else None
            top = float(np.log1p(4.0)) if log_unit else high
            columns.append(NumberColumn(field.name, log_unit, top * 0.01, top * 0.99, top / 2, top / 4, weight))
        elif field.kind is Kind.ORDERED:
            columns.append(OrderedColumn(field.name, field.levels, (len(field.levels) - 1) / 2, 1.5, weight))
        else:
            levels = LEVELS[field.name]
            means = tuple(1 / len(levels) for _ in levels)
            block = CategoryColumn if field.kind is Kind.CATEGORY else SeveralOfColumn
            columns.append(block(field.name, levels, means, 0.8, weight))
    return Encoder(tuple(columns))


def segmentation(k: int = 4, seed: int = 1, left_out: frozenset[str] = frozenset()) -> Segmentation:
    """k segments with random centroids."""
    made = encoder(left_out)
    draws = np.random.default_rng(seed).normal(0, 0.7, size=(k, made.width))
    segments = (
        Segment(number, f"Segment {number}", tuple(map(float, row)), 2.0, 4.5) for number, row in enumerate(draws)
    )
    return Segmentation(made, tuple(segments))


def random_columns(rows: int, seed: int = 1) -> dict[str, list[Any]]:
    """Columns of valid profiles, all values known."""
    draw = random.Random(seed)
    columns: dict[str, list[Any]] = {}
    for field in profile_fields(UserProfile):
        if field.kind is Kind.NUMBER:
            high = float(HIGHEST.get(field.name, 1.0 if field.name.endswith("rate") else 24.0))
            columns[field.name] = [draw.random() * high for _ in range(rows)]
        elif field.kind is Kind.ORDERED:
            columns[field.name] = [draw.choice(field.levels) for _ in range(rows)]
        elif field.kind is Kind.CATEGORY:
            columns[field.name] = [draw.choice(LEVELS[field.name]) for _ in range(rows)]
        else:
            items = LEVELS[field.name]
            columns[field.name] = [tuple(draw.sample(items, draw.randint(0, 3))) for _ in range(rows)]
    return columns


def fit(verdict: Verdict = Verdict.CLEAR, at: datetime = NOON) -> Fit:
    """The manifest part of a fit."""
    return Fit(
        created_at=at,
        parent=None,
        k=4,
        verdict=verdict,
        verdict_reason="made by hand",
        silhouette=0.3,
        rows=40,
        profile=ProfileReference.of(UserProfile),
    )


def files_of(model: Segmentation) -> Mapping[str, bytes]:
    """The files of a version that a worker reads."""
    columns = random_columns(50, seed=7)
    golden = Golden(
        columns={name: tuple(values) for name, values in columns.items()},
        segments=tuple(model.assign(columns).segment.tolist()),
    )
    return {"model.json": model.to_json(), "golden.json": golden.to_json()}


def publish(store: ModelStore, model: Segmentation, made: Fit, others: Mapping[str, bytes] = {}) -> Manifest:
    """Publish a model with its golden rows, and other files."""

    def write(folder: Path) -> None:
        for name, content in {**files_of(model), **others}.items():
            (folder / name).write_bytes(content)

    return publishing.publish(store, made, write)


def published(store: ModelStore, seconds: int = 0, others: Mapping[str, bytes] = {}) -> Manifest:
    """Publish a version with its own centroids; all but the first continue the first."""
    parent = next(iter(store.version_ids()), None)
    made = fit(at=NOON + timedelta(seconds=seconds)).model_copy(update={"parent": parent})
    return publish(store, segmentation(seed=seconds), made, others)


def child(store: ModelStore, seconds: int, parent: str, *numbers: int) -> Manifest:
    """Publish a version with these segment numbers, fitted while the parent was in production."""
    made = fit(at=NOON + timedelta(seconds=seconds)).model_copy(update={"parent": parent})
    model = segmentation(len(numbers), seed=seconds)
    segments = tuple(replace(each, number=number) for each, number in zip(model.segments, numbers, strict=True))
    return publish(store, replace(model, segments=segments), made)


def alone(store: ModelStore, seconds: int) -> Manifest:
    """Publish a version that was fitted while nothing was in production."""
    return publish(store, segmentation(seed=seconds), fit(at=NOON + timedelta(seconds=seconds)))
