"""A segmentation as an ONNX graph, and its results in onnxruntime: the only module that imports onnx.

The graph has one input for each field that counts in the distance, under the field's name, one value per row:

- a number: double, shape (rows), NaN where it is missing;
- true or false: bool, shape (rows);
- a label: string, shape (rows), "" where it is missing;
- a list of labels: string, shape (rows, length of the longest list), each list padded with "" to the longest.

Outputs: `segment` (int64, stable number) and `distance` (double, to the segment's centroid in scaled space), both of
shape (rows). All arithmetic is done in double precision, as in models.segmentation. The graph documents all of this in
the doc strings of its inputs and outputs and in its metadata.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from models.encoding import (
    BooleanColumn,
    CategoryColumn,
    Columns,
    Encoder,
    Floats,
    NumberColumn,
    OrderedColumn,
    SeveralOfColumn,
)
from models.segmentation import Segmentation
from models.store import StoredModel
from trainer.errors import ExportRefused

# Supported by every onnxruntime since 1.12.
OPSETS = {"": 17, "ai.onnx.ml": 3}
IR_VERSION = 8
ROWS = "rows"
SEGMENT, DISTANCE = "segment", "distance"
PADDING = ""
MISSING_LABEL = ""


def write(stored: StoredModel, path: Path) -> None:
    """Write the graph of a stored model. Raises ExportRefused for field names or labels that a graph cannot have."""
    model = _model(stored)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def assigned(segmentation: Segmentation, path: Path, columns: Columns) -> tuple[npt.NDArray[np.intp], Floats]:
    """Segment and distance of each row, computed by onnxruntime from the file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = {column.name: _input(column, columns[column.name]) for column in segmentation.encoder.kept}
    segment, distance = session.run([SEGMENT, DISTANCE], inputs)
    return segment, distance


def _input(column: object, values: Sequence[Any]) -> npt.NDArray[Any]:
    if isinstance(column, NumberColumn):
        return np.array(values, dtype=np.float64)
    if isinstance(column, BooleanColumn):
        return np.array(values, dtype=np.bool_)
    if not isinstance(column, SeveralOfColumn):
        return np.array([MISSING_LABEL if value is None else value for value in values], dtype=object)
    padded = np.full((len(values), max(map(len, values))), PADDING, dtype=object)
    for row, items in enumerate(values):
        padded[row, : len(items)] = items
    return padded


class _Graph:
    """A graph under construction; nodes and constants are referred to by the name of their output."""

    def __init__(self) -> None:
        self.inputs: list[Any] = []
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def given(self, name: str, kind: int, shape: Sequence[str], description: str) -> str:
        """An input of the graph."""
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape, doc_string=description))
        return name

    def constant(self, value: npt.NDArray[Any]) -> str:
        """An array that is stored in the file."""
        name = f"/constant/{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, operator: str, *inputs: str, output: str | None = None, domain: str = "", **attributes: Any) -> str:
        """One operator on these inputs; returns the name of its output."""
        name = output or f"/{operator}/{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name, domain=domain, **attributes))
        return name

    def indices(self, name: str, labels: Sequence[str]) -> str:
        """The index of each label; for an unknown one the number of labels."""
        return self.node(
            "LabelEncoder",
            name,
            domain="ai.onnx.ml",
            keys_strings=labels,
            values_int64s=[*range(len(labels))],
            default_int64=len(labels),
        )


def _model(stored: StoredModel) -> Any:
    segmentation = stored.segmentation
    _require_expressible(segmentation.encoder, stored.manifest.missing)
    graph = _Graph()
    scaled = _scaled(graph, segmentation.encoder)
    _nearest(graph, segmentation, scaled)
    outputs = [
        helper.make_tensor_value_info(SEGMENT, TensorProto.INT64, [ROWS], doc_string="stable number of the segment"),
        helper.make_tensor_value_info(
            DISTANCE, TensorProto.DOUBLE, [ROWS], doc_string="Euclidean distance to its centroid in scaled space"
        ),
    ]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "segmentation", graph.inputs, outputs, graph.constants),
        doc_string=f"Version {stored.manifest.id}: from the raw fields of a {stored.manifest.profile.name} to its "
        f"segment. A list of labels is padded with {PADDING!r} to the longest list of the rows. A number "
        f"that is NaN and a label that is {MISSING_LABEL!r} are missing; a label that training did not see is not an "
        "error.",
        producer_name="stream-segmentation",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid(domain, number) for domain, number in OPSETS.items()],
    )
    facts = {
        "version": stored.manifest.id,
        "model_sha256": segmentation.digest,
        "profile": stored.manifest.profile.name,
        "segment_names": json.dumps(segmentation.names, ensure_ascii=False),
        "padding_of_lists": PADDING,
    }
    helper.set_model_props(model, facts)
    return model


def _require_expressible(encoder: Encoder, missing: Collection[str]) -> None:
    for column in encoder.kept:
        if isinstance(column, BooleanColumn) and column.name in missing:
            raise ExportRefused(
                f"field {column.name!r} had no value for some users, which true or false in a graph cannot express: "
                "export --to sklearn"
            )
        if column.name in {SEGMENT, DISTANCE}:
            raise ExportRefused(
                f"field {column.name!r} has the name of an output of the graph: export --to sklearn, or fit with a "
                "profile class that gives it another name"
            )
        if isinstance(column, SeveralOfColumn) and PADDING in column.levels:
            raise ExportRefused(
                f"field {column.name!r} has the label {PADDING!r}, which pads lists in a graph: export --to sklearn, "
                "or fit without that label"
            )


def _scaled(graph: _Graph, encoder: Encoder) -> str:
    """The scaled matrix (rows × width), its columns in the encoder's order."""
    one = graph.constant(np.array([1]))
    raw: list[str] = []
    numbers = [column for column in encoder.kept if isinstance(column, NumberColumn)]
    if numbers:
        encoded = graph.node("Concat", *(_number(graph, column, one) for column in numbers), axis=1)
        raised = graph.node("Max", encoded, graph.constant(np.array([[column.low for column in numbers]])))
        clipped = graph.node("Min", raised, graph.constant(np.array([[column.high for column in numbers]])))
        means = graph.constant(np.array([[column.mean for column in numbers]]))
        raw.append(graph.node("Where", graph.node("IsNaN", encoded), means, clipped))
    for column in encoder.kept:
        if isinstance(column, BooleanColumn):
            raw.append(_boolean(graph, column, one))
        elif isinstance(column, OrderedColumn):
            raw.append(_ordered(graph, column, one))
        elif isinstance(column, CategoryColumn):
            raw.append(_category(graph, column, encoder.unknown_of(column)))
        elif isinstance(column, SeveralOfColumn):
            raw.append(_several_of(graph, column, one))
    centred = graph.node("Sub", graph.node("Concat", *raw, axis=1), graph.constant(encoder.means[None, :]))
    return graph.node("Div", centred, graph.constant(encoder.scales[None, :]))


def _number(graph: _Graph, column: NumberColumn, one: str) -> str:
    name = graph.given(column.name, TensorProto.DOUBLE, [ROWS], "a number; NaN is missing")
    value = graph.node("Unsqueeze", name, one)
    if column.log_unit is None:
        return value
    positive = graph.node("Max", value, graph.constant(np.array(0.0)))
    in_units = graph.node("Div", positive, graph.constant(np.array(column.log_unit)))
    return graph.node("Log", graph.node("Add", in_units, graph.constant(np.array(1.0))))


def _boolean(graph: _Graph, column: BooleanColumn, one: str) -> str:
    name = graph.given(column.name, TensorProto.BOOL, [ROWS], "true or false")
    return graph.node("Unsqueeze", graph.node("Cast", name, to=TensorProto.DOUBLE), one)


def _ordered(graph: _Graph, column: OrderedColumn, one: str) -> str:
    name = graph.given(
        column.name,
        TensorProto.STRING,
        [ROWS],
        f"a label, lowest first: {', '.join(column.levels)}; {MISSING_LABEL!r} is missing",
    )
    values = graph.constant(np.array([*range(len(column.levels)), column.mean], dtype=np.float64))
    return graph.node("Unsqueeze", graph.node("Gather", values, graph.indices(name, column.levels)), one)


def _category(graph: _Graph, column: CategoryColumn, unknown: Sequence[float]) -> str:
    name = graph.given(
        column.name, TensorProto.STRING, [ROWS], f"a label: {', '.join(column.levels)}; {MISSING_LABEL!r} is missing"
    )
    return graph.node("Gather", _one_hot(graph, unknown), graph.indices(name, column.levels))


def _several_of(graph: _Graph, column: SeveralOfColumn, one: str) -> str:
    description = f"a list of labels, padded with {PADDING!r} to the longest: {', '.join(column.levels)}"
    name = graph.given(column.name, TensorProto.STRING, [ROWS, f"most_items_of_{column.name}"], description)
    indicators = graph.node("Gather", _one_hot(graph, [0.0] * len(column.levels)), graph.indices(name, column.levels))
    # A label that is listed twice counts once.
    times = graph.node("ReduceSum", indicators, one, keepdims=0)
    return graph.node("Min", times, graph.constant(np.array(1.0)))


def _one_hot(graph: _Graph, unknown: Sequence[float]) -> str:
    """One row for each label, with a 1 in its own column, and the row of an unknown one."""
    return graph.constant(np.vstack([np.eye(len(unknown)), unknown]))


def _nearest(graph: _Graph, segmentation: Segmentation, scaled: str) -> None:
    """The outputs, by |x − c|² = |c|² − 2 c·x + |x|², as Segmentation.assign computes them."""
    centroids = segmentation.centroids
    products = graph.node("MatMul", scaled, graph.constant(np.ascontiguousarray(-2.0 * centroids.T)))
    to_centroids = graph.node("Add", products, graph.constant(np.square(centroids).sum(axis=1)[None, :]))
    one = graph.constant(np.array([1]))
    length = graph.node("ReduceSum", graph.node("Mul", scaled, scaled), one, keepdims=1)
    squared = graph.node("Max", graph.node("Add", to_centroids, length), graph.constant(np.array(0.0)))
    numbers = graph.constant(np.array([segment.number for segment in segmentation.segments], dtype=np.int64))
    graph.node("Gather", numbers, graph.node("ArgMin", squared, axis=1, keepdims=0), output=SEGMENT)
    graph.node("Sqrt", graph.node("ReduceMin", squared, axes=[1], keepdims=0), output=DISTANCE)
