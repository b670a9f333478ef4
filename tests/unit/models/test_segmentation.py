import json
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from models.encoding import Encoder, NumberColumn
from models.errors import ModelFormatError
from models.segmentation import Segment, Segmentation
from tests.support.fitted import random_columns, segmentation

LINE = Encoder((NumberColumn("x", None, -100.0, 100.0, 0.0, 1.0),))


def on_a_line(*centroids: float) -> Segmentation:
    return Segmentation(
        LINE, tuple(Segment(i, f"Segment {i}", (centroid,), 1.0, 2.0) for i, centroid in enumerate(centroids))
    )


def test_labels_equal_scikit_learn_on_a_hundred_thousand_rows() -> None:
    model = segmentation(k=6)
    columns = random_columns(100_000)
    raw = np.ascontiguousarray(model.encoder.encode(columns).matrix)
    scaler = StandardScaler().fit(raw)
    scaler.mean_, scaler.scale_ = model.encoder.means, model.encoder.scales
    kmeans = KMeans(n_clusters=model.k, n_init=1, max_iter=1).fit(raw[:100])
    kmeans.cluster_centers_ = model.centroids
    expected = kmeans.predict(scaler.transform(raw))
    assigned = model.assign(columns)
    assert len(np.unique(expected)) == 6
    assert np.array_equal(assigned.segment, expected)
    distances = np.sort(kmeans.transform(scaler.transform(raw)), axis=1)
    assert np.allclose(assigned.distance, distances[:, 0], rtol=1e-9, atol=1e-9)
    assert np.allclose(assigned.margin, 1 - distances[:, 0] / distances[:, 1], rtol=1e-9, atol=1e-9)


def test_margin_is_one_at_the_centre_zero_on_the_border_and_one_with_a_single_segment() -> None:
    assert on_a_line(0.0, 10.0).assign({"x": [0.0, 5.0, 2.5]}).margin.tolist() == [1.0, 0.0, 1 - 2.5 / 7.5]
    assert on_a_line(0.0).assign({"x": [7.0]}).margin.tolist() == [1.0]


def test_an_outlier_is_farther_than_the_limit_of_its_own_segment() -> None:
    model = Segmentation(LINE, (Segment(0, "near", (0.0,), 1.0, 2.0), Segment(1, "wide", (50.0,), 1.0, 9.0)))
    found = model.assign({"x": [2.0, 2.1, 58.0, 59.5]})
    assert found.outlier.tolist() == [False, True, False, True]
    assert found.distance.tolist() == pytest.approx([2.0, 2.1, 8.0, 9.5])


def test_the_stable_number_is_reported_not_the_index() -> None:
    model = Segmentation(LINE, (Segment(7, "seven", (0.0,), 1.0, 2.0), Segment(3, "three", (10.0,), 1.0, 2.0)))
    assert model.assign({"x": [9.0, 1.0]}).segment.tolist() == [3, 7]
    assert model.names == {7: "seven", 3: "three"}


def test_no_rows_get_no_segments() -> None:
    assert on_a_line(0.0, 1.0).assign({"x": []}).segment.tolist() == []


def test_a_model_read_back_is_the_same_value_and_the_same_bytes() -> None:
    model = segmentation(left_out=frozenset({"gender", "age"}))
    again = Segmentation.from_json(model.to_json())
    assert again == model
    assert again.to_json() == model.to_json()
    assert (again.digest, len(again.digest)) == (model.digest, 64)


def test_a_model_of_the_first_format_keeps_its_bytes_and_its_segments_of_unknown_categories() -> None:
    now = segmentation()
    content = now.to_json().replace(b'"format": 2', b'"format": 1', 1)
    first = Segmentation.from_json(content)
    assert first.to_json() == content
    columns = {**random_columns(50), "device_usage": ["a fridge"] * 50}
    device = [column.name for column in first.encoder.kept].index("device_usage")
    start = sum(column.width for column in first.encoder.kept[:device])
    block = slice(start, start + first.encoder.kept[device].width)
    assert (first.encoder.encode(columns).matrix[:, block] == 0).all()
    assert (now.encoder.encode(columns).matrix[:, block] > 0).all()
    assert first.assign(columns).distance.tolist() != now.assign(columns).distance.tolist()


def spoilt(change: Any) -> bytes:
    document = json.loads(segmentation().to_json())
    change(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a model"),
        (b"[]", "is not a model"),
        (b'{"format": 1}', "is not a model"),
        (spoilt(lambda model: model.update(format=3)), "has format 3, this release reads format 2"),
        (spoilt(lambda model: model.update(format=0)), "has format 0, this release reads format 2"),
        (spoilt(lambda model: model["columns"][0].update(kind="magic")), "is not a model"),
        (spoilt(lambda model: model["columns"][5].pop("mean")), "1 invalid values"),
        (spoilt(lambda model: model["segments"].clear()), "it has no segments"),
        (spoilt(lambda model: model["segments"][0]["centroid"].pop()), "a centroid does not have"),
        (spoilt(lambda model: model["segments"][1].update(number=0)), "the same number"),
        (spoilt(lambda model: model["segments"][1].update(centroid=model["segments"][0]["centroid"])), "same centroid"),
        (spoilt(lambda model: model["columns"][0].update(scale=0)), "scale is not a positive number"),
        (spoilt(lambda model: [column.update(weight=0) for column in model["columns"]]), "no column counts"),
    ],
)
def test_bytes_that_are_not_a_model_are_refused_with_the_reason(content: bytes, message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        Segmentation.from_json(content)


def test_an_outlier_is_judged_by_what_is_observed_of_it() -> None:
    columns = tuple(NumberColumn(name, None, -9.0, 9.0, 0.0, 1.0) for name in "abcd")
    model = Segmentation(Encoder(columns), (Segment(0, "Zero", (2.0,) * 4, 1.0, outlier_distance=3.0),))
    observed: dict[str, list[Any]] = {
        "a": [4.0, 4.0, 3.0],
        "b": [2.0, 2.0, 2.0],
        "c": [2.0, None, None],
        "d": [2.0, None, None],
    }
    found = model.assign(observed)
    # Two missing columns would add 2² each; two columns that are observed count for four.
    assert found.distance == pytest.approx([2.0, 12**0.5, 9**0.5])
    assert found.reach == pytest.approx([2.0, 8**0.5, 2**0.5])
    assert found.outlier.tolist() == [False, False, False]
    assert model.assign({**observed, "a": [6.0, 4.5, 3.0]}).outlier.tolist() == [True, True, False]


def test_a_number_out_of_range_makes_an_outlier_though_it_is_clipped() -> None:
    model = Segmentation(
        Encoder((NumberColumn("income", None, 15.0, 121.0, 60.0, 25.0),)), (Segment(0, "Zero", (2.0,), 1.0, 5.0),)
    )
    found = model.assign({"income": [121.0, 200.0, 1_000_000.0]})
    assert found.outlier.tolist() == [False, False, True]
    assert {name: rows.tolist() for name, rows in found.out_of_range.items()} == {"income": [2]}
