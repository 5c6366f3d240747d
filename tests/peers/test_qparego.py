import numpy as np
import pytest

from tinypareto.search.history import History

qparego = pytest.importorskip("tinypareto.peers.qparego", reason="needs the extra bench")


@pytest.mark.filterwarnings("ignore::Warning")  # BoTorch's and GPyTorch's own, of their fits
@pytest.mark.parametrize("m", [1, 2])
def test_suggestion_lies_near_the_minimum_of_a_bowl(m):
    points = np.random.default_rng(0).random((12, 2))
    bowl = np.square(points - 0.6).sum(axis=1)
    values = np.stack([bowl] * m, axis=1)
    known = History(numbers=np.arange(12), points=points, values=values, violations=np.empty((12, 0)))
    point = qparego.suggest_qparego(known, seed=1)
    assert np.abs(point - 0.6).max() < 0.25
    assert np.array_equal(point, qparego.suggest_qparego(known, seed=1))
