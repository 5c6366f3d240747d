"""Gaussian processes over the unit cube, one for each output, in one batch.

All k outputs (objectives and constraints) share the n observed points, so their n x n matrices are
factored by one batched Cholesky call.

    X      n x d         observed points
    Y      n x k         standardised observations, one column per output
    K      k x n x n     covariance of the observations, noise included
    root   k x n x n     inverse of K's lower Cholesky factor L
    alpha  k x n         K^-1 y

Each output has a kernel of its own (kernels.py), one lengthscale for each parameter (columns of one
parameter share theirs), and mean 0. Hyperparameters are found in marginal_likelihood.py.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tinypareto.errors import ShapeError
from tinypareto.search.kernels import covariance

# Jitter in units of the kernel's variance. The first is 0, since inferred noise usually suffices; repeated
# points with noise at its lower bound need more.
JITTERS = (0.0, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2)

COVARIANCES_AT_ONCE = 2**18  # of a prediction on the CPU: what fits into its cache takes half the time
ROWS_AT_ONCE = 256  # of the triangular root: a product with them needs the columns up to the last alone


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """What the kernels of k outputs over p parameters depend on; standardised units.

    Attributes:
        lengthscales: k x p, in units of the cube's edge.
        variances: k, the kernel's value at distance 0.
        noises: k, variance of the observation noise.
        smooth: k, whether the kernel is the squared exponential instead of Matern-5/2.
    """

    lengthscales: Tensor
    variances: Tensor
    noises: Tensor
    smooth: Tensor

    def of(self, rows: Tensor) -> "Hyperparameters":
        """Return those of some outputs alone."""
        return Hyperparameters(
            lengthscales=self.lengthscales[rows],
            variances=self.variances[rows],
            noises=self.noises[rows],
            smooth=self.smooth[rows],
        )

    def replaced(self, rows: Tensor, by: "Hyperparameters") -> "Hyperparameters":
        """Return these with those of some outputs, where ``rows``, k, is True, taken from others."""
        result = {}
        for name in ("lengthscales", "variances", "noises", "smooth"):
            result[name] = getattr(self, name).clone()
            result[name][rows] = getattr(by, name)
        return Hyperparameters(**result)


@dataclass(frozen=True, kw_only=True)
class GaussianProcesses:
    """k posteriors, ready to be asked about many points: two matrix products per output."""

    points: Tensor  # n x d
    outputs: Tensor  # n x k
    groups: Tensor  # d: the parameter of each column
    hyperparameters: Hyperparameters
    root: Tensor  # k x n x n
    alpha: Tensor  # k x n

    @property
    def device(self) -> torch.device:
        """Where predictions are computed."""
        return self.points.device

    def tensor(self, values: npt.NDArray[np.generic]) -> Tensor:
        """Return an array as a tensor where this model lives."""
        return torch.from_numpy(values).to(self.device)

    def predict(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation, each k x q, of the noise-free outputs at points q x d."""
        size = max(1, COVARIANCES_AT_ONCE // self.alpha.numel())
        parts = torch.split(points, size) if points.device.type == "cpu" else (points,)
        means, deviations = zip(*(self._prediction(part) for part in parts), strict=True)
        return torch.cat(means, dim=1), torch.cat(deviations, dim=1)

    def _prediction(self, points: Tensor) -> tuple[Tensor, Tensor]:
        cross = self._covariance(points)  # k x q x n
        variance = self.hyperparameters.variances[:, None] - self._explained(cross)
        return self._mean(cross), variance.clamp_min(1e-12).sqrt()

    def predict_mean(self, points: Tensor) -> Tensor:
        """Return the mean alone, k x q, at points q x d: without the deviation, whose cost is n times that."""
        return self._mean(self._covariance(points))

    def left_out(self, together: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Predict each observation from the others.

        Args:
            together: n numbers; observations with the same one are left out at once. None: one by one.

        Returns:
            By how much observations exceed the predictions, and these predictions' standard deviations, noise included:
            each k x n.

        Source: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), equation 5.12, and the same
        with blocks of K^-1.
        """
        variances = self.root.square().sum(1).reciprocal()  # of the diagonal of K^-1
        misses = self.alpha * variances
        if together is not None:
            numbers, counts = torch.unique(together, return_counts=True)
            for number in numbers[counts > 1]:
                rows = (together == number).nonzero()[:, 0]
                columns = self.root[:, :, rows]
                block = torch.linalg.inv(columns.transpose(1, 2) @ columns)  # k x r x r
                misses[:, rows] = (block @ self.alpha[:, rows, None])[:, :, 0]
                variances[:, rows] = block.diagonal(dim1=1, dim2=2)
        return misses, variances.sqrt()

    def left_out_density(self) -> Tensor:
        """Return the log density of the observations, each predicted from the others, up to a constant: k."""
        misses, deviations = self.left_out()
        return -(deviations.log() + 0.5 * (misses / deviations).square()).sum(1)

    def _mean(self, cross: Tensor) -> Tensor:
        return (cross @ self.alpha[:, :, None])[:, :, 0]

    def _explained(self, cross: Tensor) -> Tensor:
        """Return the variance, k x q, that the observations take away, without most of the root's zeros."""
        explained = torch.zeros_like(cross[:, :, 0])
        for start in range(0, len(self.points), ROWS_AT_ONCE):
            rows = self.root[:, start : start + ROWS_AT_ONCE, : start + ROWS_AT_ONCE]
            explained = explained + (cross[:, :, : rows.shape[2]] @ rows.transpose(1, 2)).square().sum(-1)
        return explained

    def _covariance(self, points: Tensor) -> Tensor:
        scale = self.hyperparameters.lengthscales[:, self.groups].reciprocal()[:, None, :]  # k x 1 x d
        # Centred, since the expansion below loses digits far from the origin.
        centre = self.points.mean(0)
        a = (points - centre) * scale  # k x q x d
        b = (self.points - centre) * scale  # k x n x d
        squared = a.square().sum(-1)[:, :, None] + b.square().sum(-1)[:, None, :]
        squared = torch.baddbmm(squared, a, b.transpose(1, 2), alpha=-2.0)
        kernel = self.hyperparameters
        return covariance(squared, kernel.variances[:, None, None], kernel.smooth[:, None, None])


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
    check_observations(points, outputs, groups)
    squared = hyperparameters.lengthscales.square().reciprocal() @ squared_distances(points, groups).T
    values = covariance(squared, hyperparameters.variances[:, None], hyperparameters.smooth[:, None])
    lower = factor(lower_triangles(values, len(points)), hyperparameters)
    identity = torch.eye(len(points), dtype=points.dtype, device=points.device)
    root = torch.linalg.solve_triangular(lower, identity.expand_as(lower), upper=False)
    alpha = root.transpose(1, 2) @ (root @ outputs.T[:, :, None])
    return GaussianProcesses(
        points=points,
        outputs=outputs,
        groups=groups,
        hyperparameters=hyperparameters,
        root=root,
        alpha=alpha[:, :, 0],
    )


def factor(covariance: Tensor, scales: Hyperparameters) -> Tensor:
    """Return lower Cholesky factors, B x n x n, of covariance and noise; jitter rises as needed.

    Of each covariance, B x n x n, only the triangle below the diagonal is read.
    """
    identity = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
    noisy = covariance + scales.noises[:, None, None] * identity
    lower: Tensor
    lower, failed = torch.linalg.cholesky_ex(noisy)
    for jitter in JITTERS[1:]:
        if not failed.any():
            break
        rescued, still = torch.linalg.cholesky_ex(noisy + jitter * scales.variances[:, None, None] * identity)
        lower = torch.where((failed > 0)[:, None, None], rescued, lower)
        failed = torch.where(failed > 0, still, failed)
    return lower


def pairs(n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the numbers i and j of all pairs with j <= i < n, n (n + 1) / 2 each: covariances are symmetric."""
    first, second = torch.tril_indices(n, n, device=device)
    return first, second


def squared_distances(points: Tensor, groups: Tensor) -> Tensor:
    """Return n (n + 1) / 2 x p: for each of `pairs` the squared distance along each parameter's columns."""
    first, second = pairs(len(points), points.device)
    squared = (points[first] - points[second]).square()
    shape = (len(squared), int(groups.max()) + 1)
    result = torch.zeros(shape, dtype=points.dtype, device=points.device)
    return result.index_add(1, groups, squared)


def lower_triangles(values: Tensor, n: int) -> Tensor:
    """Return matrices B x n x n with the values, B x n (n + 1) / 2, of `pairs` on and below the diagonal, 0 above."""
    result = torch.zeros((len(values), n * n), dtype=values.dtype, device=values.device)
    return result.scatter_(1, _places(values, n), values).reshape(-1, n, n)


def of_pairs(matrices: Tensor) -> Tensor:
    """Return the entries of matrices, B x n x n, at `pairs`, B x n (n + 1) / 2."""
    flat = matrices.flatten(1)
    return flat.gather(1, _places(flat, matrices.shape[-1]))


def _places(batch: Tensor, n: int) -> Tensor:
    """Return where the pairs lie in a flattened matrix, for each row of a batch: gathering by row beats indexing."""
    first, second = pairs(n, batch.device)
    return (first * n + second).expand(len(batch), -1)


def check_observations(points: Tensor, outputs: Tensor, groups: Tensor) -> None:
    """Refuse observations whose shapes do not fit each other.

    Raises:
        ShapeError: If they do not.
    """
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
