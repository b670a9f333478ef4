import numpy as np
import pytest

from models.manifest import Verdict
from schemas.roles import Kind, ProfileField
from tests.support.samples import divided, sample_of
from trainer.explaining.explain import explain


@pytest.mark.parametrize(("verdict", "users"), [(Verdict.NONE, 0), (Verdict.WEAK, 120)])
def test_with_verdict_none_no_user_is_on_a_map(verdict: Verdict, users: int) -> None:
    generator = np.random.default_rng(1)
    shifts = {"a": 9, "b": 5}
    columns = {
        name: (generator.normal(size=120) + shift * (np.arange(120) < 60)).tolist() for name, shift in shifts.items()
    }
    fields = [ProfileField(name, name, "behaviour", Kind.NUMBER, ()) for name in columns]
    found = explain(divided(sample_of(columns, fields), 2), (0, 0), verdict, {}, frozenset(), 0)
    assert (len(found.map.x), len(found.map.y), len(found.map.segment)) == (users, users, users)
    assert bool(found.heat) == bool(users)
