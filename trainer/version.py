"""A fit as a version of the store: its files, and what its manifest says."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from models.manifest import ColumnUse, Fit, ProfileReference, Verdict
from trainer.fit import FitOptions, Fitted
from trainer.golden import golden_rows
from trainer.history import History
from trainer.scikit import kmeans_file, scaler_file
from trainer.tables import segment_profiles, segmented_users

LIBRARIES = ("numpy", "pandas", "scikit-learn", "scipy")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a fit cannot know of itself."""

    created_at: datetime
    parent: str | None
    profile: ProfileReference


def describe(fitted: Fitted, history: History, options: FitOptions, origin: Origin) -> Fit:
    """What the manifest will say, before the store adds the id and the digests."""
    return Fit(
        created_at=origin.created_at,
        parent=origin.parent,
        k=fitted.segmentation.k,
        k_supported=1 if fitted.verdict is Verdict.NONE else None,
        verdict=fitted.verdict,
        verdict_reason=fitted.verdict_reason,
        columns=ColumnUse(kept=fitted.kept, left_out=fitted.left_out),
        silhouette=fitted.choice.chosen.silhouette,
        silhouette_by_k={candidate.k: candidate.silhouette for candidate in fitted.choice.candidates},
        elbow_k=fitted.choice.elbow_k,
        segment_sizes=fitted.sizes,
        rows=len(history.users),
        rows_skipped=len(history.bad_rows),
        data_sha256=history.digest,
        seed=options.seed,
        options={
            "k": "chosen" if options.k is None else str(options.k),
            "only": "all" if options.groups is None else ",".join(sorted(options.groups)),
            "columns": options.columns,
        },
        libraries={"python": python_version(), **{name: version(name) for name in LIBRARIES}},
        profile=origin.profile,
    )


def files_of(fitted: Fitted, history: History, seed: int) -> Callable[[Path], None]:
    """A function that writes every file of the version into the folder that it is given."""

    def write(folder: Path) -> None:
        segmentation = fitted.segmentation
        (folder / "model.json").write_bytes(segmentation.to_json())
        (folder / "golden.json").write_bytes(golden_rows(history, segmentation, seed).to_json())
        (folder / "scaler.joblib").write_bytes(
            scaler_file(segmentation.encoder.means, segmentation.encoder.scales, len(history.users))
        )
        (folder / "kmeans.joblib").write_bytes(
            kmeans_file(segmentation.centroids, fitted.assignments.segment, fitted.inertia)
        )
        profiles = segment_profiles(history, segmentation, fitted.assignments)
        profiles.to_csv(folder / "segment_profiles.csv", index=False, lineterminator="\n")
        users = segmented_users(history.id_header, history.users, segmentation, fitted.assignments)
        users.to_csv(folder / "segmented_users.csv", index=False, lineterminator="\n")
        if history.bad_rows:
            _write_bad_rows(folder / "bad_rows.csv", history)

    return write


def _write_bad_rows(path: Path, history: History) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["line", "problem", *history.header])
        for row in history.bad_rows:
            writer.writerow([row.line, "; ".join(row.problems), *row.cells])
