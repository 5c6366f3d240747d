"""What is evaluated while there is nothing to learn from yet, and how every suggestion keeps to what is known."""

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tinypareto.search.design import latin_hypercube, seen_among, unseen_point
from tinypareto.search.feasible_design import feasible_points, nearest_feasible
from tinypareto.search.history import Suggestion
from tinypareto.search.known import KnownOutcomes
from tinypareto.search.known_design import known_front, towards_front
from tinypareto.search.prior import Prior, earlier_front
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]


def from_design(
    space: Space,
    known: KnownOutcomes | None,
    seen: Matrix,
    size: int,
    seed: int,
    trial_number: int,
    first: Matrix,
) -> Suggestion:
    """Return the points ``first``, f x d, then those of a Latin hypercube."""
    earlier = trial_number < len(first)
    point = first[trial_number] if earlier else latin_hypercube(space, size, seed, trial_number)
    if known is not None:
        if known.has_objectives and not earlier:
            front = known_front(space, known, seed)
            row = trial_number % size
            if len(front):
                point = towards_front(
                    space, known, point, front, row / max(size - 1, 1), stream_of(seed, trial_number)
                )
        point = kept(space, known, point, seen, seed)
    if seen_among(point[None], seen)[0]:
        point = unseen_point(space, seen, stream_of(seed, trial_number), otherwise=point)
    return Suggestion.without_model(
        space.decode(point), point, "earlier front" if earlier else "latin hypercube"
    )


def earlier_points(space: Space, known: KnownOutcomes | None, priors: Sequence[Prior], size: int) -> Matrix:
    """Return what is evaluated before anything else, f x d: of the earlier tasks' front, half a design."""
    if not priors:
        return np.empty((0, space.n_columns))
    return earlier_front(space, priors, known, (size + 1) // 2)


def kept(space: Space, known: KnownOutcomes, point: Matrix, seen: Matrix, seed: int) -> Matrix:
    """Return the point or, if it breaks a known constraint, a new one nearby that does not, if there is one."""
    if known.kept_at(space, point[None])[0]:
        return point
    feasible = feasible_points(space, known, seed)
    if len(feasible) == 0:
        warnings.warn(
            "No set of parameters was found that keeps every known constraint; check limits and ranges.",
            RuntimeWarning,
            stacklevel=2,
        )
        return point
    nearest = nearest_feasible(space, known, point, feasible)
    new = feasible[~seen_among(feasible, seen)]
    if not seen_among(nearest[None], seen)[0] or len(new) == 0:
        return nearest
    closest: Matrix = new[np.abs(new - point).sum(axis=1).argmin()]
    return closest


def stream_of(seed: int, trial_number: int) -> np.random.Generator:
    """Return the random numbers of one suggestion."""
    return np.random.default_rng([seed, trial_number, 1])
