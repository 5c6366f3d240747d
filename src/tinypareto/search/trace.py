"""What a trial evaluates on its way, beside its end: a training that prunes step by step passes deployable networks.

The observations of a trace are points of the same space with a fidelity below 1, the share of the whole evaluation
that was made. The Gaussian processes see it as one more column, so that what a trial gives half-way is not taken for
what its parameters alone would give. A trial is worth what its end and its trace gain together:

    G(T)   E[HV(front + end + T) - HV(front + end)], the errors of one trial all high or all low together
    r(x)   log sum_R (EHVI_R(x) + G_R(T)) / HV_R + log P(every constraint is kept at x)

Source of the terms: Wu et al., Practical multi-fidelity Bayesian optimization for hyperparameter tuning (2019).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tinypareto.front import hypervolume
from tinypareto.search.hypervolume_reward import HypervolumeImprovement, Region, linear
from tinypareto.search.surrogate import Surrogate, look_up
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

# A trial's parameters to those of what is evaluated on its way, each with its fidelity.
TraceFunction = Callable[[Mapping[str, Any]], Sequence[tuple[Mapping[str, Any], float]]]

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(5)  # of a standard normal variable
WEIGHTS = WEIGHTS / WEIGHTS.sum()
LIKELY = 0.5  # probability of keeping all constraints from which an observation counts


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What is observed on the way to some points.

    Attributes:
        rows: For each of the r observations, which of the q points it belongs to.
        points: Where, r x d.
        fidelities: r, in (0, 1).
    """

    rows: npt.NDArray[np.int64]
    points: Matrix
    fidelities: Matrix


def trace_of(function: TraceFunction, space: Space, points: Matrix) -> Trace:
    """Return what would be observed on the way to points, q x d; what lies outside the space is left out."""
    found = [
        (row, space.encode(parameters), fidelity)
        for row, point in enumerate(points)
        for parameters, fidelity in function(space.decode(point))
        if space.contains(parameters)
    ]
    return Trace(
        rows=np.array([row for row, _, _ in found], dtype=np.int64),
        points=np.array([point for _, point, _ in found]).reshape(-1, space.n_columns),
        fidelities=np.array([fidelity for _, _, fidelity in found]),
    )


def with_trace(reward: HypervolumeImprovement, model: Surrogate, points: Matrix, trace: Trace) -> Matrix:
    """Return the reward of points, q x d, whose trace is observed too: q, none less than without it."""
    ends = look_up(model, model.tensor(points))
    alone = reward.of_prediction(*ends).cpu().numpy()
    if len(trace.rows) == 0:
        return np.asarray(alone)
    on_way = look_up(model, model.tensor(trace.points), model.tensor(trace.fidelities))
    likely = reward.feasibility.of_prediction(*on_way).exp().cpu().numpy() > LIKELY
    feasible = reward.feasibility.of_prediction(*ends).cpu().numpy()
    exponents = reward.regions[0].exponents
    end_values, values = _at_nodes(*ends, exponents), _at_nodes(*on_way, exponents)  # s x q x m, s x r x m
    shares = np.zeros(len(points))
    for row in np.unique(trace.rows[likely]):
        own = values[:, likely & (trace.rows == row)]
        shares[row] = sum(_gain(region, end_values[:, row], own) for region in reward.regions)
    with np.errstate(divide="ignore"):
        return np.asarray(np.logaddexp(alone, np.log(shares) + feasible))


def _at_nodes(mean: torch.Tensor, std: torch.Tensor, exponents: Matrix) -> Matrix:
    """Return the m objectives of k x q predictions at each node, s x q x m, as `linear` has them."""
    m = len(exponents)
    centre, spread = mean[:m].T.cpu().numpy(), std[:m].T.cpu().numpy()
    return linear(centre + NODES[:, None, None] * spread, exponents)


def _gain(region: Region, ends: Matrix, on_way: Matrix) -> float:
    """Return how much of its hypervolume a region is expected to gain by a trace beyond the trial's end.

    Args:
        region: Front and reference point.
        ends: Of the trial, s x m.
        on_way: Its trace, s x r x m.
    """
    gains = [
        hypervolume(np.concatenate([region.front, end[None], trace]), region.corner)
        - hypervolume(np.concatenate([region.front, end[None]]), region.corner)
        for end, trace in zip(ends, on_way, strict=True)
    ]
    return max(float(WEIGHTS @ gains), 0.0) / float(
        np.exp(region.log_volume)
    )  # rounding may leave less than 0
