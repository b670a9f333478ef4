from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA

from schemas.roles import Kind, ProfileField
from tests.unit.trainer.samples import as_given, sample_of
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
    assert np.abs(found.x) == pytest.approx(np.abs(places[:, 0]), abs=6e-4)
    assert np.abs(found.y) == pytest.approx(np.abs(places[:, 1]), abs=6e-4)
    assert found.explained == pytest.approx(pca.explained_variance_ratio_.tolist())
    assert found.segment == (8,) * 60 + (3,) * 60
    # The way round is settled: whoever has more of what counts most is on the right.
    assert np.corrcoef(found.x, columns["a"])[0, 1] > 0
    assert found.x[0] == round(found.x[0], 3)


def test_one_column_has_a_map_too() -> None:
    found = projection(as_given(sample_of({"a": TRUTH.tolist()}, [field("a")]), TRUTH))
    assert found.explained == pytest.approx((1.0, 0.0))
    assert set(found.y) == {0.0}
    assert set(found.x) == {-1.0, 1.0}
