"""Which objectives are learnt on a log scale."""

import numpy as np
import pytest
import torch

from tinypareto.search.gaussian_process import condition
from tinypareto.search.marginal_likelihood import fit
from tinypareto.search.scale_choice import left_out_errors, logarithmic_objectives

tensor = torch.from_numpy


def points_and(function, n=40, seed=0):
    points = np.random.default_rng(seed).random((n, 2))
    return points, function(points)


def chosen(points, *columns):
    values = np.stack(columns, axis=1)
    trials = np.arange(len(points))
    return logarithmic_objectives(
        points, np.arange(2), trials, values, choose_kernel=True, device="cpu"
    ).tolist()


def test_product_of_factors_is_learnt_as_a_logarithm_and_a_sum_of_squares_as_it_is():
    """Both are skewed to the right, and more than less so as logarithms."""
    points, centred = points_and(lambda x: 6.0 * (x - 0.4))
    size = np.exp(centred[:, 0] + 0.5 * np.sin(centred[:, 1]))
    squares = np.square(centred).sum(axis=1) + 0.01
    narrow = 1.0 + points[:, 0]
    assert squares.max() > 20 * squares.min()
    assert size.max() > 20 * size.min()
    assert chosen(points, size, squares, narrow) == [True, False, False]


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_unit_does_not_matter(unit):
    points, centred = points_and(lambda x: 6.0 * (x - 0.4))
    size = np.exp(centred[:, 0] + 0.5 * np.sin(centred[:, 1]))
    squares = np.square(centred).sum(axis=1) + 0.01
    assert chosen(points, unit * size, unit * squares) == [True, False]


def left_out_in_turn(points, trials, values, *, logarithm):
    """The same by leaving out each trial in turn, with hyperparameters found for all of them."""
    raw = np.log(values) if logarithm else values
    targets = (raw - raw.mean()) / raw.std()
    found = fit(tensor(points), tensor(targets[:, None]), torch.arange(2), choose_kernel=True).hyperparameters
    misses = []
    for row in range(len(values)):
        others = trials != trials[row]
        model = condition(tensor(points[others]), tensor(targets[others][:, None]), torch.arange(2), found)
        expected = raw.mean() + raw.std() * float(model.predict_mean(tensor(points[[row]])))
        misses.append(abs((np.exp(expected) if logarithm else expected) - values[row]))
    return np.mean(misses)


@pytest.mark.parametrize("trials", [np.arange(12), np.array([0, 0, 1, 2, 3, 3, 4, 3, 5, 6, 7, 8])])
def test_errors_are_those_of_leaving_out_each_trial_in_turn(trials):
    points, centred = points_and(lambda x: 6.0 * (x - 0.4), n=12)
    values = 7.0 * np.exp(centred[:, 0] + 0.3 * np.sin(9 * centred[:, 1]))
    slow = [left_out_in_turn(points, trials, values, logarithm=logarithm) for logarithm in (False, True)]
    quick = left_out_errors(points, np.arange(2), trials, values[:, None], choose_kernel=True, device="cpu")
    np.testing.assert_allclose(quick, [slow], rtol=1e-4)


def test_two_observations_and_no_candidates():
    assert chosen(np.array([[0.1, 0.2], [0.5, 0.6]]), np.array([1.0, 100.0])) in ([True], [False])
    assert chosen(np.array([[0.1, 0.2]]), np.array([1.0])) == [False]
    assert (
        logarithmic_objectives(
            np.zeros((3, 2)), np.arange(2), np.arange(3), np.empty((3, 0)), choose_kernel=True, device="cpu"
        ).tolist()
        == []
    )
