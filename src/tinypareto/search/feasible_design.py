"""First points that keep the known constraints, also where hardly any random point does.

A small evolutionary search on the known functions finds feasible points: those that violate least have children, until
some keep everything. A row of the Latin hypercube that is infeasible is then replaced by the point, on the line to
the nearest feasible one, that comes closest to it. So the design keeps its spread as far as the constraints allow.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from tinypareto.search.known import KnownOutcomes
from tinypareto.search.surrogate_front import children
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

N_RANDOM = 128
N_PARENTS, N_CHILDREN, MOST_GENERATIONS = 16, 64, 14
ENOUGH = 16  # feasible points
HALVINGS = 6  # of the way from a feasible point to the row of the design


def feasible_points(space: Space, known: KnownOutcomes, seed: int) -> Matrix:
    """Return points that keep every known constraint, f x d; f is 0 if none was found.

    Args:
        space: What may be varied.
        known: Holds the constraints.
        seed: Of the study; the same points for the same seed.
    """
    rng = np.random.default_rng([seed, 2])
    points = space.round_points(qmc.Sobol(space.n_columns, rng=rng).random(N_RANDOM))
    excess = _excess(space, known, points)
    for _ in range(MOST_GENERATIONS):
        if np.count_nonzero(_total(excess) == 0) >= ENOUGH:
            break
        parents = points[np.argsort(_total(excess), kind="stable")[:N_PARENTS]]
        born = space.round_points(children(parents, N_CHILDREN, rng))
        points = np.concatenate([points, born])
        excess = np.concatenate([excess, _excess(space, known, born)])
    return np.asarray(points[_total(excess) == 0])


def nearest_feasible(space: Space, known: KnownOutcomes, point: Matrix, feasible: Matrix) -> Matrix:
    """Return the last feasible point, d, on the way from the nearest of ``feasible``, f x d, to ``point``."""
    if known.kept_at(space, point[None])[0]:
        return point
    inside = feasible[np.abs(feasible - point).sum(axis=1).argmin()]
    low, high = 0.0, 1.0  # shares of the way: the first is feasible
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        there = space.round_points((inside + middle * (point - inside))[None])
        low, high = (middle, high) if known.kept_at(space, there)[0] else (low, middle)
    result: Matrix = space.round_points((inside + low * (point - inside))[None])[0]
    return result


def _excess(space: Space, known: KnownOutcomes, points: Matrix) -> Matrix:
    return np.maximum(known.at(space, points)[:, known.is_violation], 0.0)  # q x constraints


def _total(excess: Matrix) -> Matrix:
    """Return the sum of violations, q, each in units of its median where it is violated at all."""
    units = [np.median(column[column > 0]) if (column > 0).any() else 1.0 for column in excess.T]
    return np.asarray((excess / np.array(units)).sum(axis=1))
