"""Which fields differ between segments that they did not help to form.

Testing a field against labels that it helped to form is circular: k-means splits pure noise, too, and both sides of a
split always differ in the fields that it was made by. So the labels come from a clustering refitted without the field.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy import stats

from models.encoding import Encoder, Floats
from schemas.roles import ProfileField
from trainer.explaining.traits import factors
from trainer.findings import FieldTest
from trainer.fitting.choose_k import different_rows
from trainer.fitting.relations import chi_square, without_rare
from trainer.fitting.sample import Sample
from trainer.fitting.scikit import Labels, cluster, on_all_cores

FALSE_DISCOVERY_RATE = 0.05


def field_tests(sample: Sample, labels: Labels, seed: int) -> tuple[FieldTest, ...]:
    """A test of each field that repeats no other, in their order, and which survive Benjamini–Hochberg over all at 5 %.

    labels (n,) are the clusters of the sample from 0: the refit without a field looks for as many. Chi-square of five
    quantile bins of a number, or of the levels of an ordered field or category, rare ones joined. Not a test of ranks:
    segments at both ends of a field may have the same mean rank as one in the middle. Several-of: the smallest p-value
    of its items times their number. A field that cannot be tested has a p-value of 1: one that is the same for all
    users, or the only one in the distance.
    """
    fields = sample.distinct
    # The matrix is computed here, once, before the cores share it.
    p_values = [*on_all_cores(partial(_p_value, sample, sample.scaled, labels, seed), fields, sample.scaled)]
    adjusted = stats.false_discovery_control(p_values, method="bh")
    return tuple(
        FieldTest(field.name, field.header, p_value, bool(corrected <= FALSE_DISCOVERY_RATE))
        for field, p_value, corrected in zip(fields, p_values, adjusted, strict=True)
    )


def surviving(tests: tuple[FieldTest, ...]) -> frozenset[str]:
    """Names of the fields that survive."""
    return frozenset(test.field for test in tests if test.survives)


def _p_value(sample: Sample, scaled: Floats, labels: Labels, seed: int, field: ProfileField) -> float:
    independent = labels_without(field.name, sample.encoder, scaled, labels, seed)
    if independent is None:
        return 1.0
    segments = (independent[:, None] == np.arange(independent.max() + 1)).astype(np.float64)
    tables = [without_rare(factor.T @ segments) for factor in factors(sample, field)]
    p_values = [chi_square(table)[0] for table in tables if min(table.shape) > 1]
    return min(1.0, min(p_values) * len(p_values)) if p_values else 1.0


def labels_without(name: str, encoder: Encoder, scaled: Floats, labels: Labels, seed: int) -> Labels | None:
    """Clusters of the scaled rows that do not depend on the field of this name; None if no other column is left.

    The labels themselves, shape (n,), if the field is not used in the distance.
    """
    kept = encoder.kept
    others = np.repeat([column.name != name for column in kept], [column.width for column in kept]).astype(np.bool_)
    if others.all():
        return labels
    matrix: Floats = scaled[:, others]
    k = min(int(labels.max()) + 1, different_rows(matrix))
    # From fresh starts, never from the centres of the labels, which depend on the field.
    return cluster(matrix, k, seed).labels if k > 1 else None
