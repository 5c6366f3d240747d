"""Hyperparameters of Gaussian processes by marginal likelihood times prior, all outputs in one batch.

    D      P x p         squared distances of the P = n (n + 1) / 2 pairs of points, parameter by parameter
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
    lower_triangles,
    of_pairs,
    pairs,
    squared_distances,
)
from tinypareto.search.kernels import covariance_and_slope

Matrix = npt.NDArray[np.float64]

NOISE_BOUNDS = (1e-6, 1.0)
VARIANCE_BOUNDS = (0.05, 20.0)
LENGTHSCALE_BOUNDS = (0.02, 50.0)
# Iterations of L-BFGS-B. 60 with every kernel and start took half as much work again, and ended no nearer to the best.
ROUNDS = (20, 20, 40)
# Median and spread of its logarithm: of any output, since those of a deployment (ROM, RAM, FLOPs) have none, and where
# it is expected (docs/method.md has the figures).
NOISE_PRIORS = {False: (1e-4, 2.5), True: (0.2, 1.0)}
MOST_POINTS = 160  # that hyperparameters are fitted to; each step costs n^3, and more points change little


def fit(
    points: Tensor, outputs: Tensor, groups: Tensor, *, choose_kernel: bool = False, noisy: bool = False
) -> GaussianProcesses:
    """Return the posteriors whose hyperparameters maximise marginal likelihood times prior.

    Two starting points, short and long lengthscales, are followed for every output and kernel, all at once; the
    better one goes on, and then the better kernel, output by output.

    Args:
        points: Observed points, n x d, in the unit cube.
        outputs: Standardised observations, n x k.
        groups: Number of the parameter to which each of the d columns belongs.
        choose_kernel: Let the squared exponential compete with Matern-5/2, output by output.
        noisy: Whether outputs are known to be noisy. Few observations never tell: without that knowledge noise is
            explained by short lengthscales.

    Raises:
        ShapeError: If points, outputs and groups do not fit each other.
    """
    check_observations(points, outputs, groups)
    n = len(points)
    chosen = (
        torch.linspace(0, n - 1, min(n, MOST_POINTS), dtype=points.dtype, device=points.device).round().long()
    )
    found = _maximise(points[chosen], outputs[chosen], groups, choose_kernel, noisy)
    return condition(points, outputs, groups, found)


def _maximise(
    points: Tensor, outputs: Tensor, groups: Tensor, choose_kernel: bool, noisy: bool
) -> Hyperparameters:
    """Climb in three rounds: every kernel and start; the better start of each kernel; the better kernel."""
    distances = squared_distances(points, groups)
    k, kernels = outputs.shape[1], [False, True] if choose_kernel else [False]
    theta = np.stack([_starts(distances.shape[1], k)] * len(kernels))  # kernels x starts x k x (p + 2)
    smooth = np.broadcast_to(np.array(kernels)[:, None, None], theta.shape[:3])
    for iterations in ROUNDS:
        theta, losses = _climbed(theta, smooth, distances, outputs, noisy, iterations)
        if theta.ndim > 2:  # the last round has one start and one kernel
            axis = theta.ndim - 3  # starts first, then kernels
            best = np.expand_dims(losses.argmin(axis=axis), axis)
            theta = np.take_along_axis(theta, best[..., None], axis).squeeze(axis)
            smooth = np.take_along_axis(smooth, best, axis).squeeze(axis)
    best_theta = torch.from_numpy(theta).to(points.device).exp()
    return Hyperparameters(
        lengthscales=best_theta[:, :-2],
        variances=best_theta[:, -2],
        noises=best_theta[:, -1],
        smooth=torch.from_numpy(smooth.copy()).to(points.device),
    )


def _climbed(
    theta: Matrix,
    smooth: npt.NDArray[np.bool_],
    distances: Tensor,
    outputs: Tensor,
    noisy: bool,
    iterations: int,
) -> tuple[Matrix, Matrix]:
    """Return theta, ... x k x (p + 2), after one run of L-BFGS-B over all problems, and their losses, ... x k."""
    shape, device = theta.shape[:-1], outputs.device
    kinds = torch.from_numpy(smooth.ravel()).to(device)
    targets = outputs.T.repeat(math.prod(shape[:-1]), 1)  # B x n

    def losses(flat: Matrix) -> tuple[Tensor, Tensor]:
        rows = torch.from_numpy(flat.reshape(len(targets), -1)).to(device)
        return negative_log_posterior(rows, distances, targets, kinds, noisy)

    def loss(flat: Matrix) -> tuple[float, Matrix]:
        values, gradient = losses(flat)
        return float(values.sum()), gradient.cpu().numpy().ravel()

    bounds = [LENGTHSCALE_BOUNDS] * distances.shape[1] + [VARIANCE_BOUNDS, NOISE_BOUNDS]
    log_bounds = [(math.log(low), math.log(high)) for low, high in bounds] * len(targets)
    end = minimize(
        loss, theta.ravel(), jac=True, method="L-BFGS-B", bounds=log_bounds,
        options={"maxiter": iterations, "maxcor": 20},
    ).x  # fmt: skip
    return end.reshape(theta.shape), losses(end)[0].cpu().numpy().reshape(shape)


def expecting_noise(
    model: GaussianProcesses, noisy: Tensor, *, choose_kernel: bool = False
) -> GaussianProcesses:
    """Return a model of the same observations that expects noise of some outputs, those where ``noisy``, k, is True."""
    if not noisy.any():
        return model
    found = fit(
        model.points, model.outputs[:, noisy], model.groups, choose_kernel=choose_kernel, noisy=True
    ).hyperparameters
    return condition(model.points, model.outputs, model.groups, model.hyperparameters.replaced(noisy, found))


def negative_log_posterior(
    theta: Tensor, distances: Tensor, targets: Tensor, smooth: Tensor, noisy: bool
) -> tuple[Tensor, Tensor]:
    """Return what fitting minimises, B, and its gradient, B x (p + 2).

    With K = K(theta) the value is  y' K^-1 y / 2 + log det(K) / 2 - log prior  (constants left out) and
    its gradient  tr[(K^-1 - alpha alpha') dK / dtheta] / 2  plus the prior's.

    Args:
        theta: Logarithms of p lengthscales, variance and noise, for each of B problems, B x (p + 2).
        distances: From `squared_distances`, P x p.
        targets: Observations of each problem, B x n.
        smooth: Which problems have the squared exponential kernel, B.
        noisy: Whether outputs are known to be noisy.
    """
    n = targets.shape[1]
    inverse_squares = (-2.0 * theta[:, :-2]).exp()  # B x p
    variance, noise = theta[:, -2:].exp().T
    values, slopes = covariance_and_slope(inverse_squares @ distances.T, variance[:, None], smooth)  # B x P
    scales = Hyperparameters(lengthscales=theta, variances=variance, noises=noise, smooth=smooth)
    lower = factor(lower_triangles(values, n), scales)
    inverse = torch.cholesky_inverse(lower)  # cheaper than L^-1, which predictions need, and its product
    alpha = (inverse @ targets[:, :, None])[:, :, 0]
    losses = 0.5 * (alpha * targets).sum(-1) + lower.diagonal(dim1=1, dim2=2).log().sum(-1)
    inner = 0.5 * (inverse - alpha[:, :, None] * alpha[:, None, :])  # B x n x n
    first, second = pairs(n, theta.device)
    flat = of_pairs(inner) * torch.where(first == second, 1.0, 2.0)  # both sides of the diagonal
    by_lengthscale = ((flat * slopes) @ distances) * inverse_squares
    by_variance = (flat * values).sum(-1)
    by_noise = noise * inner.diagonal(dim1=1, dim2=2).sum(-1)
    gradient = torch.cat([by_lengthscale, by_variance[:, None], by_noise[:, None]], dim=1)
    penalty, penalty_gradient = _negative_log_prior(theta, *NOISE_PRIORS[noisy])
    return losses + penalty, gradient + penalty_gradient


def _negative_log_prior(theta: Tensor, noise: float, spread: float) -> tuple[Tensor, Tensor]:
    """Log-normal densities of lengthscales, variance and noise: value B and gradient B x (p + 2)."""
    n_parameters = theta.shape[1] - 2
    location = torch.tensor(
        # Lengthscales that grow with the dimension keep the prior's functions equally complex in
        # every dimension: Hvarfner et al., "Vanilla Bayesian optimization performs great in high
        # dimensions" (2024).
        [math.sqrt(2.0) + 0.5 * math.log(n_parameters)] * n_parameters + [0.0, math.log(noise)],
        dtype=theta.dtype,
        device=theta.device,
    )
    spreads = [math.sqrt(3.0)] * n_parameters + [0.7, spread]
    width = torch.tensor(spreads, dtype=theta.dtype, device=theta.device)
    z = (theta - location) / width
    # + theta: the density of l, not of log(l), whose mode is the smaller lengthscale.
    return (theta + 0.5 * z.square()).sum(-1), 1.0 + z / width


def _starts(n_parameters: int, k: int) -> Matrix:
    """Return two starting points for every output, 2 x k x (p + 2)."""
    rows = [
        [math.log(length)] * n_parameters + [0.0, math.log(noise)]
        for length, noise in ((0.2, 1e-3), (0.5 * math.sqrt(n_parameters), 1e-2))
    ]
    return np.repeat(np.array(rows)[:, None], k, axis=1)
