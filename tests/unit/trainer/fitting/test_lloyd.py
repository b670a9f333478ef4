import io
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import KMeans

from models.encoding import Floats
from tests.support.histories import columns, planted, read, write
from trainer.errors import FitRefused
from trainer.fitting.columns import ColumnRule, choose_columns
from trainer.fitting.lloyd import ScaledUsers, refined, scaled_users
from trainer.text.progress import Silence


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(1)


def users(points: Floats, chunks: int = 7) -> ScaledUsers:
    parts = np.array_split(points.astype(np.float32), chunks)
    return ScaledUsers(
        io.BytesIO(b"".join(part.tobytes() for part in parts)),
        tuple(map(len, parts)),
        points.shape[1],
        float(points.var(axis=0).mean()),
    )


def blobs(generator: np.random.Generator, rows: int) -> Floats:
    centres = generator.normal(0, 3, (4, 5))
    points: Floats = centres[generator.integers(0, 4, rows)] + generator.normal(0, 1, (rows, 5))
    return points


def test_the_centres_are_those_of_scikit_learn_from_the_same_start(generator: np.random.Generator) -> None:
    points = blobs(generator, 20_000)
    start = points[:4]
    found = refined(users(points), start)
    theirs = KMeans(4, init=start, n_init=1).fit(points)
    assert found.centroids == pytest.approx(theirs.cluster_centers_, abs=1e-3)
    assert found.users.sum() == 20_000
    assert found.users.tolist() == pytest.approx(np.bincount(theirs.labels_).tolist(), abs=20)  # before the last step


def test_the_chunks_decide_nothing_but_the_last_digits(generator: np.random.Generator) -> None:
    points = blobs(generator, 3_000)
    first, second = (refined(users(points, chunks), points[:4]) for chunks in (1, 50))
    assert first.users.tolist() == second.users.tolist()
    assert first.centroids == pytest.approx(second.centroids)
    again = refined(users(points, 50), points[:4])
    assert again.centroids.tobytes() == second.centroids.tobytes()


def test_a_centre_without_a_user_is_refused(generator: np.random.Generator) -> None:
    start = np.vstack([np.zeros(5), np.full(5, 1e6)])
    with pytest.raises(FitRefused, match="2 segments leave one without users: give a smaller --k"):
        refined(users(generator.normal(0, 1, (100, 5))), start)


def test_the_scaled_users_are_what_the_encoder_makes_of_them(tmp_path: Path) -> None:
    history = read(write(tmp_path / "history.csv", planted(300)))
    encoder = choose_columns(history, None, ColumnRule.RELATED, 0, Silence()).encoder
    told: list[tuple[int, int]] = []
    with scaled_users(history, encoder, lambda *done: told.append(done)) as scaled:
        found = np.concatenate([*scaled.chunks()])
    expected = encoder.scale(encoder.encode(columns(history)).matrix)
    assert found == pytest.approx(expected, rel=1e-6)
    assert scaled.mean_variance == pytest.approx(expected.var(axis=0).mean())
    assert told == [(300, 300)]
    assert scaled.file.closed
