import dataclasses

import numpy as np
import pytest
import torch

from tinypareto.errors import ShapeError
from tinypareto.search.gaussian_process import Hyperparameters, condition


def problem(n=12, d=3, k=2, seed=0):
    rng = np.random.default_rng(seed)
    points = torch.from_numpy(rng.random((n, d)))
    outputs = torch.stack([(5 * points[:, 0]).sin() + points[:, 1], points.square().sum(1)], dim=1)[:, :k]
    return points, (outputs - outputs.mean(0)) / outputs.std(0), torch.arange(d)


def hyperparameters():
    return Hyperparameters(
        lengthscales=torch.tensor([[0.3, 0.5, 1.2], [0.8, 0.2, 0.4]], dtype=torch.float64),
        variances=torch.tensor([1.3, 0.7], dtype=torch.float64),
        noises=torch.tensor([1e-3, 2e-2], dtype=torch.float64),
        smooth=torch.tensor([False, True]),
    )


@pytest.mark.parametrize(("n", "q"), [(12, 50), (300, 1000)])  # many are predicted in parts
def test_posterior_equals_gpytorch_for_the_same_hyperparameters(n, q):
    gpytorch = pytest.importorskip("gpytorch")
    points, outputs, groups = problem(n)
    hyper = hyperparameters()
    queries = torch.rand(q, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    model = condition(points, outputs, groups, hyper)
    mean, std = model.predict(queries)
    torch.testing.assert_close(model.predict_mean(queries), mean, rtol=1e-12, atol=1e-12)
    for row in range(2):
        kinds = (
            gpytorch.kernels.MaternKernel(nu=2.5, ard_num_dims=3),
            gpytorch.kernels.RBFKernel(ard_num_dims=3),
        )
        kernel = gpytorch.kernels.ScaleKernel(kinds[row]).double()
        kernel.base_kernel.lengthscale = hyper.lengthscales[row]
        kernel.outputscale = hyper.variances[row]
        covariance = kernel(points).to_dense() + hyper.noises[row] * torch.eye(n, dtype=torch.float64)
        cross = kernel(queries, points).to_dense()
        solved = torch.linalg.solve(covariance, outputs[:, row])
        torch.testing.assert_close(mean[row], cross @ solved, rtol=1e-8, atol=1e-8)
        variance = hyper.variances[row] - (cross * torch.linalg.solve(covariance, cross.T).T).sum(1)
        torch.testing.assert_close(std[row].square(), variance, rtol=1e-8, atol=1e-8)


def test_arguments_stay_as_they_are():
    points, outputs, groups = problem()
    before = points.clone(), outputs.clone()
    condition(points, outputs, groups, hyperparameters()).predict(points)
    assert torch.equal(points, before[0])
    assert torch.equal(outputs, before[1])


def test_rows_that_do_not_match_are_rejected():
    points, outputs, groups = problem()
    with pytest.raises(ShapeError, match="one row of outputs per point"):
        condition(points, outputs[:-1], groups, hyperparameters())
    with pytest.raises(ShapeError, match="one parameter per column"):
        condition(points, outputs, groups[:-1], hyperparameters())


def test_repeated_points_without_noise_are_rescued_by_jitter():
    points = torch.full((20, 3), 0.5, dtype=torch.float64)
    kernel = dataclasses.replace(hyperparameters(), noises=torch.full((2,), 1e-30, dtype=torch.float64))
    mean, std = condition(points, torch.ones(20, 2, dtype=torch.float64), torch.arange(3), kernel).predict(
        points
    )
    torch.testing.assert_close(mean, torch.ones_like(mean), rtol=1e-2, atol=0)
    assert std.isfinite().all()


@pytest.mark.parametrize("trials", [None, [0, 1, 1, 2, 3, 2, 4, 2, 5]])
def test_what_is_left_out_is_predicted_from_the_rest(trials):
    points, outputs, groups = problem(9)
    kernel = hyperparameters()
    together = None if trials is None else torch.tensor(trials)
    misses, deviations = condition(points, outputs, groups, kernel).left_out(together)
    numbers = torch.arange(9) if together is None else together
    for row in range(9):
        others = numbers != numbers[row]
        rest = condition(points[others], outputs[others], groups, kernel)
        mean, std = rest.predict(points[row : row + 1])
        torch.testing.assert_close(misses[:, row], outputs[row] - mean[:, 0])
        torch.testing.assert_close(deviations[:, row], (std[:, 0].square() + kernel.noises).sqrt())
