"""Hyperparameters of Gaussian processes by marginal likelihood times prior, all outputs in one batch.

    D      n^2 x p       squared distances of all pairs of points, parameter by parameter
    theta  B x (p + 2)   logarithms of p lengthscales, variance and noise; one row for each problem

A problem is one output, one kernel and one starting point. The gradient is written out instead of left to
autograd: it is one matrix product with D, which measured several times faster.
"""

import math

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor

from tinypareto.search.gaussian_process import (
    GaussianProcesses,
    Hyperparameters,
    check_observations,
    condition,
    factor,
    squared_distances,
)
from tinypareto.search.kernels import covariance_and_slope

NOISE_BOUNDS = (1e-6, 1.0)
VARIANCE_BOUNDS = (0.05, 20.0)
LENGTHSCALE_BOUNDS = (0.02, 50.0)
MOST_POINTS = 160  # that hyperparameters are fitted to; each step costs n^3, and more points change little


def fit(
    points: Tensor, outputs: Tensor, groups: Tensor, *, choose_kernel: bool = False, max_iterations: int = 60
) -> GaussianProcesses:
    """Return the posteriors whose hyperparameters maximise marginal likelihood times prior.

    Two starting points, short and long lengthscales, are followed for every output at once; the
    better end counts, output by output.

    Args:
        points: Observed points, n x d, in the unit cube.
        outputs: Standardised observations, n x k.
        groups: Number of the parameter to which each of the d columns belongs.
        choose_kernel: Let the squared exponential compete with Matern-5/2, output by output.
        max_iterations: Of L-BFGS-B.

    Raises:
        ShapeError: If points, outputs and groups do not fit each other.
    """
    check_observations(points, outputs, groups)
    n = len(points)
    chosen = (
        torch.linspace(0, n - 1, min(n, MOST_POINTS), dtype=points.dtype, device=points.device).round().long()
    )
    found = _maximise(points[chosen], outputs[chosen], groups, choose_kernel, max_iterations)
    return condition(points, outputs, groups, found)


def _maximise(
    points: Tensor, outputs: Tensor, groups: Tensor, choose_kernel: bool, max_iterations: int
) -> Hyperparameters:
    n_parameters, k = int(groups.max()) + 1, outputs.shape[1]
    distances = squared_distances(points, groups)
    starts = _starts(n_parameters, k)  # B x (p + 2)
    smooth = torch.zeros(len(starts), dtype=torch.bool, device=points.device)
    if choose_kernel:
        starts, smooth = np.concatenate([starts, starts]), torch.cat([smooth, ~smooth])
    targets = outputs.T.repeat(len(starts) // k, 1)  # B x n

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        theta = torch.from_numpy(flat.reshape(len(starts), -1)).to(points.device)
        values, gradient = negative_log_posterior(theta, distances, targets, smooth)
        return float(values.sum()), gradient.cpu().numpy().ravel()

    bounds = [LENGTHSCALE_BOUNDS] * n_parameters + [VARIANCE_BOUNDS, NOISE_BOUNDS]
    log_bounds = [(math.log(low), math.log(high)) for low, high in bounds] * len(starts)
    end = minimize(
        loss, starts.ravel(), jac=True, method="L-BFGS-B", bounds=log_bounds,
        options={"maxiter": max_iterations, "maxcor": 20},
    )  # fmt: skip
    theta = torch.from_numpy(end.x.reshape(len(starts), -1)).to(points.device)
    losses = negative_log_posterior(theta, distances, targets, smooth)[0].reshape(-1, k)
    winner, column = losses.argmin(0), torch.arange(k, device=points.device)
    best = theta.reshape(-1, k, n_parameters + 2)[winner, column].exp()
    return Hyperparameters(
        lengthscales=best[:, :-2],
        variances=best[:, -2],
        noises=best[:, -1],
        smooth=smooth.reshape(-1, k)[winner, column],
    )


def negative_log_posterior(
    theta: Tensor, distances: Tensor, targets: Tensor, smooth: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what fitting minimises, B, and its gradient, B x (p + 2).

    With K = K(theta) the value is  y' K^-1 y / 2 + log det(K) / 2 - log prior  (constants left out) and
    its gradient  tr[(K^-1 - alpha alpha') dK / dtheta] / 2  plus the prior's.

    Args:
        theta: Logarithms of p lengthscales, variance and noise, for each of B problems, B x (p + 2).
        distances: Squared distances of all pairs of points by parameter, n^2 x p.
        targets: Observations of each problem, B x n.
        smooth: Which problems have the squared exponential kernel, B.
    """
    n = targets.shape[1]
    inverse_squares = (-2.0 * theta[:, :-2]).exp()  # B x p
    variance, noise = theta[:, -2].exp()[:, None, None], theta[:, -1].exp()
    squared = inverse_squares @ distances.T  # B x n^2
    values, slopes = covariance_and_slope(squared, variance[:, :, 0], smooth[:, None])
    scales = Hyperparameters(lengthscales=theta, variances=variance[:, 0, 0], noises=noise, smooth=smooth)
    root, alpha, log_det = factor(values.reshape(-1, n, n), targets, scales)
    losses = 0.5 * (alpha * targets).sum(-1) + 0.5 * log_det
    inner = 0.5 * (root.transpose(1, 2) @ root - alpha[:, :, None] * alpha[:, None, :])  # B x n x n
    flat = inner.reshape(len(theta), -1)
    by_lengthscale = ((flat * slopes) @ distances) * inverse_squares
    by_variance = (flat * values).sum(-1)
    by_noise = noise * inner.diagonal(dim1=1, dim2=2).sum(-1)
    gradient = torch.cat([by_lengthscale, by_variance[:, None], by_noise[:, None]], dim=1)
    penalty, penalty_gradient = _negative_log_prior(theta)
    return losses + penalty, gradient + penalty_gradient


def _negative_log_prior(theta: Tensor) -> tuple[Tensor, Tensor]:
    """Log-normal densities of lengthscales, variance and noise: value B and gradient B x (p + 2)."""
    n_parameters = theta.shape[1] - 2
    location = torch.tensor(
        # Lengthscales that grow with the dimension keep the prior's functions equally complex in
        # every dimension: Hvarfner et al., "Vanilla Bayesian optimization performs great in high
        # dimensions" (2024). Noise: most outputs of a deployment (ROM, RAM, FLOPs) have none.
        [math.sqrt(2.0) + 0.5 * math.log(n_parameters)] * n_parameters + [0.0, math.log(1e-4)],
        dtype=theta.dtype,
        device=theta.device,
    )
    spreads = [math.sqrt(3.0)] * n_parameters + [0.7, 2.5]
    width = torch.tensor(spreads, dtype=theta.dtype, device=theta.device)
    z = (theta - location) / width
    # + theta: the density of l, not of log(l), whose mode is the smaller lengthscale.
    return (theta + 0.5 * z.square()).sum(-1), 1.0 + z / width


def _starts(n_parameters: int, k: int) -> npt.NDArray[np.float64]:
    rows = [
        [math.log(length)] * n_parameters + [0.0, math.log(noise)]
        for length, noise in ((0.2, 1e-3), (0.5 * math.sqrt(n_parameters), 1e-2))
    ]
    return np.repeat(np.array(rows), k, axis=0)
