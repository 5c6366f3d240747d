"""First points where objectives are known: spread from all over the space to the front of what is known.

Random networks have sizes in the middle of what there is, and hardly any is small; but what is small is on the front,
unless it is hopeless otherwise. So each row of the Latin hypercube is moved a different share of its way to the
front of the known objectives, first ones little, in parameters that change them; the others keep their values.
"""

import numpy as np
import numpy.typing as npt

from tinypareto.front import feasible_front
from tinypareto.search.feasible_design import feasible_points
from tinypareto.search.known import KnownOutcomes
from tinypareto.search.surrogate_front import children
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

N_CHILDREN, N_GENERATIONS = 48, 8


def known_front(space: Space, known: KnownOutcomes, seed: int) -> Matrix:
    """Return points, f x d, whose known objectives do not dominate each other and keep the known constraints.

    Args:
        space: What may be varied.
        known: Holds at least one objective.
        seed: Of the study; the same points for the same seed.
    """
    rng = np.random.default_rng([seed, 4])
    points = feasible_points(space, known, seed)
    for generation in range(N_GENERATIONS):
        values = known.at(space, points)
        front = feasible_front(values[:, ~known.is_violation], values[:, known.is_violation])
        points = points[front]
        if len(points) == 0 or generation == N_GENERATIONS - 1:
            break
        born = space.round_points(children(points, N_CHILDREN, rng))
        points = np.unique(np.concatenate([points, born]), axis=0)
    return points


def towards_front(
    space: Space, known: KnownOutcomes, point: Matrix, front: Matrix, share: float, rng: np.random.Generator
) -> Matrix:
    """Return the point, d, moved by a share of its way to one of the front's, in what changes known outcomes.

    Args:
        space: What may be varied.
        known: Outcomes that are functions of the parameters.
        point: Of the space, d.
        front: f x d, f >= 1.
        share: Of the way, 0..1.
        rng: Chooses the point of the front.
    """
    end = front[rng.integers(len(front))].copy()
    there = known.at(space, end[None])
    for group in range(space.n_free):
        columns = space.groups == group
        without = end.copy()
        without[columns] = point[columns]
        if np.array_equal(known.at(space, without[None]), there):
            end = without
    moved: Matrix = space.round_points((point + share * (end - point))[None])[0]
    return moved
