"""Maximise any BoTorch acquisition function with policies trained by ARS.

The same call as ``botorch.optim.optimize_acqf``, so that the two can be compared as optimisers alone.
The q points of a candidate are one point of a cube with q x d columns, in which the policies walk.
Gradients are never asked for, so acquisition functions without them will do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import qmc
from torch import Tensor

from tinypareto.errors import ConfigError, ShapeError
from tinypareto.search.ars import ARSConfig, train
from tinypareto.search.policies import PolicyShape, initial_weights, roll_out

POINTS_AT_ONCE = 2048  # bounds the memory of one call of the acquisition function
ARS = ARSConfig(n_steps=10, n_directions=8, n_top=4, probe=0.3, step=0.3)
N_HIDDEN, HORIZON = 8, 4
REACHES = (0.2, 0.05, 0.0125, 0.003)  # each stage goes on from the policies' best points with shorter moves


def optimize_acqf_ars(
    acq_function: Callable[[Tensor], Tensor],
    bounds: Tensor,
    q: int,
    num_restarts: int = 10,
    raw_samples: int = 512,
    *,
    fixed_features: Mapping[int, float] | None = None,
    post_processing_func: Callable[[Tensor], Tensor] | None = None,
    batch_initial_conditions: Tensor | None = None,
    return_best_only: bool = True,
    ars: ARSConfig = ARS,
    horizon: int = HORIZON,
    reaches: Sequence[float] = REACHES,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Return q points where the acquisition function is large, and its value there.

    Stands in for `botorch.optim.optimize_acqf` with its arguments of the same names. What that has besides has no
    counterpart: ``options`` are those of its gradient methods, ``sequential`` chooses the q points one after another,
    which a caller can do by conditioning on each, and a linear or nonlinear constraint can be put into the function.

    Args:
        acq_function: Takes b x q x d and returns b values; larger is better.
        bounds: Lower and upper ends of each parameter, 2 x d, in the function's own units.
        q: Number of points of a candidate, chosen together.
        num_restarts: Number L of competing policies; each starts at one of the best raw samples.
        raw_samples: Number of quasi-random candidates from which the starts are taken.
        fixed_features: Columns of d that keep a value.
        post_processing_func: Applied to b x q x d before a candidate is valued, such as rounding.
        batch_initial_conditions: Starts in place of raw samples, num_restarts x q x d.
        return_best_only: False returns every policy's best candidate.
        ars: Settings of the training.
        horizon: Moves H of a rollout.
        reaches: Longest moves along a coordinate, as shares of its bounds; one stage of training for each.
        seed: Of everything random; the same seed gives the same candidate.

    Returns:
        Candidates q x d and their value (a scalar), or num_restarts x q x d and num_restarts values.

    Raises:
        ShapeError: If bounds or initial conditions have another shape.
        ConfigError: If a number is out of range.

    Example:
        >>> peak = torch.tensor([1.0, 3.0], dtype=torch.float64)
        >>> found, value = optimize_acqf_ars(
        ...     lambda x: -(x - peak).square().sum((-2, -1)), torch.tensor([[0.0, 0.0], [4.0, 4.0]]), q=1
        ... )
        >>> bool((found - peak).abs().max() < 0.05)
        True
    """
    _check(bounds, q, num_restarts, raw_samples)
    rng = np.random.default_rng(seed)
    problem = _Problem(acq_function, bounds.double(), q, dict(fixed_features or {}), post_processing_func)
    points = _starts(problem, num_restarts, raw_samples, batch_initial_conditions, rng)
    values = problem.values(points)
    for reach in reaches:
        shape = PolicyShape(n_columns=points.shape[1], n_hidden=N_HIDDEN, reach=reach, horizon=horizon)
        points, values = _climb(problem, shape, points, values, ars, rng)
    candidates = problem.candidates(points)
    if return_best_only:
        winner = int(values.argmax())
        return candidates[winner].to(bounds), values[winner].to(bounds)
    return candidates.to(bounds), values.to(bounds)


@dataclass(frozen=True)
class _Problem:
    """The acquisition function as a function of the unit cube with q x d columns."""

    acq_function: Callable[[Tensor], Tensor]
    bounds: Tensor  # 2 x d
    q: int
    fixed: Mapping[int, float]
    post_processing: Callable[[Tensor], Tensor] | None

    def candidates(self, points: Tensor) -> Tensor:
        """Return b x q x d in the function's own units for points of the cube, b x qd."""
        low, high = self.bounds
        own: Tensor = low + points.reshape(len(points), self.q, -1) * (high - low)
        for column, value in self.fixed.items():
            own[..., column] = value
        return own if self.post_processing is None else self.post_processing(own)

    def values(self, points: Tensor) -> Tensor:
        """Return b values, -inf where the function is not a number, so that such a point never wins."""
        candidates = self.candidates(points)
        with torch.no_grad():
            values = torch.cat([
                self.acq_function(candidates[start : start + POINTS_AT_ONCE])
                for start in range(0, len(candidates), POINTS_AT_ONCE)
            ]).double()
        return torch.where(values.isnan(), -torch.inf, values)

    def points(self, candidates: Tensor) -> Tensor:
        """Return points of the cube, b x qd, for candidates b x q x d."""
        low, high = self.bounds
        share: Tensor = (candidates.double() - low) / torch.where(high > low, high - low, 1.0)
        return share.clamp(0.0, 1.0).reshape(len(candidates), -1)


def _climb(
    problem: _Problem,
    shape: PolicyShape,
    starts: Tensor,
    values: Tensor,
    config: ARSConfig,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Train one policy for each start, L x qd with values L; return each one's best point and its value."""

    def walk(weights: Tensor) -> tuple[Tensor, Tensor]:  # L x b x w -> L x bH x qd, L x b x H
        n_policies, batch, _ = weights.shape
        begin = starts[:, None, :].expand(-1, batch, -1).reshape(n_policies * batch, -1)
        path = roll_out(shape, weights.reshape(n_policies * batch, -1), begin)
        found = problem.values(path.reshape(-1, shape.n_columns))
        return path.reshape(n_policies, -1, shape.n_columns), found.reshape(n_policies, batch, -1)

    n_policies = len(starts)
    weights = initial_weights(shape, starts, rng)
    weights = train(weights, lambda probes: walk(probes)[1].amax(-1), config, rng)
    path, found = walk(weights[:, None, :])
    path = torch.cat([starts[:, None, :], path], dim=1)
    best, step = torch.cat([values[:, None], found[:, 0]], dim=1).max(1)
    return path[torch.arange(n_policies), step], best


def _starts(
    problem: _Problem, n_starts: int, raw_samples: int, given: Tensor | None, rng: np.random.Generator
) -> Tensor:
    d = problem.bounds.shape[1]
    if given is not None:
        if given.shape != (n_starts, problem.q, d):
            raise ShapeError(
                f"batch_initial_conditions must be {n_starts} x {problem.q} x {d} here, got "
                f"{tuple(given.shape)}; give one start per restart."
            )
        return problem.points(given)
    sobol = qmc.Sobol(problem.q * d, rng=rng)
    raw = torch.from_numpy(sobol.random_base2((max(raw_samples, n_starts) - 1).bit_length()))
    return raw[problem.values(raw).argsort(descending=True, stable=True)[:n_starts]]


def _check(bounds: Tensor, q: int, num_restarts: int, raw_samples: int) -> None:
    if bounds.ndim != 2 or bounds.shape[0] != 2 or not (bounds[0] <= bounds[1]).all():
        raise ShapeError(
            f"bounds must be 2 x d with the lower ends first, got {bounds.tolist()}; stack the two rows."
        )
    if min(q, num_restarts, raw_samples) < 1:
        raise ConfigError(
            f"q, num_restarts and raw_samples must be at least 1, got {q}, {num_restarts} and {raw_samples}; "
            "raise them."
        )
