"""A segmentation as one scikit-learn Pipeline, in a joblib file that loads where this project is not installed.

Its `predict` takes a pandas DataFrame with one column for each field that counts in the distance, under the field's
name as in an event; other columns are ignored. A number is a number, true or false a boolean, a label a string, several
labels a list of strings (a tuple or comma-separated text raises TypeError); None or NaN is missing. It returns the
stable number of each row's segment.

All steps are scikit-learn's own objects: a ColumnTransformer that encodes, a StandardScaler, and a KNeighborsClassifier
with one point per segment, its centroid, that returns the stable number of the nearest one (KMeans.predict would return
its index). The file contains no code or class of this project.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

from models.encoding import (
    BooleanColumn,
    CategoryColumn,
    Column,
    Columns,
    Encoder,
    Floats,
    NumberColumn,
    OrderedColumn,
    SeveralOfColumn,
)
from models.segmentation import Segmentation
from models.store import StoredModel


def write(stored: StoredModel, path: Path) -> None:
    """Write the pipeline of a stored model."""
    segmentation = stored.segmentation
    encoder = segmentation.encoder
    numbers = [segment.number for segment in segmentation.segments]
    pipeline = Pipeline(
        [
            ("encode", _encode(encoder)),
            ("scale", _scale(encoder)),
            ("segment", KNeighborsClassifier(n_neighbors=1, algorithm="brute").fit(segmentation.centroids, numbers)),
        ]
    )
    joblib.dump(pipeline, path)


def assigned(segmentation: Segmentation, path: Path, columns: Columns) -> tuple[npt.NDArray[np.intp], Floats]:
    """Segment and distance of each row, computed by scikit-learn from a file that was just written here."""
    pipeline: Any = joblib.load(path)
    frame = _frame(segmentation.encoder, columns)
    distance, _ = pipeline[-1].kneighbors(pipeline[:-1].transform(frame))
    return pipeline.predict(frame), distance.ravel()


def _frame(encoder: Encoder, columns: Columns) -> pd.DataFrame:
    return pd.DataFrame({column.name: pd.Series([*columns[column.name]]) for column in encoder.kept})


def _encode(encoder: Encoder) -> Any:
    steps = [(column.name, _step(column, encoder), _selected(column)) for column in encoder.kept]
    encode = ColumnTransformer(steps, sparse_threshold=0.0, verbose_feature_names_out=False)
    return encode.fit(_frame(encoder, {column.name: _training_values(column) for column in encoder.kept}))


def _step(column: Column, encoder: Encoder) -> Any:
    match column:
        case NumberColumn():
            clipped = _clip(column.low, column.high)
            if column.log_unit is None:
                return make_pipeline(_filled_numbers(column.mean), clipped)
            mean = float(np.expm1(column.mean) * column.log_unit)
            # Fitted on one number, a MaxAbsScaler divides by it.
            return make_pipeline(
                _filled_numbers(mean), _clip(0.0, None), MaxAbsScaler(), FunctionTransformer(np.log1p), clipped
            )
        case BooleanColumn():
            return _filled_numbers(column.mean)
        case OrderedColumn():
            return make_pipeline(
                OrdinalEncoder(categories=[[*column.levels]], handle_unknown="use_encoded_value", unknown_value=np.nan),
                _filled(column.mean),
            )
        case CategoryColumn():
            unknown = column.width
            rows = [*np.eye(unknown).tolist(), encoder.unknown_of(column)]
            return make_pipeline(
                OrdinalEncoder(
                    categories=[[*column.levels]], handle_unknown="use_encoded_value", unknown_value=unknown
                ),
                OneHotEncoder(categories=[[*range(unknown + 1)]], sparse_output=False),
                # Each label selects its row: with a 1 in its own column, or that of an unknown label.
                FunctionTransformer(np.dot, kw_args={"b": rows}),
            )
        case SeveralOfColumn():
            # list.copy accepts lists only: text would otherwise be read as a list of characters.
            indices = {level: index for index, level in enumerate(column.levels)}
            return CountVectorizer(analyzer=list.copy, vocabulary=indices, binary=True, lowercase=False)


def _filled(mean: float) -> Any:
    """Replaces NaN."""
    return SimpleImputer(strategy="constant", fill_value=mean)


def _filled_numbers(mean: float) -> Any:
    """The same in a column of any numbers or booleans."""
    return make_pipeline(FunctionTransformer(np.asarray, kw_args={"dtype": np.float64}), _filled(mean))


def _clip(low: float, high: float | None) -> Any:
    return FunctionTransformer(np.clip, kw_args={"a_min": low, "a_max": high}, validate=True)


def _selected(column: Column) -> str | list[str]:
    """A list of one name selects a table, a name alone a series, which the step for lists needs."""
    return column.name if isinstance(column, SeveralOfColumn) else [column.name]


def _training_values(column: Column) -> Sequence[Any]:
    """Values from which the column's step learns the parameters of the model."""
    if isinstance(column, NumberColumn):
        return [column.log_unit or 0.0]
    if isinstance(column, BooleanColumn):
        return [False]
    return [[*column.levels]] if isinstance(column, SeveralOfColumn) else [column.levels[0]]


def _scale(encoder: Encoder) -> Any:
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_, scaler.var_ = encoder.means, encoder.scales, encoder.scales**2
    scaler.n_features_in_, scaler.n_samples_seen_ = encoder.width, 1
    return scaler
