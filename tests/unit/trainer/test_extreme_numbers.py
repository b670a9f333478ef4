"""Finite numbers of any size: nothing overflows (pytest makes numpy warnings errors), and fit says what it clips."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.encoding import Encoder, Floats
from schemas.roles import Kind, ProfileField
from tests.support.histories import Row, write
from trainer.fitting.encoders import learn_number
from trainer.history.arrow_copy import LARGEST_NUMBER

ROWS = 80
GROUP = np.arange(ROWS) % 2
NOISE = np.random.default_rng(1).normal(size=ROWS)
EXTREME: dict[str, Floats] = {
    "huge": np.exp(NOISE) * 1e306,
    "largest": np.where(GROUP, 1.7e308, 1e308),
    "both_signs": np.where(GROUP, 1.7e308, -1.7e308),
    "at_the_limit": np.exp(NOISE) * 1e100,
    "tiny": np.where(GROUP, 5e-324, 1e-310),
    "tiny_and_skewed": np.where(GROUP, 1e-99, 1e-97) * np.exp(NOISE),
    "tiny_squares": 1e-160 * NOISE,
    "of_any_size": 10.0 ** np.linspace(-320, 308, ROWS),
    "mixed": np.resize([1e308, -1e308, 5e-324, 0.0, 1.0, -5e-324], ROWS),
    "one_huge": np.append(NOISE[1:], 1e308),
    "nearly_equal": np.where(GROUP, 1e99, 1e99 * (1 + 1e-12)),
}
PROFILE = """
from typing import Annotated, ClassVar
from pydantic import BaseModel
from schemas.roles import number

class Extreme(BaseModel):
    history_id_column: ClassVar[str] = "user"
    plain: Annotated[float, number("behaviour")]
"""


@pytest.mark.parametrize("name", EXTREME)
def test_every_column_is_scaled_to_finite_numbers(name: str) -> None:
    numbers = np.clip(EXTREME[name], -LARGEST_NUMBER, LARGEST_NUMBER)
    learned = learn_number(ProfileField("x", "X", "group", Kind.NUMBER, ()), lambda: [numbers], numbers)
    assert learned.column is not None
    one = Encoder((learned.column,))
    scaled = one.scale(one.encode({"x": EXTREME[name].tolist()}).matrix)  # as an event has them, not clipped
    assert np.isfinite(scaled).all()
    assert (learned.useless_because is None) == (scaled.var() == pytest.approx(1.0))
    assert (learned.note is None) == (np.abs(EXTREME[name]) < LARGEST_NUMBER).all()


def test_a_fit_of_extreme_numbers_says_which_ones_it_clipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., tuple[int, str, str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    fields = "".join(f'    {name}: Annotated[float, number("behaviour")]\n' for name in EXTREME)
    Path("extreme.py").write_text(PROFILE + fields, encoding="utf-8")
    columns = {"user": range(ROWS), "plain": 5 * GROUP + NOISE, **EXTREME}
    rows: list[Row] = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    write(Path("history.csv"), rows)
    status, output, errors = run(
        "fit", "history.csv", "--profile", "extreme.py:Extreme", "--columns", "all", "--k", 2, "--models", "store"
    )
    assert status == 0
    assert "Warning" not in errors
    notes = [line.split()[1] for line in output.splitlines() if line.startswith("note") and "clip" in line]
    assert notes == [f"{name}:" for name in EXTREME if (np.abs(EXTREME[name]) >= LARGEST_NUMBER).any()]
