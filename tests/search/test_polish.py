import numpy as np
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tinypareto.search.polish import polished_ends
from tinypareto.space import Space

CPU = torch.device("cpu")
SPACE = Space({"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)})
MIXED = Space({
    "a": FloatDistribution(0.0, 1.0), "b": CategoricalDistribution(["p", "q", "r"]), "c": IntDistribution(0, 4)
})  # fmt: skip


def ridge(points):
    """A narrow ridge along x + y = 1 that rises to 1 at (0.9, 0.1)."""
    x, y = points[:, 0], points[:, 1]
    return 1.0 - 300.0 * (x + y - 1.0).square() - (x - 0.9).square()


def paths_to(*ends):
    return np.stack([np.linspace([0.5] * len(end), end, 4) for end in ends])


def test_ends_reach_the_top_of_a_narrow_ridge_and_bounds_hold():
    (end,) = polished_ends(SPACE, paths_to([0.4, 0.6]), ridge, 1, CPU)
    np.testing.assert_allclose(end, [0.9, 0.1], atol=1e-3)
    (end,) = polished_ends(SPACE, paths_to([0.4, 0.6]), lambda x: x.sum(1), 1, CPU)
    np.testing.assert_array_equal(end, [1.0, 1.0])


def test_only_the_best_that_stand_apart_are_improved_and_the_others_keep_their_best_point():
    def hills(points):
        return -(points[:, :1] - torch.tensor([0.2, 0.8], dtype=torch.float64)).abs().amin(1).square()

    paths = np.array([[0.25, 0.5], [0.251, 0.5], [0.7, 0.5], [0.95, 0.5]])[:, None]
    ends = polished_ends(SPACE, paths, hills, 2, CPU)
    np.testing.assert_allclose(ends[:, 0], [0.2, 0.251, 0.8, 0.95], atol=1e-3)


def test_parameters_without_a_continuum_stay():
    start = MIXED.round_points(np.array([[0.2, 0.1, 0.9, 0.0, 0.7]]))
    (end,) = polished_ends(MIXED, start[:, None], lambda x: -(x - 0.5).square().sum(1), 1, CPU)
    np.testing.assert_allclose(end, [0.5, *start[0, 1:]], atol=1e-6)


@pytest.mark.parametrize(
    "shape", [lambda x: torch.full_like(x[:, 0], -700.0) + 0 * x.sum(1), lambda x: -(0 * x).sqrt().sum(1)]
)
def test_flat_or_broken_slopes_leave_the_end_where_it_is(shape):
    ends = polished_ends(SPACE, paths_to([0.3, 0.3]), shape, 1, CPU)
    assert ends.shape == (1, 2)
    assert np.isfinite(ends).all()
