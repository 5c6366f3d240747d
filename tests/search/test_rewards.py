import math

import numpy as np
import pytest
import torch

from tinypareto.search.gaussian_process import Hyperparameters, condition
from tinypareto.search.rewards import (
    ChebyshevImprovement,
    Feasibility,
    chebyshev,
    normal_samples,
    poster_reward,
)

POINTS = torch.tensor([[0.1], [0.4], [0.9]], dtype=torch.float64)


def model(outputs):
    k = outputs.shape[1]
    hyper = Hyperparameters(
        lengthscales=torch.full((k, 1), 0.3, dtype=torch.float64),
        variances=torch.ones(k, dtype=torch.float64),
        noises=torch.full((k,), 1e-6, dtype=torch.float64),
        smooth=torch.zeros(k, dtype=torch.bool),
    )
    return condition(POINTS, outputs, torch.zeros(1, dtype=torch.int64), hyper)


def reward_for(outputs, m, feasible, limits=(), seed=0, n_samples=4096):
    targets = outputs.numpy()[:, :m]
    return poster_reward(
        model(outputs), targets, np.array(limits, dtype=float), np.array(feasible),
        n_samples=n_samples, rng=np.random.default_rng(seed),
    )  # fmt: skip


def test_one_objective_gives_the_closed_form_of_expected_improvement():
    outputs = torch.tensor([[0.5], [-1.0], [1.5]], dtype=torch.float64)
    reward = reward_for(outputs, 1, [True, True, True])
    queries = torch.linspace(0.0, 1.0, 15, dtype=torch.float64)[:, None]
    mean, std = (value[0] for value in model(outputs).predict(queries))
    z = (-1.0 - mean) / std
    density = (-z.square() / 2).exp() / math.sqrt(2 * math.pi)
    closed = std * (z * torch.special.ndtr(z) + density)
    # Normalised by the observed span 2.5 and augmented by 1 + rho.
    torch.testing.assert_close(reward(queries), closed * 1.05 / 2.5, rtol=0.05, atol=2e-3)


def test_incumbent_is_the_best_feasible_value():
    outputs = torch.tensor([[0.5, -1.0], [-1.0, 1.0], [1.5, -1.0]], dtype=torch.float64)
    reward = reward_for(outputs, 1, [True, False, True], limits=[0.0])
    assert reward.best == pytest.approx(0.0)  # normalised over the feasible ones: 0.5 -> 0, 1.5 -> 1
    assert float(reward.low[0]) == 0.5


def test_two_objectives_agree_with_a_slow_average():
    outputs = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.7, 0.8]], dtype=torch.float64)
    reward = reward_for(outputs, 2, [True] * 3, n_samples=256)
    query = torch.tensor([[0.65]], dtype=torch.float64)
    mean, std = (value[:, 0] for value in model(outputs).predict(query))
    total = 0.0
    for eps in reward.eps:
        y = (mean + std * eps - reward.low) / reward.span
        scalar = max(w * v for w, v in zip(reward.weights, y, strict=True)) + 0.05 * float(reward.weights @ y)
        total += max(0.0, reward.best - float(scalar))
    assert float(reward(query)) == pytest.approx(total / 256, rel=1e-9)


def test_samples_are_drawn_once_so_that_a_reward_repeats():
    outputs = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.7, 0.8]], dtype=torch.float64)
    reward = reward_for(outputs, 2, [True] * 3, n_samples=8)
    query = torch.tensor([[0.2], [0.65]], dtype=torch.float64)
    assert torch.equal(reward(query), reward(query))


def test_probability_of_feasibility_scales_the_reward():
    outputs = torch.tensor([[0.5, -3.0], [-1.0, -3.0], [1.5, 3.0]], dtype=torch.float64)
    reward = reward_for(outputs, 1, [True, True, False], limits=[0.0])
    free = ChebyshevImprovement(
        feasibility=Feasibility(model=reward.feasibility.model, limits=torch.empty(0, dtype=torch.float64)),
        weights=reward.weights, low=reward.low, span=reward.span, best=reward.best, eps=reward.eps,
    )  # fmt: skip
    queries = torch.tensor([[0.3], [0.7], [0.9]], dtype=torch.float64)
    mean, std = reward.feasibility.model.predict(queries)
    factor = torch.special.ndtr(-mean[1] / std[1])
    torch.testing.assert_close(reward(queries), free(queries) * factor)
    assert float(factor[2]) < 0.01


def test_without_a_feasible_point_feasibility_alone_counts():
    outputs = torch.tensor([[0.5, 1.0], [-1.0, 2.0], [1.5, 3.0]], dtype=torch.float64)
    reward = reward_for(outputs, 1, [False] * 3, limits=[0.0])
    assert isinstance(reward, Feasibility)
    near, far = reward(torch.tensor([[0.1], [0.9]], dtype=torch.float64))
    assert near > far


def test_chebyshev_solved_by_hand():
    value = chebyshev(torch.tensor([1.0, 4.0]), torch.tensor([0.75, 0.25]))
    assert float(value) == pytest.approx(1.0 + 0.05 * 1.75)


def test_normal_samples_have_the_moments_of_a_normal():
    samples = normal_samples(1024, 3, np.random.default_rng(0))
    np.testing.assert_allclose(samples.mean(0), 0.0, atol=0.02)
    np.testing.assert_allclose(samples.std(0), 1.0, atol=0.02)
