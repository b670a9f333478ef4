"""The notebook runs from its first cell to its last for anybody who has cloned, and is stored without outputs."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.__main__ import main

NOTEBOOK = Path(__file__).parents[3] / "docs/notebooks/from-table-to-segments.ipynb"
COMMAND = "!segment-trainer "


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The temporary directory that the notebook makes lies here; the working directory is put back."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("MODELS_DIR", "PROFILE_CLASS", "MODEL_SIGNING_KEY", "MODEL_PUBLIC_KEY"):
        monkeypatch.delenv(name, raising=False)
    before = Path.cwd()
    yield tmp_path
    os.chdir(before)


def as_python(source: str, run: str = "run_command") -> str:
    """A cell with its shell lines as calls, their {names} filled in as IPython does."""
    return "".join(
        f"{run}(f{line.removeprefix(COMMAND).rstrip()!r})\n" if line.startswith(COMMAND) else line
        for line in source.splitlines(keepends=True)
    )


def run_command(words: str) -> None:
    assert main(shlex.split(words)) == 0, words


def run(cell: dict[str, Any], number: int, names: dict[str, Any]) -> None:
    exec(compile(as_python("".join(cell["source"])), f"cell {number}", "exec"), names)  # noqa: S102  # our own cells


def german_table(path: Path) -> None:
    """Headers, separators, decimals, booleans, dates and lists as a German table may have them, and a number as id."""
    generator = np.random.default_rng(3)
    kinds = generator.choice(3, size=300)
    spent = generator.normal(np.array([20, 50, 90])[kinds], 3).round(2)
    days = generator.integers(1, 5, 300) + np.array([0, 10, 20])[kinds]
    lines = ["Kundennummer;Umsatz (€);Letzter Kauf;Zahlungsart;Kundenkarte;Bücher"]
    for row, kind in enumerate(kinds.tolist()):
        paid = ("Rechnung", "Kreditkarte", "Lastschrift" if row % 7 else "")[kind]
        books = ("Krimi,Reise", "Krimi,Reise,Küche", "Küche")[kind]
        amount, card = f"{spent[row]:.2f}".replace(".", ","), ("ja", "nein", "nein")[kind]
        lines.append(f"{1000 + row};{amount};{days[row]:02}.06.2026;{paid};{card};{books}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_the_notebook_takes_a_table_of_ones_own(elsewhere: Path) -> None:
    own = elsewhere / "meine kunden.csv"
    german_table(own)
    before = own.read_bytes()
    names: dict[str, Any] = {"run_command": run_command}
    for number, cell in enumerate(cells(), start=1):
        run(cell, number, names)
        if number == 1:
            names["DATA"] = str(own)
    assert own.read_bytes() == before
    assert [*names["users"]] == ["umsatz", "letzter_kauf", "zahlungsart", "kundenkarte", "buecher"]
    assert np.array_equal(names["by_onnx"], names["assigned"]["segment"])
    assert np.array_equal(names["by_onnx"], names["pipeline"].predict(names["users"]))
    assert names["assigned"]["Kundennummer"].tolist() == [str(number) for number in range(1000, 1300)]


def test_the_notebook_goes_from_a_table_to_a_report_a_kmeans_and_onnx(elsewhere: Path) -> None:
    names: dict[str, Any] = {"run_command": run_command}
    for number, cell in enumerate(cells(), start=1):
        run(cell, number, names)
    (made,) = elsewhere.iterdir()
    assert {"customers.csv", "report.html", "segments.joblib", "segments.onnx", "segments.parquet"} <= {
        path.name for path in made.iterdir()
    }
    assert names["findings"]["judgement"]["verdict"] in {"clear", "weak"}
    assert "shirt_size" not in [
        column.name for column in names["store"].load(names["version"]).segmentation.encoder.kept
    ]
    assert np.array_equal(names["by_onnx"], names["assigned"]["segment"])
    assert np.array_equal(names["by_onnx"], names["pipeline"].predict(names["users"]))


def test_the_notebook_has_ten_cells_and_is_stored_without_outputs() -> None:
    assert len(cells()) == 10
    assert all((cell["outputs"], cell["execution_count"]) == ([], None) for cell in cells())
