"""Where the competing policies start: centres of clusters of the best observed points, and promising new ones."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.cluster.vq import kmeans2
from scipy.stats import qmc

from tinypareto.front import feasible_rows, front_ranks
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

N_RANDOM = 512  # points of which the best may become starts
APART = 0.1  # of the cube's edge: starts closer than this along every coordinate would find the same


def promising_points(points: Matrix, values: Matrix, violations: Matrix, least: int) -> Matrix:
    """Return the observed points worth searching around.

    That is the feasible Pareto front. If it holds fewer than ``least`` different points (always so
    with one objective), next layers are added until it does; infeasible points come last, by the sum of
    their violations, each divided by the largest one.

    Args:
        points: Observed points, n x d.
        values: Objective values, n x m, minimised.
        violations: Constraint violations, n x c, kept at <= 0.
        least: Wanted number of different points.

    Returns:
        Different points, at least one and at most n, x d.
    """
    layer = _layers(values, violations)
    for last in np.unique(layer):
        chosen = np.unique(points[layer <= last], axis=0)
        if len(chosen) >= least:
            break
    return chosen


def starting_points(
    points: Matrix, values: Matrix, violations: Matrix, n_starts: int, rng: np.random.Generator
) -> Matrix:
    """Return the starts of the policies, n_starts x d: k-means centres in the parameter space.

    With one objective, or fewer than ``n_starts`` points on the front, the best observed points are
    clustered instead; with fewer different points than that in all, the missing starts are
    uniform points of the cube.

    Args:
        points: Observed points, n x d, in the unit cube.
        values: Objective values, n x m, minimised.
        violations: Constraint violations, n x c, kept at <= 0.
        n_starts: Number L of starts.
        rng: Source of randomness.
    """
    if n_starts == 0:
        return np.empty((0, points.shape[1]))
    promising = promising_points(points, values, violations, n_starts)
    missing = n_starts - len(promising)
    if missing >= 0:
        return np.concatenate([promising, rng.random((missing, points.shape[1]))])
    # k-means++ cannot leave a cluster empty at its start, and later empty ones keep their centre
    centres, _ = kmeans2(promising, n_starts, minit="++", rng=rng)
    return np.asarray(centres)


def raw_starts(
    space: Space,
    candidates: Matrix,
    reward: Callable[[Matrix], Matrix],
    n_starts: int,
    rng: np.random.Generator,
) -> Matrix:
    """Return the best of candidates, q x d, and of random points that lie apart from each other, n_starts x d."""
    random = space.round_points(qmc.Sobol(space.n_columns, rng=rng).random(N_RANDOM))
    points = np.concatenate([candidates, random])
    order = np.argsort(-reward(points), kind="stable")
    chosen = points[order[:1]]
    for row in order[1:]:
        if len(chosen) == n_starts:
            return chosen
        if (np.abs(points[row] - chosen).max(axis=1) > APART).all():
            chosen = np.concatenate([chosen, points[row : row + 1]])
    return np.concatenate([chosen, rng.random((n_starts - len(chosen), space.n_columns))])


def _layers(values: Matrix, violations: Matrix) -> npt.NDArray[np.int64]:
    """Return 0 for the feasible front, then its next layers, then one layer per infeasible point."""
    feasible = feasible_rows(violations)
    layer = np.zeros(len(values), dtype=np.int64)
    layer[feasible] = front_ranks(values[feasible])
    if not feasible.all():
        excess = np.maximum(violations[~feasible], 0.0)
        largest = excess.max(axis=0)
        total = (excess / np.where(largest > 0, largest, 1.0)).sum(axis=1)
        first = layer[feasible].max(initial=-1) + 1
        layer[~feasible] = first + np.unique(total, return_inverse=True)[1]
    return layer
