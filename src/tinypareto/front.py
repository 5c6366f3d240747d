"""Dominance, hypervolume and the choice of one trial; every objective is minimised."""

from collections.abc import Sequence

import moocore
import numpy as np
import numpy.typing as npt

from tinypareto.errors import ShapeError

Matrix = npt.NDArray[np.float64]


def feasible_rows(violations: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return, for violations n x c (feasible <= 0), which of the n rows are feasible.

    With c = 0 every row is. NaN is infeasible: an unknown constraint is not kept.
    """
    return np.asarray((_matrix(violations, "violations") <= 0).all(axis=1))


def feasible_front(values: npt.ArrayLike, violations: npt.ArrayLike | None = None) -> npt.NDArray[np.int64]:
    """Return the indices of the feasible points that no feasible point dominates, ascending.

    Equal points do not dominate each other, so all of them stay.

    Args:
        values: Objective values, n x m, minimised. A row with NaN never belongs to the front.
        violations: Constraint violations, n x c, feasible <= 0; None for none.

    Raises:
        ShapeError: If the arrays are not matrices with the same number of rows.

    Example:
        >>> feasible_front([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [0.0, 0.0]], [[0.0], [-1.0], [0.0], [1.0]])
        array([0, 1])
    """
    values = _matrix(values, "values")
    allowed = ~np.isnan(values).any(axis=1)
    if violations is not None:
        feasible = feasible_rows(violations)
        if len(feasible) != len(values):
            raise ShapeError(
                f"values and violations must have as many rows as each other, got {len(values)} and "
                f"{len(feasible)}; give one row per point to both."
            )
        allowed &= feasible
    candidates = np.flatnonzero(allowed)
    if len(candidates) == 0:
        return candidates
    return np.asarray(candidates[moocore.is_nondominated(values[candidates], keep_weakly=True)])


def front_ranks(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return each point's layer: 0 for the front of values n x m, 1 for the front without it, ..."""
    values = _matrix(values, "values")
    if len(values) == 0:
        return np.empty(0, dtype=np.int64)
    return np.asarray(moocore.pareto_rank(values), dtype=np.int64)


def hypervolume(values: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Return the volume that values n x m dominate, bounded by ``reference`` (m); 0.0 if n = 0.

    Points that do not lie below the reference in every objective add nothing.

    Raises:
        ShapeError: If ``values`` is not n x m for a reference of length m.

    Example:
        >>> hypervolume([[1.0, 2.0], [2.0, 1.0]], reference=[3.0, 3.0])
        3.0
    """
    values = _matrix(values, "values")
    corner = np.asarray(reference, dtype=np.float64)
    if corner.shape != (values.shape[1],):
        raise ShapeError(
            f"The reference must have one entry for each of the {values.shape[1]} objectives, "
            f"got shape {corner.shape}; give one upper bound per objective."
        )
    inside = values[(values < corner).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=corner)) if len(inside) else 0.0


def normalised_hypervolume(
    values: npt.ArrayLike, scales: Sequence[float], violations: npt.ArrayLike | None = None
) -> float:
    """Return the hypervolume of the feasible points after dividing by ``scales``: 0 is bad, 1 ideal.

    An objective's scale is its limit or, without a limit, the value of the unpruned largest network;
    reference point 1, ideal point 0.

    Args:
        values: Objective values, n x m, minimised.
        scales: One positive scale per objective, in the objective's unit.
        violations: Constraint violations, n x c, feasible <= 0; None for none.

    Raises:
        ShapeError: If ``scales`` does not have one positive entry per objective.

    Example:
        >>> normalised_hypervolume([[0.5, 100.0], [0.1, 900.0]], [1.0, 200.0], [[-100.0], [700.0]])
        0.25
    """
    values = _matrix(values, "values")
    divisor = np.asarray(scales, dtype=np.float64)
    if divisor.shape != (values.shape[1],) or not (divisor > 0).all():
        raise ShapeError(
            f"scales must hold one positive number for each of the {values.shape[1]} objectives, "
            f"got {list(scales)}; give each objective's limit or largest value."
        )
    front = feasible_front(values, violations)
    return hypervolume(values[front] / divisor, np.ones(len(divisor)))


def pick_knee(values: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> int:
    """Return the index of the front point nearest to the ideal point, the compromise of all objectives.

    Each objective is scaled to 0..1 over the front; one that is constant there does not count. The
    lower index wins a tie.

    Args:
        values: Objective values of a front, n x m with n >= 1, minimised.
        weights: m, of the squared distance along each objective; None for 1.

    Raises:
        ShapeError: If there is no point.

    Example:
        >>> pick_knee([[0.0, 10.0], [0.1, 2.0], [1.0, 0.0]])
        1
    """
    values = _matrix(values, "values")
    if len(values) == 0:
        raise ShapeError("A knee needs at least one point, got none; pick from a front that is not empty.")
    low = values.min(axis=0)
    span = values.max(axis=0) - low
    scaled = (values - low) / np.where(span > 0, span, 1.0)
    factors = np.ones(values.shape[1]) if weights is None else np.asarray(weights, dtype=np.float64)
    return int((np.square(scaled) @ factors).argmin())


def _matrix(values: npt.ArrayLike, name: str) -> Matrix:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2:
        raise ShapeError(
            f"{name} must be a matrix with one row per point, got {matrix.ndim} axes; "
            "use reshape(-1, 1) for a single column."
        )
    return matrix
