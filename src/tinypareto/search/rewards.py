"""How good a point would be to evaluate: what the policies are trained to find. Larger is better.

    w      m        Chebyshev weights, one random point of the simplex per suggestion
    eps    s x m    standard normal samples, drawn once per suggestion (reparametrisation trick)
    g(y)            max_i w_i y_i + rho sum_i w_i y_i,  y normalised to 0..1 over the observations
    EI(x)           mean over samples of max(0, g* - g(mu(x) + sigma(x) eps))
    r(x)            EI(x) * prod_j P(constraint j is kept at x)

g* is the best scalarised value of a feasible observation. Before there is one, the reward is the
log-probability that every constraint is kept.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import qmc
from torch import Tensor

from tinypareto.search.surrogate import Surrogate

Matrix = npt.NDArray[np.float64]

RHO = 0.05  # ParEGO's augmentation: a little of the sum keeps weakly dominated points from winning


@dataclass(frozen=True, kw_only=True)
class Feasibility:
    """Log-probability that every constraint is kept; the reward until a feasible point is known."""

    model: Surrogate
    limits: Tensor  # c, standardised

    def __call__(self, points: Tensor) -> Tensor:
        """Return the reward, q, of points q x d."""
        return self.of_prediction(*self.model.predict(points))

    def of_prediction(self, mean: Tensor, std: Tensor) -> Tensor:
        """Return the log-probability, q, for predictions k x q whose last c rows are the constraints."""
        c = len(self.limits)
        if c == 0:
            return torch.zeros_like(mean[0])
        z = (self.limits[:, None] - mean[-c:]) / std[-c:]  # c x q
        log_probability: Tensor = torch.special.log_ndtr(z).sum(0)
        return log_probability


@dataclass(frozen=True, kw_only=True)
class ChebyshevImprovement:
    """Monte-Carlo expected improvement of the augmented Chebyshev value, times feasibility."""

    feasibility: Feasibility
    weights: Tensor  # m, on the simplex
    low: Tensor  # m, standardised value that counts as 0
    span: Tensor  # m, standardised width that counts as 1
    best: float  # g*, to be improved upon
    eps: Tensor  # s x m

    def __call__(self, points: Tensor) -> Tensor:
        """Return the reward, q, of points q x d."""
        return self.of_prediction(*self.feasibility.model.predict(points))

    def of_prediction(self, mean: Tensor, std: Tensor) -> Tensor:
        """Return the reward, q, for predictions k x q."""
        m = len(self.weights)
        samples = mean[:m] + std[:m] * self.eps[:, :, None]  # s x m x q
        value = self.scalarise(samples.transpose(1, 2))  # s x q
        improvement = (self.best - value).clamp_min(0.0).mean(0)
        return improvement * self.feasibility.of_prediction(mean, std).exp()

    def scalarise(self, outputs: Tensor) -> Tensor:
        """Return the augmented Chebyshev value, ..., of standardised objectives, ... x m."""
        return chebyshev((outputs - self.low) / self.span, self.weights)


Reward = Feasibility | ChebyshevImprovement


def chebyshev(normalised: Tensor, weights: Tensor) -> Tensor:
    """Return max_i w_i y_i + rho sum_i w_i y_i for y, ... x m; smaller is better.

    Source: Knowles, ParEGO (2006), equation 2.

    Example:
        >>> chebyshev(torch.tensor([0.5, 1.0]), torch.tensor([0.5, 0.5]))
        tensor(0.5375)
    """
    weighted = normalised * weights
    return weighted.amax(-1) + RHO * weighted.sum(-1)


def poster_reward(
    model: Surrogate,
    targets: Matrix,
    limits: Matrix,
    feasible: npt.NDArray[np.bool_],
    *,
    n_samples: int,
    rng: np.random.Generator,
) -> Reward:
    """Return the reward of one suggestion, its weights and samples drawn from ``rng``.

    Args:
        model: Posteriors of m objectives, then c constraints.
        targets: Standardised objectives of the observations, n x m.
        limits: Standardised limits of the constraints, c.
        feasible: Which of the n observations are feasible.
        n_samples: Number s of Monte-Carlo samples.
        rng: Source of randomness; the same number of draws is taken in every case.
    """
    m = targets.shape[1]
    weights = model.tensor(rng.dirichlet(np.ones(m)))
    eps = model.tensor(normal_samples(n_samples, m, rng))
    feasibility = Feasibility(model=model, limits=model.tensor(limits))
    if not feasible.any():
        return feasibility
    observed = model.tensor(targets[feasible])
    low, high = observed.amin(0), observed.amax(0)
    span = torch.where(high > low, high - low, torch.ones_like(low))
    best = float(chebyshev((observed - low) / span, weights).min())
    return ChebyshevImprovement(
        feasibility=feasibility, weights=weights, low=low, span=span, best=best, eps=eps
    )


def normal_samples(n_samples: int, m: int, rng: np.random.Generator) -> Matrix:
    """Return standard normal samples, s x m, spread evenly by a scrambled Sobol sequence."""
    sobol = qmc.Sobol(m, rng=rng)
    uniform = sobol.random_base2(math.ceil(math.log2(n_samples)))[:n_samples]
    # Sobol points may be exactly 0, whose normal quantile is -inf
    return np.asarray(torch.special.ndtri(torch.from_numpy(uniform.clip(1e-9, 1.0 - 1e-9))).numpy())
