"""Bytes made to harm a reader: each is refused with one short line that says what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ModelError, ModelFormatError
from models.golden import Golden
from models.segmentation import Segmentation
from models.store import ModelStore
from tests.support.fitted import files_of, published, segmentation

MODEL = segmentation()
Change = Callable[[Any], object]


def changed(content: bytes, change: Change) -> bytes:
    document = json.loads(content)
    change(document)
    return json.dumps(document).encode()


def model(change: Change) -> bytes:
    return changed(MODEL.to_json(), change)


def wide(document: Any) -> None:
    document["columns"] = [
        {"kind": "category", "name": "x", "levels": levels, "means": [0.0] * len(levels), "scale": 1.0, "weight": 1.0}
        for levels in [[str(number) for number in range(100_001)]]
    ]


HOSTILE_MODELS = {
    "deep": b"[" * 10_000_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"format":' * 100_000,
    "giant whole number": b'{"format":' + b"9" * 1_000_000 + b"}",
    "giant fraction": MODEL.to_json().replace(b"0.8", b"0." + b"8" * 100_000 + b"e400", 1),
    "infinite": MODEL.to_json().replace(b"0.8", b"1e999", 1),
    "NaN": MODEL.to_json().replace(b"0.8", b"NaN", 1),
    "NaN as text": model(lambda it: it["segments"][0].update(median_distance="NaN")),
    "infinite centroid as text": model(lambda it: it["segments"][0]["centroid"].__setitem__(0, "-inf")),
    "infinite weight as text": model(lambda it: it["columns"][0].update(weight="inf")),
    "long format": model(lambda it: it.update(format="x" * 1_000_000)),
    "long kind": model(lambda it: it["columns"][0].update(kind="x\n" * 1_000_000)),
    "no unit of the logarithm": model(lambda it: it["columns"][5].update(log_unit=0)),
    "giant segment number": model(lambda it: it["segments"][0].update(number=10**18)),
    "negative segment number": model(lambda it: it["segments"][0].update(number=-1)),
    "no UTF-8": b"\xff",
    "lone surrogate": b'{"format": "\\ud800"}',
    "columns that are none": model(lambda it: it.update(columns=[None])),
}


@pytest.mark.parametrize("content", [*HOSTILE_MODELS.values()], ids=[*HOSTILE_MODELS])
def test_a_hostile_model_is_refused_in_one_short_line(content: bytes) -> None:
    with pytest.raises(ModelFormatError) as refused:
        Segmentation.from_json(content)
    assert len(str(refused.value)) < 1_000
    assert "\n" not in str(refused.value)


def test_a_model_with_too_many_columns_is_refused() -> None:
    with pytest.raises(ModelFormatError, match="it has 100,001 matrix columns, at most 100,000 are read"):
        Segmentation.from_json(model(wide))


GOLDEN = files_of(MODEL)["golden.json"]


def golden(change: Change) -> bytes:
    return changed(GOLDEN, change)


HOSTILE_GOLDEN = {
    "deep": b"[" * 10_000_000,
    "giant number": golden(lambda it: it["segments"].__setitem__(0, 10**4_000)),
    "text for a number": golden(lambda it: it["columns"]["likes_and_reactions"].__setitem__(0, "x")),
    "giant for a number": golden(lambda it: it["columns"]["likes_and_reactions"].__setitem__(0, 10**400)),
    "nothing for a number": golden(lambda it: it["columns"]["likes_and_reactions"].__setitem__(0, None)),
    "a list for a label": golden(lambda it: it["columns"]["gender"].__setitem__(0, ["x"])),
    "a number for a list": golden(lambda it: it["columns"]["top_interests"].__setitem__(0, 7)),
    "lists in a list": golden(lambda it: it["columns"]["top_interests"].__setitem__(0, [["x"]])),
    "a short column": golden(lambda it: it["columns"]["gender"].pop()),
    "short segments": golden(lambda it: it["segments"].pop()),
    "a missing column": golden(lambda it: it["columns"].pop("gender")),
}


@pytest.mark.parametrize("content", [*HOSTILE_GOLDEN.values()], ids=[*HOSTILE_GOLDEN])
def test_hostile_golden_rows_are_refused_in_one_short_line(content: bytes) -> None:
    with pytest.raises(ModelFormatError) as refused:
        Golden.from_json(content).check(MODEL)
    assert len(str(refused.value)) < 1_000
    assert "\n" not in str(refused.value)


def test_at_most_a_thousand_golden_rows_are_read() -> None:
    many = json.dumps({"columns": {}, "segments": [0] * 1_000})
    Golden.from_json(many.encode())
    with pytest.raises(ModelFormatError, match="1 invalid values"):
        Golden.from_json(many.replace("[", "[0, ").encode())


HOSTILE_MANIFESTS = {
    "deep": lambda _: b"[" * 4_000_000,
    "giant format": lambda _: b'{"format":' + b"9" * 100_000 + b"}",
    "long format": lambda _: b'{"format":' + b"9" * 4_000 + b"}",
    "giant next number": lambda content: changed(content, lambda it: it.update(next_number=10**9)),
    "name with control characters": lambda content: changed(
        content, lambda it: it["files"].update({"\x1b[2J\n": "0" * 64})
    ),
    "long name": lambda content: changed(content, lambda it: it["files"].update({"x" * 1_000_000: "0" * 64})),
    "infinite figure": lambda content: content.replace(b'"silhouette": 0.3', b'"silhouette": 1e999', 1),
}


@pytest.mark.parametrize("change", [*HOSTILE_MANIFESTS.values()], ids=[*HOSTILE_MANIFESTS])
def test_a_hostile_manifest_is_refused_in_one_short_line(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    store = ModelStore(tmp_path)
    version = published(store).id
    path = store.folder(version) / "manifest.json"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ModelError) as refused:
        store.load(version)
    assert len(str(refused.value)) < 1_000
    assert str(refused.value).isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data())
def test_a_model_with_any_value_in_any_field_is_loaded_or_refused(data: st.DataObject) -> None:
    document = json.loads(MODEL.to_json())
    place: Any = document
    while True:
        keys = [*place] if isinstance(place, dict) else [*range(len(place))]
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    try:
        found = Segmentation.from_json(json.dumps(document).encode())
        Golden.from_json(GOLDEN).check(found)
    except ModelFormatError:
        pass
