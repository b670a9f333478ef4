from dataclasses import replace

import pytest

from models.manifest import Fate, JudgementFigures, LineageFigures, SegmentFateFigures
from tests.support.findings_examples import clear
from trainer.publishing.manifest_figures import judgement_figures, lineage_figures

FINDINGS = clear()


def test_the_manifest_keeps_on_what_the_verdict_rests() -> None:
    found = judgement_figures(FINDINGS.judgement)
    assert found.draws == 19
    assert found.null_silhouette == pytest.approx(0.209)
    assert (found.effect, found.p_value, found.runner_up, found.elbow_k) == (0.319, 0.05, 4, 4)
    assert found.jaccard == FINDINGS.judgement.jaccard
    assert found.border_dip_p[4] == pytest.approx(0.005)
    assert [*found.by_k] == [*range(2, 11)]
    trial = FINDINGS.judgement.trials[3]
    assert trial.null_silhouette is not None
    assert found.by_k[5].silhouette == 0.462
    assert found.by_k[5].null_silhouette == trial.null_silhouette[1]
    assert (found.by_k[5].gap, found.by_k[5].stability) == (trial.gap, trial.stability)
    assert JudgementFigures.model_validate_json(found.model_dump_json()) == found


def test_what_was_not_drawn_for_a_k_is_absent() -> None:
    trial = replace(FINDINGS.judgement.trials[0], null_silhouette=None, gap=None, stability=None)
    found = judgement_figures(replace(FINDINGS.judgement, trials=(trial,)))
    assert (found.by_k[2].null_silhouette, found.by_k[2].gap, found.by_k[2].stability) == (None, None, None)


def test_the_manifest_keeps_the_churn_and_the_fate_of_each_segment_of_both_versions() -> None:
    assert FINDINGS.lineage is not None
    found = lineage_figures(FINDINGS.lineage)
    assert (found.against, found.churn, found.moved, found.compared) == (FINDINGS.lineage.before, 0.193, 2371, 12300)
    assert [*found.fates] == [0, 1, 2, 4, 5, 3]
    assert found.fates[4] == SegmentFateFigures(fate=Fate.SPLIT, overlap=0.48, others=(3,))
    assert LineageFigures.model_validate_json(found.model_dump_json()) == found
