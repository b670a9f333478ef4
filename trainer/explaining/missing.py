"""Where values are missing, and whether that itself is related to the segments."""

from __future__ import annotations

import numpy as np

from trainer.explaining.division import Division
from trainer.explaining.field_tests import labels_without
from trainer.explaining.heat import row_of
from trainer.explaining.traits import Trait
from trainer.findings import MissingValues
from trainer.fitting.relations import chi_square, without_rare

NO_VALUE = "no value"
GREATEST_P_VALUE = 0.01
"""Above it, after the correction for the number of fields, nothing is said to be related."""


def missing_values(division: Division, seed: int) -> tuple[MissingValues, ...]:
    """Each field that lacks values in the sample: in what share of each segment, and whether the segments differ in it.

    As fields themselves, it is tested against segments that were fitted without the field (chi-square), corrected for
    the number of these fields at 1 % (Bonferroni): each row of the report is read as a statement of its own.
    """
    sample = division.sample
    missing = {field: sample.table[field.name].isna().to_numpy() for field in sample.fields}
    missing = {field: rows for field, rows in missing.items() if rows.any()}
    if not missing:
        return ()
    p_values = []
    for field, rows in missing.items():
        labels = labels_without(field.name, sample.encoder, sample.scaled, division.labels, seed)
        p_values.append(1.0)
        if labels is not None:
            segments = labels[:, None] == np.arange(labels.max() + 1)
            table = without_rare(np.stack([rows, ~rows]).astype(np.float64) @ segments)
            p_values[-1] = chi_square(table)[0] if min(table.shape) > 1 else 1.0
    return tuple(
        MissingValues(
            field=field.name,
            header=field.header,
            share_by_segment=row_of(Trait(field, NO_VALUE, rows.astype(np.float64)), division)[1].texts,
            p_value=float(p_value),
            is_related=bool(p_value * len(missing) <= GREATEST_P_VALUE),
        )
        for (field, rows), p_value in zip(missing.items(), p_values, strict=True)
    )
