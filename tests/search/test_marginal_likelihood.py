import math

import gpytorch
import numpy as np
import pytest
import torch

from tinypareto.errors import ShapeError
from tinypareto.search.gaussian_process import squared_distances
from tinypareto.search.marginal_likelihood import MOST_POINTS, expecting_noise, fit, negative_log_posterior


def problem(n=12, d=3, k=2, seed=0):
    rng = np.random.default_rng(seed)
    points = torch.from_numpy(rng.random((n, d)))
    outputs = torch.stack([(5 * points[:, 0]).sin() + points[:, 1], points.square().sum(1)], dim=1)[:, :k]
    return points, (outputs - outputs.mean(0)) / outputs.std(0), torch.arange(d)


def random_theta(rows, p, seed=0):
    """Lengthscales about 1, variance about 1, noise about 1e-2; as logarithms."""
    shift = torch.tensor([0.0] * p + [0.0, math.log(1e-2)], dtype=torch.float64)
    return shift + 0.3 * torch.randn(
        rows, p + 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


def prior_alone(theta, noise, spread):
    """What is left when nothing was observed but a zero without any weight: the negative log-prior."""
    n_parameters = theta.shape[1] - 2
    centre = torch.tensor(
        [math.sqrt(2) + math.log(n_parameters) / 2] * n_parameters + [0.0, math.log(noise)], dtype=theta.dtype
    )
    width = torch.tensor([math.sqrt(3)] * n_parameters + [0.7, spread], dtype=theta.dtype)
    logs = torch.distributions.LogNormal(centre, width).log_prob(theta.exp())
    constant = (width * math.sqrt(2 * math.pi)).log().sum()
    return -(logs.sum(-1) + constant)


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize(("noisy", "noise", "spread"), [(False, 1e-4, 2.5), (True, 0.2, 1.0)])
def test_likelihood_equals_gpytorch_for_the_same_hyperparameters(smooth, noisy, noise, spread):
    points, outputs, groups = problem()
    theta = random_theta(2, 3)
    kinds = torch.full((2,), smooth)
    found, _ = negative_log_posterior(theta, squared_distances(points, groups), outputs.T, kinds, noisy)
    found = found - prior_alone(theta, noise, spread) + 6 * math.log(2 * math.pi)  # n / 2 log(2 pi), n = 12
    for row in range(2):
        base = gpytorch.kernels.RBFKernel if smooth else gpytorch.kernels.MaternKernel
        kernel = gpytorch.kernels.ScaleKernel(base(ard_num_dims=3)).double()
        kernel.base_kernel.lengthscale, kernel.outputscale = theta[row, :3].exp(), theta[row, 3].exp()
        covariance = kernel(points).to_dense() + theta[row, 4].exp() * torch.eye(12, dtype=torch.float64)
        normal = torch.distributions.MultivariateNormal(torch.zeros(12, dtype=torch.float64), covariance)
        torch.testing.assert_close(found[row], -normal.log_prob(outputs[:, row]), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("noisy", [False, True])
def test_gradient_is_that_of_finite_differences(noisy):
    points, outputs, groups = problem()
    distances, theta = squared_distances(points, groups), random_theta(4, 3)
    targets, smooth = outputs.T.repeat(2, 1), torch.tensor([False, False, True, True])
    _, gradient = negative_log_posterior(theta, distances, targets, smooth, noisy)
    for column in range(5):
        step = torch.zeros(5, dtype=torch.float64)
        step[column] = 1e-5
        above, below = (
            negative_log_posterior(theta + sign * step, distances, targets, smooth, noisy)[0]
            for sign in (1, -1)
        )
        torch.testing.assert_close(gradient[:, column], (above - below) / 2e-5, rtol=1e-5, atol=1e-5)


def test_fit_predicts_a_smooth_function_it_has_not_seen():
    points, outputs, groups = problem(n=40, d=2)
    mean, std = fit(points[:30], outputs[:30], groups).predict(points[30:])
    assert (mean.T - outputs[30:]).abs().max() < 0.25
    assert (std < 0.3).all()


def test_what_is_known_to_be_noisy_is_not_explained_by_what_is_not_there():
    errors = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        points = torch.from_numpy(rng.random((100, 3)))
        truth = (4 * points[:, 0] - 2 * points[:, 1] - 1) / 1.3
        outputs = (truth + 0.4 * torch.from_numpy(rng.standard_normal(100)))[:, None].repeat(1, 2)
        without = fit(points[:30], outputs[:30], torch.arange(3))
        model = expecting_noise(without, torch.tensor([False, True]))
        mean, _ = model.predict(points[30:])
        torch.testing.assert_close(mean[0], without.predict(points[30:])[0][0])
        errors.append((mean - truth[30:]).square().mean(1).sqrt())
    without, with_knowledge = torch.stack(errors).mean(0)
    assert with_knowledge < 0.8 * without


def test_kernel_is_chosen_output_by_output_and_never_for_the_worse():
    points = torch.from_numpy(np.random.default_rng(0).random((40, 2)))
    outputs = torch.stack([(4 * points[:, 0]).sin() * points[:, 1], (points[:, 0] - 0.5).abs().sqrt()], dim=1)
    outputs = (outputs - outputs.mean(0)) / outputs.std(0)
    model = fit(points[:30], outputs[:30], torch.arange(2), choose_kernel=True)
    assert model.hyperparameters.smooth.tolist() == [True, False]
    alone = fit(points[:30], outputs[:30], torch.arange(2))
    assert not alone.hyperparameters.smooth.any()
    errors = [(m.predict(points[30:])[0][0] - outputs[30:, 0]).square().mean() for m in (model, alone)]
    assert errors[0] < errors[1]


def test_outputs_do_not_influence_each_other():
    points, outputs, groups = problem()
    queries = points + 0.05
    together = fit(points, outputs, groups).predict(queries)[0][0]
    alone = fit(points, outputs[:, :1], groups).predict(queries)[0][0]
    torch.testing.assert_close(together, alone, rtol=1e-2, atol=1e-2)


def test_many_points_are_fitted_by_a_part_of_them_and_all_enter_the_posterior():
    points, outputs, groups = problem(n=MOST_POINTS + 50, d=2)
    model = fit(points, outputs, groups)
    assert len(model.points) == MOST_POINTS + 50
    assert (model.predict(points)[0].T - outputs).abs().max() < 0.05


@pytest.mark.parametrize(
    ("points", "outputs"),
    [
        (torch.full((1, 2), 0.5), torch.zeros(1, 1)),
        (torch.full((30, 2), 0.5), torch.zeros(30, 2)),
        (torch.full((6, 2), 0.5), torch.arange(6.0)[:, None]),
        (torch.rand(20, 2, generator=torch.Generator().manual_seed(0)), torch.zeros(20, 1)),
    ],
    ids=["single observation", "repeated point", "contradicting repeats", "constant output"],
)
@pytest.mark.parametrize("choose_kernel", [False, True])
def test_degenerate_observations_give_finite_predictions(points, outputs, choose_kernel):
    model = fit(points.double(), outputs.double(), torch.arange(2), choose_kernel=choose_kernel)
    mean, std = model.predict(torch.rand(9, 2, dtype=torch.float64))
    assert mean.isfinite().all()
    assert (std > 0).all()


def test_arguments_stay_as_they_are():
    points, outputs, groups = problem()
    before = points.clone(), outputs.clone()
    fit(points, outputs, groups, choose_kernel=True)
    assert torch.equal(points, before[0])
    assert torch.equal(outputs, before[1])


def test_rows_that_do_not_match_are_rejected():
    points, outputs, groups = problem()
    with pytest.raises(ShapeError):
        fit(points, outputs[:-1], groups)
