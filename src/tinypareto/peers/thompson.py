"""Thompson sampling: functions drawn from the Gaussian processes of a few evaluations, at many points at once.

The processes are those of the default sampler (search/gaussian_process.py): Matern-5/2, one lengthscale for each
parameter, as both TuRBO's and MORBO's papers have it; a prior over the lengthscales takes the place of their bounds.

    n evaluations, q candidates, p parameters, m objectives, c constraints
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tinypareto.search.gaussian_process import GaussianProcesses, Hyperparameters, factor
from tinypareto.search.history import History
from tinypareto.search.kernels import matern52
from tinypareto.search.marginal_likelihood import fit
from tinypareto.search.outcomes import Outcomes, standardise
from tinypareto.search.rewards import chebyshev
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

JITTER = 1e-9  # of the kernel's variance: candidates may lie closer together than doubles can tell apart


@dataclass(frozen=True, kw_only=True)
class LocalModel:
    """Posteriors of m objectives, then c constraints, given some evaluations."""

    processes: GaussianProcesses
    limits: Matrix  # c, in the processes' units
    n_objectives: int
    means: Matrix  # m
    scales: Matrix  # m

    @property
    def stretch(self) -> Matrix:
        """Lengthscales, p; the geometric mean over the objectives."""
        lengthscales = self.processes.hyperparameters.lengthscales[: self.n_objectives]
        return np.asarray(lengthscales.log().mean(0).exp().numpy())

    def draw(self, points: Matrix, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
        """Return one joint sample at points q x d.

        Returns:
            Objectives, q x m, in the history's units, and the total violation, q, in standard deviations.
        """
        sample = joint_sample(self.processes, points, rng)
        m = self.n_objectives
        excess = np.maximum(sample[:, m:] - self.limits, 0.0)
        return sample[:, :m] * self.scales + self.means, np.asarray(excess.sum(axis=1))


def local_model(space: Space, observed: History) -> LocalModel:
    """Return the model of evaluations, n >= 1, that all succeeded."""
    means, scales = observed.values.mean(axis=0), observed.values.std(axis=0)
    scales = np.where(scales > 1e-12 * np.maximum(1.0, np.abs(means)), scales, 1.0)
    kept = constraint_outcomes(observed.violations)
    outputs = np.concatenate([(observed.values - means) / scales, kept.targets], axis=1)
    processes = fit(
        torch.from_numpy(observed.points), torch.from_numpy(outputs), torch.from_numpy(space.groups)
    )
    return LocalModel(
        processes=processes,
        limits=kept.limits,
        n_objectives=observed.values.shape[1],
        means=means,
        scales=scales,
    )


def constraint_outcomes(violations: Matrix) -> Outcomes:
    """Return violations, n x c, standardised, those with a long tail tamed: SCBO's bilog with a unit."""
    return standardise(np.zeros((len(violations), 0)), violations)


def total_violations(violations: Matrix) -> Matrix:
    """Return how much each of n x c violations exceeds 0 in all, n, each constraint in standard deviations."""
    outcomes = constraint_outcomes(violations)
    return np.asarray(np.maximum(outcomes.targets - outcomes.limits, 0.0).sum(axis=1))


def joint_sample(processes: GaussianProcesses, points: Matrix, rng: np.random.Generator) -> Matrix:
    """Return one sample of the k noise-free outputs at points q x d, q x k, with all their correlations."""
    queries = torch.from_numpy(points)
    normal = torch.from_numpy(rng.standard_normal((processes.alpha.shape[0], len(points))))
    columns = []
    for output, eps in enumerate(normal):  # one after another, for a matrix q x q may be large
        variance = processes.hyperparameters.variances[output]
        scale = processes.hyperparameters.lengthscales[output, processes.groups].reciprocal()
        known, asked = processes.points * scale, queries * scale
        cross = matern52(torch.cdist(known, asked).square(), variance)  # n x q
        explained = processes.root[output] @ cross
        covariance = matern52(torch.cdist(asked, asked).square(), variance) - explained.T @ explained
        lower = factor(covariance[None], _little_noise(processes.hyperparameters, output))[0]
        columns.append(cross.T @ processes.alpha[output] + lower @ eps)
    return np.asarray(torch.stack(columns, dim=1).numpy())


def _little_noise(found: Hyperparameters, output: int) -> Hyperparameters:
    one = slice(output, output + 1)
    return Hyperparameters(
        lengthscales=found.lengthscales[one],
        variances=found.variances[one],
        noises=JITTER * found.variances[one],
        smooth=found.smooth[one],
    )


def scalarised(values: Matrix, weights: Matrix, observed: Matrix) -> Matrix:
    """Return the augmented Chebyshev value, q, of objectives q x m; smaller is better.

    Args:
        values: Objectives to judge, q x m.
        weights: On the simplex, m.
        observed: Objectives, n x m with n >= 1, whose range becomes 0..1.
    """
    low, high = observed.min(axis=0), observed.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    return np.asarray(chebyshev(torch.from_numpy((values - low) / span), torch.from_numpy(weights)).numpy())


def best_row(scores: Matrix, violations: Matrix) -> int:
    """Return the row with the smallest score among those without violation or, if all have some, the least violation.

    Args:
        scores: Smaller is better, n.
        violations: Total violations, n, at least 0.
    """
    if (violations <= 0).any():
        return int(np.where(violations <= 0, scores, np.inf).argmin())
    return int(violations.argmin())
