"""The front that the surrogate's mean predicts: how far the true front may reach beyond what was observed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from tinypareto.front import feasible_front
from tinypareto.search.surrogate import Surrogate
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

N_POINTS = 256  # in the first generation, and born in each further one
N_GENERATIONS = 6
SHORTEST, LONGEST = -2.5, -0.5  # of a mutation, as powers of ten of the cube's edge


@dataclass(frozen=True)
class SurrogateFront:
    """A front of predictions, standardised, and all points of the last generation."""

    values: Matrix  # f x m, not dominated; f may be 0 if nothing is predicted to be feasible
    candidates: Matrix  # q x d, good points to start from


def predicted_front(
    model: Surrogate,
    space: Space,
    observed: Matrix,
    limits: Matrix,
    n_objectives: int,
    rng: np.random.Generator,
) -> SurrogateFront:
    """Return the front of the mean, found by a small evolutionary search on the surrogate.

    Children are mutations of the front's points, half of them on the line to another of its points.

    Args:
        model: Posteriors of m objectives, then c constraints.
        space: What may be varied.
        observed: Points that the search begins with beside random ones, n x d.
        limits: Standardised limits of the constraints, c.
        n_objectives: The number m.
        rng: Source of randomness.
    """
    random = space.round_points(qmc.Sobol(space.n_columns, rng=rng).random(N_POINTS))
    points = np.concatenate([random, observed])
    for _ in range(N_GENERATIONS - 1):
        front = _front(model, points, limits, n_objectives)[0]
        if len(front) == 0:
            break
        points = np.concatenate([points[front], space.round_points(children(points[front], N_POINTS, rng))])
    front, mean = _front(model, points, limits, n_objectives)
    return SurrogateFront(mean[front], points)


def _front(
    model: Surrogate, points: Matrix, limits: Matrix, n_objectives: int
) -> tuple[npt.NDArray[np.int64], Matrix]:
    """Return the rows of the predicted front and the predicted objectives of all points, q x m."""
    mean = model.predict_mean(model.tensor(points)).cpu().numpy().T  # q x (m + c)
    return feasible_front(mean[:, :n_objectives], mean[:, n_objectives:] - limits), mean[:, :n_objectives]


def children(parents: Matrix, count: int, rng: np.random.Generator) -> Matrix:
    """Return mutations of parents, n x d: count x d, half of them on the line to another parent."""
    d = parents.shape[1]
    first, second = parents[rng.integers(len(parents), size=(2, count))]
    share = rng.normal(0.5, 0.5, size=(count, 1)) * (rng.random((count, 1)) < 0.5)
    length = 10.0 ** rng.uniform(SHORTEST, LONGEST, size=(count, 1))
    mutated = rng.random((count, d)) < max(0.3, 2.0 / d)
    steps = length * mutated * rng.standard_normal((count, d))
    return np.asarray(np.clip(first + share * (second - first) + steps, 0.0, 1.0))
