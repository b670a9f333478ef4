import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from trainer.fitting.choose_k import different_rows
from trainer.fitting.scikit import SILHOUETTE_ROWS, Labels, silhouettes


@pytest.mark.parametrize("rows", [5, SILHOUETTE_ROWS, 2 * SILHOUETTE_ROWS + 1])
def test_silhouettes_are_those_of_scikit_learn(rows: int) -> None:
    generator = np.random.default_rng(rows)
    scaled = generator.normal(size=(rows, 4))
    labelings = [generator.permutation(np.arange(rows) % k) for k in (2, 3, 4)]
    alone = np.zeros(rows, dtype=np.intp)
    alone[2] = 1
    labelings.append(alone)
    expected = [float(silhouette_score(scaled, labels)) for labels in labelings]
    assert silhouettes(scaled, labelings) == pytest.approx(expected)


def test_equal_rows_are_as_near_as_can_be() -> None:
    rows = np.repeat([[0.5, 3.0], [7.0, 0.25]], 10, axis=0)
    assert silhouettes(rows, [np.repeat([0, 1], 10)]) == pytest.approx([1.0])
    assert silhouettes(np.zeros((4, 2)), [np.array([0, 0, 1, 1])]) == (0.0,)


def test_a_cluster_without_a_row_is_nobodys_neighbour() -> None:
    rows = np.array([[0.0], [1.0], [10.0], [11.0]])
    without: Labels = np.array([0, 0, 2, 2])
    assert silhouettes(rows, [without]) == pytest.approx(silhouettes(rows, [np.array([0, 0, 1, 1])]))
    assert silhouettes(rows, [np.zeros(4, dtype=np.intp)]) == (0.0,)


def test_rows_are_different_when_any_number_is() -> None:
    assert different_rows(np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 1.0]])) == 2
    assert different_rows(np.asfortranarray([[0.0, 1.0], [1.0, 0.0]])) == 2
