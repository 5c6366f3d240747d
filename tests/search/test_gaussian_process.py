import math

import numpy as np
import pytest
import torch

from tinypareto.errors import ShapeError
from tinypareto.search.gaussian_process import Hyperparameters, condition, fit, matern52


def problem(n=12, d=3, k=2, seed=0):
    rng = np.random.default_rng(seed)
    points = torch.from_numpy(rng.random((n, d)))
    outputs = torch.stack([(5 * points[:, 0]).sin() + points[:, 1], points.square().sum(1)], dim=1)[:, :k]
    return points, (outputs - outputs.mean(0)) / outputs.std(0), torch.arange(d)


def test_posterior_equals_gpytorch_for_the_same_hyperparameters():
    gpytorch = pytest.importorskip("gpytorch")
    points, outputs, groups = problem()
    hyper = Hyperparameters(
        lengthscales=torch.tensor([[0.3, 0.5, 1.2], [0.8, 0.2, 0.4]], dtype=torch.float64),
        variances=torch.tensor([1.3, 0.7], dtype=torch.float64),
        noises=torch.tensor([1e-3, 2e-2], dtype=torch.float64),
    )
    queries = torch.rand(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mean, std = condition(points, outputs, groups, hyper).predict(queries)
    for row in range(2):
        kernel = gpytorch.kernels.ScaleKernel(gpytorch.kernels.MaternKernel(nu=2.5, ard_num_dims=3)).double()
        kernel.base_kernel.lengthscale = hyper.lengthscales[row]
        kernel.outputscale = hyper.variances[row]
        covariance = kernel(points).to_dense() + hyper.noises[row] * torch.eye(12, dtype=torch.float64)
        cross = kernel(queries, points).to_dense()
        solved = torch.linalg.solve(covariance, outputs[:, row])
        torch.testing.assert_close(mean[row], cross @ solved, rtol=1e-8, atol=1e-8)
        variance = hyper.variances[row] - (cross * torch.linalg.solve(covariance, cross.T).T).sum(1)
        torch.testing.assert_close(std[row], variance.sqrt(), rtol=1e-7, atol=1e-8)


def test_kernel_solved_by_hand():
    value = matern52(torch.tensor([1.0], dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64))
    root = math.sqrt(5)
    assert float(value) == pytest.approx(2 * (1 + root + 5 / 3) * math.exp(-root), rel=1e-12)


def test_fit_predicts_a_smooth_function_it_has_not_seen():
    points, outputs, groups = problem(n=40, d=2)
    mean, std = fit(points[:30], outputs[:30], groups).predict(points[30:])
    assert (mean.T - outputs[30:]).abs().max() < 0.25
    assert (std < 0.3).all()


def test_outputs_do_not_influence_each_other():
    points, outputs, groups = problem()
    queries = points + 0.05
    together = fit(points, outputs, groups).predict(queries)[0][0]
    alone = fit(points, outputs[:, :1], groups).predict(queries)[0][0]
    torch.testing.assert_close(together, alone, rtol=1e-2, atol=1e-2)


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
def test_degenerate_observations_give_finite_predictions(points, outputs):
    model = fit(points.double(), outputs.double(), torch.arange(2))
    mean, std = model.predict(torch.rand(9, 2, dtype=torch.float64))
    assert mean.isfinite().all()
    assert (std > 0).all()


def test_arguments_stay_as_they_are():
    points, outputs, groups = problem()
    before = points.clone(), outputs.clone()
    fit(points, outputs, groups).predict(points)
    assert torch.equal(points, before[0])
    assert torch.equal(outputs, before[1])


def test_rows_that_do_not_match_are_rejected():
    points, outputs, groups = problem()
    with pytest.raises(ShapeError):
        fit(points, outputs[:-1], groups)
