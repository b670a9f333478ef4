"""Where values are missing, and whether that itself is related to the segments."""

from __future__ import annotations

import numpy as np
from scipy import stats

from trainer.explaining.division import Division
from trainer.explaining.field_tests import FALSE_DISCOVERY_RATE, labels_without
from trainer.explaining.heat import row_of
from trainer.explaining.traits import Trait
from trainer.findings import MissingValues
from trainer.fitting.relations import chi_square, without_rare

NO_VALUE = "no value"


def missing_values(division: Division, seed: int) -> tuple[MissingValues, ...]:
    """Each field that lacks values in the sample: in what share of each segment, and whether the segments differ in it.

    As fields themselves, it is tested against segments that were fitted without the field (chi-square), corrected for
    all of these fields at 5 % (Benjamini–Hochberg).
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
    corrected = stats.false_discovery_control(p_values, method="bh")
    return tuple(
        MissingValues(
            field=field.name,
            header=field.header,
            share_by_segment=row_of(Trait(field, NO_VALUE, rows.astype(np.float64)), division)[1].texts,
            p_value=float(p_value),
            is_related=bool(each <= FALSE_DISCOVERY_RATE),
        )
        for (field, rows), p_value, each in zip(missing.items(), p_values, corrected, strict=True)
    )
