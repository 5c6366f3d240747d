"""Gaussian processes over the unit cube, one for each output, in one batch.

All k outputs (objectives and constraints) share the n observed points, so their n x n matrices are
factored by one batched Cholesky call and their hyperparameters are fitted together.

    X      n x d         observed points
    Y      n x k         standardised observations, one column per output
    K      k x n x n     covariance of the observations, noise included
    root   k x n x n     inverse of K's lower Cholesky factor L
    alpha  k x n         K^-1 y

Kernel of each output: Matern-5/2 with one lengthscale per parameter (columns of one parameter share
theirs), mean 0:

    k(x, x') = s (1 + sqrt(5) r + 5/3 r^2) exp(-sqrt(5) r),   r^2 = sum_j (x_j - x'_j)^2 / l_j^2

The gradient of the marginal likelihood is written out instead of left to autograd: it is one matrix
product with the squared distances, which measured several times faster.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor

from tinypareto.errors import ShapeError

SQRT5 = math.sqrt(5.0)

# Jitter in units of the kernel's variance. The first is 0, since inferred noise usually suffices; repeated
# points with noise at its lower bound need more.
JITTERS = (0.0, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2)

NOISE_BOUNDS = (1e-6, 1.0)
VARIANCE_BOUNDS = (0.05, 20.0)
LENGTHSCALE_BOUNDS = (0.02, 50.0)


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """What the kernels of k outputs over p parameters depend on; standardised units.

    Attributes:
        lengthscales: k x p, in units of the cube's edge.
        variances: k, the kernel's value at distance 0.
        noises: k, variance of the observation noise.
    """

    lengthscales: Tensor
    variances: Tensor
    noises: Tensor


@dataclass(frozen=True, kw_only=True)
class GaussianProcesses:
    """k posteriors, ready to be asked about many points: two matrix products per output."""

    points: Tensor  # n x d
    groups: Tensor  # d: the parameter of each column
    hyperparameters: Hyperparameters
    root: Tensor  # k x n x n
    alpha: Tensor  # k x n

    def predict(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation, each k x q, of the noise-free outputs at points q x d."""
        cross = self._covariance(points)  # k x q x n
        mean = (cross @ self.alpha[:, :, None])[:, :, 0]
        explained = (cross @ self.root.transpose(1, 2)).square().sum(-1)  # k x q
        variance = self.hyperparameters.variances[:, None] - explained
        return mean, variance.clamp_min(1e-12).sqrt()

    def _covariance(self, points: Tensor) -> Tensor:
        scale = self.hyperparameters.lengthscales[:, self.groups].reciprocal()[:, None, :]  # k x 1 x d
        # Centred, since the expansion below loses digits far from the origin.
        centre = self.points.mean(0)
        a = (points - centre) * scale  # k x q x d
        b = (self.points - centre) * scale  # k x n x d
        squared = a.square().sum(-1)[:, :, None] + b.square().sum(-1)[:, None, :]
        squared = torch.baddbmm(squared, a, b.transpose(1, 2), alpha=-2.0)
        return matern52(squared, self.hyperparameters.variances[:, None, None])


def matern52(squared: Tensor, variance: Tensor) -> Tensor:
    """Return the Matern-5/2 covariance for squared scaled distances r^2; values below 0 count as 0."""
    root = SQRT5 * squared.clamp_min(0.0).sqrt()
    return variance * (1.0 + root + root.square() / 3.0) * (-root).exp()


def condition(
    points: Tensor, outputs: Tensor, groups: Tensor, hyperparameters: Hyperparameters
) -> GaussianProcesses:
    """Return the posteriors given observations.

    Args:
        points: Observed points, n x d, in the unit cube.
        outputs: Standardised observations, n x k.
        groups: Number of the parameter to which each of the d columns belongs.
        hyperparameters: Of k outputs.

    Raises:
        ShapeError: If points, outputs and groups do not fit each other.
    """
    _check(points, outputs, groups)
    distances = _squared_distances(points, groups)
    n = len(points)
    squared = hyperparameters.lengthscales.square().reciprocal() @ distances.T  # k x n^2
    covariance = matern52(squared.reshape(-1, n, n), hyperparameters.variances[:, None, None])
    root, alpha = _factor(covariance, outputs.T, hyperparameters)[:2]
    return GaussianProcesses(
        points=points, groups=groups, hyperparameters=hyperparameters, root=root, alpha=alpha
    )


def fit(points: Tensor, outputs: Tensor, groups: Tensor, *, max_iterations: int = 60) -> GaussianProcesses:
    """Return the posteriors whose hyperparameters maximise marginal likelihood times prior.

    Two starting points, short and long lengthscales, are followed for every output at once; the
    better end counts, output by output.

    Args:
        points: Observed points, n x d, in the unit cube.
        outputs: Standardised observations, n x k.
        groups: Number of the parameter to which each of the d columns belongs.
        max_iterations: Of L-BFGS-B.

    Raises:
        ShapeError: If points, outputs and groups do not fit each other.
    """
    _check(points, outputs, groups)
    n_parameters, k = int(groups.max()) + 1, outputs.shape[1]
    distances = _squared_distances(points, groups)
    starts = _starts(n_parameters, k)  # B x (p + 2)
    targets = outputs.T.repeat(len(starts) // k, 1)  # B x n

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        theta = torch.from_numpy(flat.reshape(len(starts), -1))
        values, gradient = negative_log_posterior(theta, distances, targets)
        return float(values.sum()), gradient.numpy().ravel()

    bounds = [LENGTHSCALE_BOUNDS] * n_parameters + [VARIANCE_BOUNDS, NOISE_BOUNDS]
    log_bounds = [(math.log(low), math.log(high)) for low, high in bounds] * len(starts)
    end = minimize(
        loss, starts.ravel(), jac=True, method="L-BFGS-B", bounds=log_bounds,
        options={"maxiter": max_iterations, "maxcor": 20},
    )  # fmt: skip
    theta = torch.from_numpy(end.x.reshape(len(starts), -1))
    losses = negative_log_posterior(theta, distances, targets)[0].reshape(-1, k)
    best = theta.reshape(-1, k, n_parameters + 2)[losses.argmin(0), torch.arange(k)].exp()
    chosen = Hyperparameters(lengthscales=best[:, :-2], variances=best[:, -2], noises=best[:, -1])
    return condition(points, outputs, groups, chosen)


def negative_log_posterior(theta: Tensor, distances: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return what fitting minimises, B, and its gradient, B x (p + 2).

    With K = K(theta) the value is  y' K^-1 y / 2 + log det(K) / 2 - log prior  (constants left out) and
    its gradient  tr[(K^-1 - alpha alpha') dK / dtheta] / 2  plus the prior's.

    Args:
        theta: Logarithms of p lengthscales, variance and noise, for each of B problems, B x (p + 2).
        distances: Squared distances of all pairs of points by parameter, n^2 x p.
        targets: Observations of each problem, B x n.
    """
    n = targets.shape[1]
    inverse_squares = (-2.0 * theta[:, :-2]).exp()  # B x p
    variance, noise = theta[:, -2].exp()[:, None, None], theta[:, -1].exp()
    root5 = SQRT5 * (inverse_squares @ distances.T).sqrt()  # B x n^2
    decay = variance[:, :, 0] * (-root5).exp()
    covariance = decay * (1.0 + root5 + root5.square() / 3.0)
    scales = Hyperparameters(lengthscales=theta, variances=variance[:, 0, 0], noises=noise)
    root, alpha, log_det = _factor(covariance.reshape(-1, n, n), targets, scales)
    values = 0.5 * (alpha * targets).sum(-1) + 0.5 * log_det
    inner = 0.5 * (root.transpose(1, 2) @ root - alpha[:, :, None] * alpha[:, None, :])  # B x n x n
    flat = inner.reshape(len(theta), -1)
    # dK / dlog(l_j) = 5/3 s (1 + sqrt(5) r) exp(-sqrt(5) r) D_j / l_j^2
    by_lengthscale = ((flat * decay * (1.0 + root5)) @ distances) * inverse_squares * (5.0 / 3.0)
    by_variance = (flat * covariance).sum(-1)
    by_noise = noise * inner.diagonal(dim1=1, dim2=2).sum(-1)
    gradient = torch.cat([by_lengthscale, by_variance[:, None], by_noise[:, None]], dim=1)
    penalty, penalty_gradient = _negative_log_prior(theta)
    return values + penalty, gradient + penalty_gradient


def _negative_log_prior(theta: Tensor) -> tuple[Tensor, Tensor]:
    """Log-normal densities of lengthscales, variance and noise: value B and gradient B x (p + 2)."""
    n_parameters = theta.shape[1] - 2
    location = torch.tensor(
        # Lengthscales that grow with the dimension keep the prior's functions equally complex in
        # every dimension: Hvarfner et al., "Vanilla Bayesian optimization performs great in high
        # dimensions" (2024). Noise: most outputs of a deployment (ROM, RAM, FLOPs) have none.
        [math.sqrt(2.0) + 0.5 * math.log(n_parameters)] * n_parameters + [0.0, math.log(1e-4)],
        dtype=theta.dtype,
    )
    width = torch.tensor([math.sqrt(3.0)] * n_parameters + [0.7, 2.5], dtype=theta.dtype)
    z = (theta - location) / width
    # + theta: the density of l, not of log(l), whose mode is the smaller lengthscale.
    return (theta + 0.5 * z.square()).sum(-1), 1.0 + z / width


def _starts(n_parameters: int, k: int) -> npt.NDArray[np.float64]:
    rows = [
        [math.log(length)] * n_parameters + [0.0, math.log(noise)]
        for length, noise in ((0.2, 1e-3), (0.5 * math.sqrt(n_parameters), 1e-2))
    ]
    return np.repeat(np.array(rows), k, axis=0)


def _factor(covariance: Tensor, targets: Tensor, scales: Hyperparameters) -> tuple[Tensor, Tensor, Tensor]:
    """Return inverse Cholesky factors B x n x n, alpha B x n and log det(K) B; jitter rises as needed."""
    identity = torch.eye(covariance.shape[-1], dtype=covariance.dtype)
    noisy = covariance + scales.noises[:, None, None] * identity
    lower, failed = torch.linalg.cholesky_ex(noisy)
    for jitter in JITTERS[1:]:
        if not failed.any():
            break
        rescued, still = torch.linalg.cholesky_ex(noisy + jitter * scales.variances[:, None, None] * identity)
        lower = torch.where((failed > 0)[:, None, None], rescued, lower)
        failed = torch.where(failed > 0, still, failed)
    root = torch.linalg.solve_triangular(lower, identity.expand_as(lower), upper=False)
    whitened = root @ targets[:, :, None]  # B x n x 1
    alpha = (root.transpose(1, 2) @ whitened)[:, :, 0]
    log_det = 2.0 * lower.diagonal(dim1=1, dim2=2).log().sum(-1)
    return root, alpha, log_det


def _squared_distances(points: Tensor, groups: Tensor) -> Tensor:
    """Return n^2 x p: for each pair of points the squared distance along each parameter's columns."""
    squared = (points[:, None, :] - points[None, :, :]).square()  # n x n x d
    result = torch.zeros(*squared.shape[:2], int(groups.max()) + 1, dtype=points.dtype)
    return result.index_add(2, groups, squared).reshape(-1, result.shape[2])


def _check(points: Tensor, outputs: Tensor, groups: Tensor) -> None:
    if points.ndim != 2 or outputs.ndim != 2 or len(points) != len(outputs) or len(points) == 0:
        raise ShapeError(
            f"Points must be n x d and outputs n x k with the same n >= 1, got {tuple(points.shape)} and "
            f"{tuple(outputs.shape)}; give one row of outputs per point."
        )
    if groups.shape != (points.shape[1],):
        raise ShapeError(
            f"groups must name the parameter of each of the {points.shape[1]} columns, "
            f"got {tuple(groups.shape)}; use torch.arange(d) for one parameter per column."
        )
