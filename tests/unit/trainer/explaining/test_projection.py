from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA

from schemas.roles import Kind, ProfileField
from tests.support.samples import as_given, sample_of
from trainer.explaining.projection import projection

TRUTH = np.repeat([0, 1], 60)


def field(name: str) -> ProfileField:
    return ProfileField(name, name, "behaviour", Kind.NUMBER, ())


def test_the_map_is_the_first_two_principal_components_by_stable_number() -> None:
    generator = np.random.default_rng(1)
    shifts = {"a": 5, "b": 3, "c": 0}
    columns = {name: (generator.normal(size=120) + shift * TRUTH).tolist() for name, shift in shifts.items()}
    division = replace(as_given(sample_of(columns, [field(name) for name in columns]), TRUTH), numbers=(8, 3))
    found = projection(division)
    pca = PCA(2).fit(division.sample.scaled)
    places = pca.transform(division.sample.scaled)
    # Each user has a mark; whose it is nobody can tell from the order.
    shown = sorted(zip(np.abs(found.x).tolist(), np.abs(found.y).tolist(), found.segment, strict=True))
    rounded = np.abs(np.round(places, 1)).tolist()
    assert shown == sorted((x, y, segment) for (x, y), segment in zip(rounded, [8] * 60 + [3] * 60, strict=True))
    assert found.segment != (8,) * 60 + (3,) * 60
    assert found == projection(division)
    assert found.explained == pytest.approx(pca.explained_variance_ratio_.tolist())
    # The way round is settled: whoever has more of what counts most is on the right.
    of_3 = np.array(found.segment) == 3
    assert np.array(found.x)[of_3].mean() > np.array(found.x)[~of_3].mean()


def test_one_column_has_a_map_too() -> None:
    found = projection(as_given(sample_of({"a": TRUTH.tolist()}, [field("a")]), TRUTH))
    assert found.explained == pytest.approx((1.0, 0.0))
    assert set(found.y) == {0.0}
    assert set(found.x) == {-1.0, 1.0}
