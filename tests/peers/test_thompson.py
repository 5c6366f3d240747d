"""Functions drawn from Gaussian processes, and how candidates are judged by them."""

import numpy as np
import pytest
import torch
from optuna.distributions import FloatDistribution

from tinypareto.peers.thompson import best_row, joint_sample, local_model, scalarised, total_violations
from tinypareto.search.history import History
from tinypareto.space import Space

SQUARE = Space({"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)})


def history_of(points, values, violations=None):
    n = len(points)
    kept = np.empty((n, 0)) if violations is None else violations
    return History(numbers=np.arange(n), points=points, values=values, violations=kept)


@pytest.fixture(scope="module")
def model():
    """An objective of either parameter, a million large, and a constraint on one."""
    points = np.random.default_rng(0).random((14, 2))
    values = 1e6 * np.sin(5 * points[:, :1]) + 1e6 * points[:, 1:]
    return local_model(SQUARE, history_of(points, values, points[:, :1] - 0.4))


def test_samples_have_the_posteriors_mean_and_deviation(model):
    points = np.random.default_rng(1).random((20, 2))
    rng = np.random.default_rng(2)
    samples = np.array([joint_sample(model.processes, points, rng) for _ in range(1000)])  # s x q x k
    mean, std = (part.numpy().T for part in model.processes.predict(torch.from_numpy(points)))
    np.testing.assert_allclose(samples.std(axis=0), std, rtol=0.12, atol=1e-4)
    assert (np.abs(samples.mean(axis=0) - mean) < 4.5 * std / np.sqrt(1000) + 1e-6).all()


def test_samples_are_smooth_functions_not_independent_numbers(model):
    """Far from all observations, neighbours differ by next to nothing, though the function may be anywhere."""
    points = np.array([[0.0, 1.0], [1e-4, 1.0]])
    rng = np.random.default_rng(0)
    samples = np.array([joint_sample(model.processes, points, rng)[:, 0] for _ in range(50)])
    assert np.ptp(samples[:, 0]) > 0.05
    assert np.abs(samples[:, 0] - samples[:, 1]).max() < 0.01 * np.ptp(samples[:, 0])


def test_drawn_objectives_are_in_the_historys_units_and_violations_at_least_zero(model):
    seen = model.processes.points.numpy()
    values, violations = model.draw(seen, np.random.default_rng(0))
    expected = 1e6 * np.sin(5 * seen[:, :1]) + 1e6 * seen[:, 1:]
    np.testing.assert_allclose(values, expected, atol=3e4)
    assert (violations >= 0).all()
    clear = np.abs(seen[:, 0] - 0.4) > 0.02
    np.testing.assert_array_equal((violations > 0)[clear], (seen[:, 0] > 0.4)[clear])


def test_parameter_that_changes_nothing_has_the_longer_lengthscale():
    points = np.random.default_rng(0).random((14, 2))
    found = local_model(SQUARE, history_of(points, np.sin(6 * points[:, :1]))).stretch
    assert found[1] > 3 * found[0]


def test_constant_objective_makes_no_trouble():
    points = np.random.default_rng(0).random((6, 2))
    values, _ = local_model(SQUARE, history_of(points, np.full((6, 1), 7.0))).draw(
        points, np.random.default_rng(0)
    )
    np.testing.assert_allclose(values, 7.0, atol=1.0)


def test_violation_counts_every_broken_constraint_whatever_its_unit():
    violations = np.array([[1.0, 1e6], [2.0, -1e6], [-1.0, 0.0], [-1.0, 2e6]])
    total = total_violations(violations)
    assert total[2] == 0.0
    np.testing.assert_allclose(total, total_violations(violations * [1.0, 1e-6]))
    spread = violations.std(axis=0)
    np.testing.assert_allclose(total, (violations.clip(0) / spread).sum(axis=1))


def test_best_row_is_the_smallest_score_among_the_feasible_else_the_least_violation():
    scores = np.array([0.0, 3.0, 2.0])
    assert best_row(scores, np.array([1.0, 0.0, 0.0])) == 2
    assert best_row(scores, np.array([0.2, 0.1, 0.3])) == 1
    assert best_row(np.zeros(2), np.zeros(2)) == 0


def test_scalarised_value_by_hand():
    observed = np.array([[0.0, 100.0], [10.0, 300.0]])
    found = scalarised(np.array([[5.0, 300.0]]), np.array([0.75, 0.25]), observed)
    # normalised (0.5, 1.0), weighted (0.375, 0.25), sum 0.625
    np.testing.assert_allclose(found, [0.375 + 0.05 * 0.625])
