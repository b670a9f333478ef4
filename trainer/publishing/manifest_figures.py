"""What the manifest keeps of the findings."""

from __future__ import annotations

from models.manifest import Churn, JudgementFigures, LineageFigures, SegmentFateFigures, TrialFigures
from trainer.findings import Judgement, Lineage


def judgement_figures(judgement: Judgement) -> JudgementFigures:
    """On what the verdict rests."""
    nulls = judgement.null_silhouettes
    return JudgementFigures(
        effect=judgement.effect,
        p_value=judgement.p_value,
        draws=len(nulls),
        null_silhouette=sum(nulls) / len(nulls),
        jaccard=judgement.jaccard,
        border_dip_p={border.segment: border.dip_p_value for border in judgement.borders},
        humps=judgement.humps,
        runner_up=judgement.runner_up,
        elbow_k=judgement.elbow_k,
        sample_rows=judgement.sample_rows,
        by_k={
            trial.k: TrialFigures(
                silhouette=trial.silhouette,
                null_silhouette=None if trial.null_silhouette is None else trial.null_silhouette[1],
                gap=trial.gap,
                stability=trial.stability,
            )
            for trial in judgement.trials
        },
    )


def churn_of(lineage: Lineage) -> Churn:
    """How many users change their segment."""
    return Churn(against=lineage.before, churn=lineage.churn, moved=lineage.moved, compared=lineage.compared)


def lineage_figures(lineage: Lineage) -> LineageFigures:
    """What became of the segments between a version and the one that it was fitted to follow."""
    return LineageFigures(
        **dict(churn_of(lineage)),
        # Numbers of segments that are no more are not used again, so that each stands for one segment here.
        fates={
            fate.segment: SegmentFateFigures(fate=fate.fate, overlap=fate.jaccard, others=fate.others)
            for fate in lineage.fates
        },
    )
