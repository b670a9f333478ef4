import json
import pickletools
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from sklearn.preprocessing import FunctionTransformer

from models.encoding import BooleanColumn, Columns, Encoder, NumberColumn, SeveralOfColumn
from models.segmentation import Segmentation
from models.store import ModelStore, StoredModel
from tests.support.fitted import fit, publish, random_columns, segmentation
from trainer.__main__ import main
from trainer.errors import ExportRefused, OutputError
from trainer.exporting import export as export_module
from trainer.exporting import onnx_form, sklearn_form
from trainer.exporting.export import BORDER_MARGIN, Target, export
from trainer.exporting.test_data import synthetic_rows
from trainer.fitting.golden import UNSEEN

CHECKOUT = Path(__file__).parents[3]
NUMBERS = (7, 0, 12, 3)

BOTH = pytest.mark.parametrize("target", [*Target])


def of(model: Segmentation, tmp_path: Path) -> StoredModel:
    store = ModelStore(tmp_path / "store")
    return store.load(publish(store, model, fit()).id)


@pytest.fixture
def model() -> Segmentation:
    """Stable numbers with gaps and out of order, and two fields that do not count."""
    made = segmentation(left_out=frozenset({"age", "language"}))
    segments = zip(made.segments, NUMBERS, strict=True)
    return replace(made, segments=tuple(replace(segment, number=number) for segment, number in segments))


@pytest.fixture
def stored(model: Segmentation, tmp_path: Path) -> StoredModel:
    return of(model, tmp_path)


def users() -> dict[str, list[Any]]:
    """Users as they come, and some with what no user of training had."""
    columns = random_columns(400, seed=3)
    columns["education_level"][:50] = ["Kindergarten"] * 50
    columns["gender"][20:70] = ["Unheard of"] * 50
    columns["top_interests"][40:90] = [("Chess",), ("Gaming", "Chess"), (), ("Gaming", "Gaming"), ()] * 10
    columns["likes_and_reactions"][60:64] = [-5.0, 0.0, 1e12, 10_000]
    return columns


def run_onnx(path: Path, columns: Columns, kept: Encoder) -> tuple[list[int], list[float]]:
    """What onnxruntime says, fed as the graph's inputs ask for."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    fed: dict[str, Any] = {}
    for given in session.get_inputs():
        values = columns[given.name]
        if given.type == "tensor(double)":
            fed[given.name] = np.array(values, dtype=np.float64)
        elif len(given.shape) == 1:
            fed[given.name] = np.array(values, dtype=object)
        else:
            most = max(map(len, values))
            rows = [[*items, *[""] * (most - len(items))] for items in values]
            fed[given.name] = np.array(rows, dtype=object).reshape(len(values), most)
    segment, distance = session.run(["segment", "distance"], fed)
    assert (segment.dtype, distance.dtype) == (np.int64, np.float64)
    return segment.tolist(), distance.tolist()


ELSEWHERE = """
import importlib.util, json, sys
sys.path.append(sys.argv[1])  # no .pth file is read that way, so an editable install is not found
assert all(importlib.util.find_spec(name) is None for name in ("trainer", "models", "schemas", "worker", "demo"))
import warnings
warnings.simplefilter("error")
import joblib, pandas
frame = pandas.DataFrame(json.load(sys.stdin))
print(json.dumps(joblib.load(sys.argv[2]).predict(frame).tolist()))
"""


def run_sklearn_elsewhere(path: Path, columns: Columns) -> list[int]:
    """What the pipeline says in a process that cannot import this project; JSON makes lists of all that is several."""
    command = [sys.executable, "-I", "-S", "-c", ELSEWHERE, sysconfig.get_path("purelib"), str(path)]
    done = subprocess.run(command, input=json.dumps(columns), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    segments: list[int] = json.loads(done.stdout)
    return segments


def test_a_graph_says_what_the_model_says_in_onnxruntime(stored: StoredModel, tmp_path: Path) -> None:
    export(stored, Target.ONNX, tmp_path / "model.onnx")
    expected = stored.segmentation.assign(users())
    segment, distance = run_onnx(tmp_path / "model.onnx", users(), stored.segmentation.encoder)
    assert segment == expected.segment.tolist()
    assert distance == pytest.approx(expected.distance.tolist(), rel=1e-9)
    assert set(segment) == {*NUMBERS}


def test_a_pipeline_says_what_the_model_says_where_this_project_is_not_installed(
    stored: StoredModel, tmp_path: Path
) -> None:
    export(stored, Target.SKLEARN, tmp_path / "model.joblib")
    expected = stored.segmentation.assign(users()).segment.tolist()
    assert run_sklearn_elsewhere(tmp_path / "model.joblib", users()) == expected
    assert set(expected) == {*NUMBERS}


def test_a_pipeline_holds_standard_objects_only(stored: StoredModel, tmp_path: Path) -> None:
    export(stored, Target.SKLEARN, tmp_path / "model.joblib")
    strings = {argument for _, argument, _ in pickletools.genops((tmp_path / "model.joblib").read_bytes())}
    packages = {text.partition(".")[0] for text in strings if isinstance(text, str)}
    assert {"sklearn", "numpy"} <= packages
    assert packages.isdisjoint({"trainer", "models", "schemas", "tests"})


def test_rows_without_any_item_are_assigned_by_the_graph_however_narrow_their_lists(
    stored: StoredModel, tmp_path: Path
) -> None:
    export(stored, Target.ONNX, tmp_path / "model.onnx")
    columns = {**users(), "top_interests": [()] * 400}
    expected = stored.segmentation.assign(columns).segment.tolist()
    assert run_onnx(tmp_path / "model.onnx", columns, stored.segmentation.encoder)[0] == expected


def test_columns_of_a_table_may_be_more_and_in_any_order(stored: StoredModel, tmp_path: Path) -> None:
    export(stored, Target.SKLEARN, tmp_path / "model.joblib")
    columns = users()
    lists = [[*items] for items in columns["top_interests"]]
    frame = pd.DataFrame({"top_interests": lists, "extra": 1, **{n: columns[n] for n in reversed([*columns][:-1])}})
    expected = stored.segmentation.assign(columns).segment.tolist()
    assert joblib.load(tmp_path / "model.joblib").predict(frame).tolist() == expected


def test_text_in_place_of_a_list_is_refused_and_not_taken_for_unknown_labels(
    stored: StoredModel, tmp_path: Path
) -> None:
    export(stored, Target.SKLEARN, tmp_path / "model.joblib")
    frame = pd.DataFrame({**users(), "top_interests": "Gaming, Gardening"})
    with pytest.raises(TypeError, match="list"):
        joblib.load(tmp_path / "model.joblib").predict(frame)


def test_a_graph_says_of_itself_what_goes_in_and_what_comes_out(stored: StoredModel, tmp_path: Path) -> None:
    export(stored, Target.ONNX, tmp_path / "model.onnx")
    loaded = onnx.load(tmp_path / "model.onnx")
    says = {given.name: given.doc_string for given in loaded.graph.input}
    assert [*says] == [column.name for column in stored.segmentation.encoder.kept]
    assert says["likes_and_reactions"].startswith("a number; NaN")
    assert says["education_level"].startswith("a label, lowest first: High School, Technical, Bachelor, Master, PhD")
    assert says["top_interests"].startswith("a list of labels, padded with '' to the longest: Data Science, ")
    assert {given.name for given in loaded.graph.output} == {"segment", "distance"}
    facts = {fact.key: fact.value for fact in loaded.metadata_props}
    assert (facts["version"], facts["model_sha256"]) == (stored.manifest.id, stored.segmentation.digest)
    assert json.loads(facts["segment_names"])["7"] == "Segment 0"


def test_a_graph_has_the_same_bytes_each_time(stored: StoredModel, tmp_path: Path) -> None:
    for name in ("first", "second"):
        export(stored, Target.ONNX, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@BOTH
def test_a_model_of_one_kind_of_field_is_exported_too(target: Target, tmp_path: Path) -> None:
    fields = [column.name for column in segmentation().encoder.columns]
    for kept in ("likes_and_reactions", "age", "gender", "top_interests"):
        made = segmentation(left_out=frozenset(fields) - {kept})
        assert export(of(made, tmp_path / kept), target, tmp_path / kept / "file").rows == 3_400


AT_LEAST_0 = {"a_min": 0.0, "a_max": None}
WRONG: dict[Target, tuple[Any, str, Callable[..., Any]]] = {
    Target.ONNX: (
        onnx_form,
        "_one_hot",
        lambda graph, unknown: graph.constant(np.ones((len(unknown) + 1, len(unknown)))),
    ),
    Target.SKLEARN: (sklearn_form, "_clip", lambda *_: FunctionTransformer(np.clip, kw_args=AT_LEAST_0, validate=True)),
}


@BOTH
def test_a_file_that_does_not_do_what_the_model_does_is_not_written(
    target: Target, stored: StoredModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = b"of an earlier export"
    (tmp_path / "file").write_bytes(before)
    monkeypatch.setattr(*WRONG[target])
    with pytest.raises(ExportRefused, match=rf"the {target} form of version \S+ differs from the model on [\d,]+ of "):
        export(stored, target, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"store", "file"}


@BOTH
def test_a_segment_under_another_number_is_noticed(
    target: Target, stored: StoredModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(stored.segmentation.segments[0], number=9)
    renumbered = replace(stored.segmentation, segments=(other, *stored.segmentation.segments[1:]))
    form: Any = onnx_form if target is Target.ONNX else sklearn_form
    write = form.write
    monkeypatch.setattr(form, "write", lambda given, path: write(replace(given, segmentation=renumbered), path))
    with pytest.raises(ExportRefused, match=r"segment 9 at distance .* instead of 7 at"):
        export(stored, target, tmp_path / "file")


def test_rows_on_a_border_may_fall_on_either_side_and_are_counted(
    stored: StoredModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = synthetic_rows(stored.segmentation, seed=0)
    expected = stored.segmentation.assign(columns)
    margin = expected.margin.copy()
    margin[:5] = BORDER_MARGIN / 2
    monkeypatch.setattr(Segmentation, "assign", lambda *_: replace(expected, margin=margin))
    elsewhere = expected.segment.copy()
    elsewhere[:5] = 99
    refuse = export_module._refuse_differences
    assert refuse(stored, Target.ONNX, columns, elsewhere, expected.distance) == 5
    elsewhere[5] = 99
    with pytest.raises(ExportRefused, match="on 1 of"):
        refuse(stored, Target.ONNX, columns, elsewhere, expected.distance)
    with pytest.raises(ExportRefused, match="on 3,400 of"):
        refuse(stored, Target.ONNX, columns, expected.segment, expected.distance + 1e-3)


@BOTH
def test_a_model_of_users_without_a_list_is_refused(target: Target, stored: StoredModel, tmp_path: Path) -> None:
    manifest = stored.manifest.model_copy(update={"missing": {"top_interests": 0.1}})
    with pytest.raises(ExportRefused, match="top_interests"):
        export(replace(stored, manifest=manifest), target, tmp_path / "file")


@BOTH
def test_a_file_that_cannot_be_written_is_reported(target: Target, stored: StoredModel, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        export(stored, target, tmp_path / "missing" / "file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="folder"):
        export(stored, target, tmp_path / "folder")
    assert {path.name for path in tmp_path.iterdir()} == {"store", "folder"}


def test_names_and_labels_that_a_graph_cannot_have_are_refused_for_it_alone(
    stored: StoredModel, tmp_path: Path
) -> None:
    encoder = stored.segmentation.encoder
    called_segment = [replace(c, name="segment") if isinstance(c, NumberColumn) else c for c in encoder.columns[:6]]
    empty_label = [
        replace(c, levels=("", *c.levels[1:])) if isinstance(c, SeveralOfColumn) else c for c in encoder.columns
    ]
    for columns, says in (
        ([*called_segment, *encoder.columns[6:]], "field 'segment'"),
        (empty_label, "field 'top_interests' has the label ''"),
    ):
        odd = replace(stored, segmentation=replace(stored.segmentation, encoder=Encoder(tuple(columns))))
        with pytest.raises(ExportRefused, match=says):
            export(odd, Target.ONNX, tmp_path / "file")
        export(odd, Target.SKLEARN, tmp_path / "file")


def test_the_rows_that_an_export_is_tried_on_meet_every_segment_and_every_label(model: Segmentation) -> None:
    columns = synthetic_rows(model, seed=0)
    assert {*model.assign(columns).segment.tolist()} == {*NUMBERS}
    for column in model.encoder.columns:
        values = columns[column.name]
        assert len(values) == 3_400
        if isinstance(column, NumberColumn):
            assert {0.0, 1e12, -1e12, None} <= {*values}
        elif not isinstance(column, BooleanColumn):
            labels = {x for value in values for x in (value if isinstance(column, SeveralOfColumn) else [value])}
            assert labels - {None} == {*column.levels, UNSEEN}
            assert (None in labels) is not isinstance(column, SeveralOfColumn)
    lists = columns["top_interests"]
    assert [] in lists
    assert any(len(items) > len({*items}) for items in lists)


def test_the_command_writes_the_file_and_says_what_it_was_tried_on(
    stored: StoredModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", stored.manifest.id, "--models", str(tmp_path / "store"), "-o", str(tmp_path / "x.onnx")]
    assert main([*command, "--to", "onnx"]) == 0
    output, errors = capsys.readouterr()
    assert "on 3,400 synthetic rows\n" in output
    assert output.endswith(f"version  {stored.manifest.id}\nfile     {tmp_path / 'x.onnx'}\n")
    assert errors == ""
    onnx.checker.check_model(onnx.load(tmp_path / "x.onnx"))
    assert main([*command[:-1], str(tmp_path / "missing" / "x"), "--to", "sklearn"]) == 2
    assert capsys.readouterr().err.startswith(f"segment-trainer: {tmp_path / 'missing' / 'x'} cannot be written")


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_packages_of_graphs_the_command_names_their_extra(
    package: str,
    stored: StoredModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delitem(sys.modules, "trainer.exporting.onnx_form")
    monkeypatch.delattr("trainer.exporting.onnx_form")
    monkeypatch.setitem(sys.modules, package, None)
    command = ["export", stored.manifest.id, "--models", str(tmp_path / "store"), "-o", str(tmp_path / "x")]
    assert main([*command, "--to", "onnx"]) == 2
    says = f'this command needs {package}, which the base install does not have: install it with the extra "export" '
    assert says in capsys.readouterr().err
    assert main([*command, "--to", "sklearn"]) == 0


def test_a_worker_knows_neither_form() -> None:
    code = (
        "import sys, worker.run, models.store\n"
        "print(*{'onnx', 'onnxruntime', 'joblib', 'sklearn', 'pickle5', 'trainer'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
