"""A fit as a version of the store: its files, and what its manifest says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import numpy as np

from models.manifest import ColumnUse, Fit, ProfileReference, Verdict
from trainer.fit import FitOptions, Fitted
from trainer.golden import golden_rows
from trainer.history import History
from trainer.scikit import kmeans_file, scaler_file
from trainer.tables import write_segment_profiles, write_segmented_users

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
        columns=ColumnUse(kept=fitted.columns.kept, left_out=fitted.columns.left_out),
        silhouette=fitted.choice.chosen.silhouette,
        silhouette_by_k={candidate.k: candidate.silhouette for candidate in fitted.choice.candidates},
        elbow_k=fitted.choice.elbow_k,
        min_segment_users=options.min_segment_users,
        segment_sizes=fitted.placed.sizes,
        rows=history.rows,
        rows_skipped=history.bad_rows.count,
        data_sha256=history.digest,
        seed=options.seed,
        options={
            "k": "chosen" if options.k is None else str(options.k),
            "only": "all" if options.groups is None else ",".join(sorted(options.groups)),
            "columns": options.columns,
            "max-k": str(options.max_k),
        },
        libraries={"python": python_version(), **{name: version(name) for name in LIBRARIES}},
        profile=origin.profile,
    )


def files_of(fitted: Fitted, history: History, seed: int) -> Callable[[Path], None]:
    """A function that writes every file of the version into the folder that it is given."""

    def write(folder: Path) -> None:
        segmentation, placed = fitted.segmentation, fitted.placed
        (folder / "model.json").write_bytes(segmentation.to_json())
        (folder / "golden.json").write_bytes(golden_rows(fitted.sample.table, segmentation, seed).to_json())
        (folder / "scaler.joblib").write_bytes(
            scaler_file(segmentation.encoder.means, segmentation.encoder.scales, history.rows)
        )
        labels = np.concatenate([*placed.positions()])
        (folder / "kmeans.joblib").write_bytes(kmeans_file(segmentation.centroids, labels, placed.inertia))
        write_segment_profiles(folder / "segment_profiles.csv", history, segmentation.names, placed, seed)
        chunks = zip(history.copy.users(), placed.chunks(), strict=True)
        write_segmented_users(folder / "segmented_users.csv", history.id_header, segmentation.names, chunks)
        if history.bad_rows.count:
            history.bad_rows.write(folder / "bad_rows.csv")

    return write
