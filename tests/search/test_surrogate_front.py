import numpy as np
import torch
from optuna.distributions import FloatDistribution, IntDistribution

from tinypareto.front import feasible_front
from tinypareto.search.marginal_likelihood import fit
from tinypareto.search.surrogate_front import predicted_front
from tinypareto.space import Space

SPACE = Space({"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1), "n": IntDistribution(0, 4)})
NO_LIMITS = np.empty(0)


def surrogate(constraint=False):
    points = SPACE.round_points(np.random.default_rng(0).random((40, 3)))
    spread = np.square(points[:, 1:] - 0.5).sum(1)
    outputs = [points[:, 0] + spread, 1 - points[:, 0] + spread]
    if constraint:
        outputs.append(points[:, 0] - 0.6)
    return fit(torch.from_numpy(points), torch.from_numpy(np.stack(outputs, axis=1)), torch.arange(3)), points


def test_front_reaches_the_ends_that_nobody_observed():
    model, points = surrogate()
    front = predicted_front(model, SPACE, points, NO_LIMITS, 2, np.random.default_rng(0))
    assert front.values[:, 0].min() < 0.03
    assert front.values[:, 1].min() < 0.03
    assert np.abs(front.values.sum(axis=1) - 1).max() < 0.1  # the true front is the line f1 + f2 = 1
    assert len(feasible_front(front.values)) == len(front.values)


def test_predicted_infeasible_points_do_not_count():
    model, points = surrogate(constraint=True)
    front = predicted_front(model, SPACE, points, np.zeros(1), 2, np.random.default_rng(0))
    assert 0.4 - 0.05 < front.values[:, 1].min() < 0.4 + 0.05
    nowhere = predicted_front(model, SPACE, points, np.full(1, -5.0), 2, np.random.default_rng(0))
    assert len(nowhere.values) == 0
    assert len(nowhere.candidates) >= 40


def test_candidates_are_points_of_the_space_and_the_seed_decides_them():
    model, points = surrogate()
    fronts = [
        predicted_front(model, SPACE, points, NO_LIMITS, 2, np.random.default_rng(s)) for s in (1, 1, 2)
    ]
    np.testing.assert_array_equal(SPACE.round_points(fronts[0].candidates), fronts[0].candidates)
    np.testing.assert_array_equal(fronts[0].candidates, fronts[1].candidates)
    assert not np.array_equal(fronts[0].values, fronts[2].values)
