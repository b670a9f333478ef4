"""How strongly the segments predict each demographic field, so that a proxy is seen before it is used."""

from __future__ import annotations

import numpy as np

from models.encoding import Floats
from trainer.explaining.division import Division
from trainer.explaining.effects import INTERVAL
from trainer.explaining.traits import factors
from trainer.findings import Proxy
from trainer.fitting.relations import chi_square, without_rare
from trainer.privacy import DEMOGRAPHIC


def proxies(division: Division) -> tuple[Proxy, ...]:
    """Bias-corrected Cramér's V (Bergsma 2013) of the segments and each demographic field, in the fields' order.

    Ordered fields and categories by level, numbers by five quantile bins, several-of by the strongest item. The 95 %
    interval is that of V² over the resamples, shifted by the difference of their mean from the sample's V²:
    resampling makes unrelated columns look related, and an interval that excludes the estimate helps nobody.
    """
    found = []
    for field in division.sample.fields:
        if field.group == DEMOGRAPHIC:
            indicators = factors(division.sample, field)
            squares = np.array([_strongest(indicators, memberships) ** 2 for memberships in division.memberships])
            low, high = np.quantile(squares[1:], INTERVAL) - (squares[1:].mean() - squares[0])
            found.append(
                Proxy(field.name, field.header, _root(squares[0]), low=_root(low), high=_root(high)),
            )
    return tuple(found)


def _root(square: float) -> float:
    return float(np.sqrt(np.clip(square, 0.0, 1.0)))


def _strongest(indicators: tuple[Floats, ...], memberships: Floats) -> float:
    tables = (without_rare(factor.T @ memberships) for factor in indicators)
    return max((chi_square(table)[1] for table in tables if min(table.shape) > 1), default=0.0)
