"""A fit as a version of the store: its files, its findings, and its part of the manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from models.manifest import Fit, ProfileReference
from trainer import findings
from trainer.findings import ColumnQuality, Findings, Quality
from trainer.fitting.golden import golden_rows
from trainer.fitting.scikit import kmeans_file, scaler_file
from trainer.history.dates import CountedTo
from trainer.history.history import History
from trainer.pipeline import FitOptions, Fitted
from trainer.publishing.findings_file import AS_OF, FINDINGS_FILE, findings_to_json
from trainer.publishing.tables import write_segment_profiles, write_segmented_users
from trainer.report.page import report_files

# The packages on which a version depends, this program first.
LIBRARIES = (
    "stream-segmentation",
    "diptest",
    "numpy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "threadpoolctl",
)


@dataclass(frozen=True, slots=True)
class Origin:
    """The facts about a fit that come from outside."""

    created_at: datetime
    parent: str | None
    profile: ProfileReference


def fit_of(fitted: Fitted, history: History, origin: Origin) -> Fit:
    """The fit's part of the manifest."""
    return Fit(
        created_at=origin.created_at,
        parent=origin.parent,
        k=fitted.segmentation.k,
        verdict=fitted.judgement.verdict,
        verdict_reason=fitted.judgement.reason,
        silhouette=fitted.judgement.silhouette,
        rows=history.rows,
        reassigned=None if fitted.lineage is None else fitted.lineage.reassigned,
        given_names=fitted.given_names,
        missing={
            learned.field.name: learned.missing_share for learned in fitted.columns.learned if learned.missing_share
        },
        profile=origin.profile,
    )


def findings_of(fitted: Fitted, history: History, options: FitOptions, origin: Origin) -> Findings:
    """What findings.json keeps and the report shows."""
    return Findings(
        judgement=fitted.judgement,
        tests=fitted.explained.tests,
        cards=fitted.explained.cards,
        proxies=fitted.explained.proxies,
        map=fitted.explained.map,
        heat=fitted.explained.heat,
        missing=fitted.explained.missing,
        tiers=fitted.explained.tiers,
        lineage=fitted.lineage,
        quality=Quality(
            rows=history.rows,
            rows_skipped=history.bad_rows.count,
            columns=tuple(
                ColumnQuality(
                    field=learned.field.name,
                    header=learned.field.header,
                    group=learned.field.group,
                    kind=learned.field.kind,
                    left_out_because=fitted.columns.left_out.get(learned.field.name),
                    clipped_share=learned.clipped_share,
                    unseen_share=learned.unseen_share,
                    missing_share=learned.missing_share,
                )
                for learned in fitted.columns.learned
            ),
            notes=fitted.columns.notes,
        ),
        origin=findings.Origin(
            created_at=origin.created_at,
            parent=origin.parent,
            seed=options.seed,
            options=_described(options, history.counted_to),
            libraries=_libraries(),
            profile=origin.profile.name,
            profile_digest=origin.profile.schema_digest,
            data_sha256=history.digest,
            model_digest=fitted.segmentation.digest,
        ),
    )


def _described(options: FitOptions, counted_to: CountedTo | None) -> Mapping[str, str]:
    return {
        "k": "chosen" if options.k is None else str(options.k),
        "only": "all" if options.groups is None else ",".join(sorted(options.groups)),
        "columns": options.columns,
        "max-k": str(options.max_k),
        "min-segment-users": str(options.min_segment_users),
        "not named": ",".join(sorted(options.not_named)) or "none",
        **({} if counted_to is None else {AS_OF: str(counted_to.day)}),
    }


def _libraries() -> Mapping[str, str]:
    return {"python": python_version(), **{name: version(name) for name in LIBRARIES}}


def files_of(fitted: Fitted, history: History, found: Findings) -> Callable[[Path], None]:
    """A function that writes every file of the version into the folder that it is given."""

    def write(folder: Path) -> None:
        segmentation, assigned, seed = fitted.segmentation, fitted.assigned, found.origin.seed
        (folder / "model.json").write_bytes(segmentation.to_json())
        (folder / "golden.json").write_bytes(golden_rows(fitted.sample.table, segmentation, seed).to_json())
        (folder / "scaler.joblib").write_bytes(
            scaler_file(segmentation.encoder.means, segmentation.encoder.scales, history.rows)
        )
        numbers = [segment.number for segment in segmentation.segments]
        (folder / "kmeans.joblib").write_bytes(kmeans_file(segmentation.centroids, numbers, assigned.inertia))
        write_segment_profiles(folder / "segment_profiles.csv", history, segmentation.names, assigned, seed)
        chunks = zip(history.copy.users(), assigned.chunks(), strict=True)
        write_segmented_users(folder / "segmented_users.csv", history.id_header, segmentation.names, chunks)
        (folder / FINDINGS_FILE).write_bytes(findings_to_json(found))
        for name, content in report_files(found).items():
            (folder / name).write_bytes(content)
        if history.bad_rows.count:
            history.bad_rows.write(folder / "bad_rows.csv")

    return write
