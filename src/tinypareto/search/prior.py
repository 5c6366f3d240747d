"""Evaluations of an earlier, related task as prior knowledge: they help where they agree and are let go where not.

What an earlier study found is not what this one will: it had another microcontroller, other limits or other data. Its
Gaussian processes g_p are therefore a prior mean, and only what they leave unexplained is learnt, outcome by outcome:

    y(x) = a + sum_p b_p g_p(x) + s r(x)    r a Gaussian process of the residuals, s their deviation
    b    minimises |y - a - sum_p b_p g_p|^2 + |b - 1/P|^2 with b >= 0, y and g in the same units

An outcome forgets its prior where without it each of its observations is predicted better from the others: so a
misleading study costs its first few trials. Those are the earlier front, as far as the new limits allow.

Source: residual stacking in Golovin et al., Google Vizier (2017), section 3.3. Differs: weights b, fitted offset, the
choice by left-out observations, and no variance of the earlier model in that of this one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from tinypareto.errors import ShapeError
from tinypareto.front import feasible_front
from tinypareto.search.history import History
from tinypareto.search.known import KnownOutcomes
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

MOST_EVALUATIONS = 200  # of an earlier task: more would take longer than they tell


@dataclass(frozen=True, kw_only=True, eq=False)
class Prior:
    """Evaluations of an earlier task.

    Attributes:
        points: Where was evaluated, N x d, in the unit cube of this task's space.
        values: Objective values, N x m, minimised; all NaN in a column that says nothing about this task.
        fidelities: Shares of the whole evaluation that were made, N, in (0, 1].

    Raises:
        ShapeError: If the arrays do not fit each other, or no column can be used.
    """

    points: Matrix
    values: Matrix
    fidelities: Matrix

    def __post_init__(self) -> None:
        shapes = [np.shape(array) for array in (self.points, self.values, self.fidelities)]
        if [len(shape) for shape in shapes] != [2, 2, 1] or len({shape[0] for shape in shapes}) != 1:
            raise ShapeError(
                f"A prior needs points N x d, values N x m and fidelities N, got {shapes}; give one row per evaluation."
            )
        if len(self.points) == 0 or not len(self.columns):
            raise ShapeError(
                "A prior needs an evaluation and an objective whose values are all finite; leave it out otherwise."
            )

    @property
    def columns(self) -> npt.NDArray[np.int64]:
        """Which of the m objectives it knows, rising."""
        return np.flatnonzero(np.isfinite(self.values).all(axis=0))

    def history(self, columns: Sequence[int]) -> History:
        """Return at most two hundred of the evaluations, with some of the objectives that it knows."""
        rows = np.unique(
            np.linspace(0, len(self.points) - 1, min(len(self.points), MOST_EVALUATIONS)).astype(int)
        )
        return History(
            numbers=rows,
            points=self.points[rows],
            values=self.values[rows][:, columns],
            violations=np.empty((len(rows), 0)),
            fidelities=self.fidelities[rows],
        )


def earlier_front(space: Space, priors: Sequence[Prior], known: KnownOutcomes | None, count: int) -> Matrix:
    """Return up to ``count`` points, f x d, of the earlier tasks' fronts in turns, each from end to end.

    Known outcomes are those of this task, and points that break a known constraint are left out.
    """
    fronts = [_front(space, prior, known, -(-count // len(priors))) for prior in priors]
    turns = sorted((place, p) for p, front in enumerate(fronts) for place in range(len(front)))
    points = np.array([fronts[p][place] for place, p in turns]).reshape(-1, space.n_columns)
    _, first = np.unique(points, axis=0, return_index=True)
    return np.asarray(points[np.sort(first)][:count])


def _front(space: Space, prior: Prior, known: KnownOutcomes | None, count: int) -> Matrix:
    points, values = (array[prior.fidelities == 1] for array in (prior.points, prior.values))
    violations = np.empty((len(points), 0))
    if known is not None:
        answers = known.at(space, points)
        values = values.copy()
        values[:, known.columns[~known.is_violation]] = answers[:, ~known.is_violation]
        violations = answers[:, known.is_violation]
    useful = np.isfinite(values).all(axis=0)
    front = feasible_front(values[:, useful], violations)
    order = front[np.lexsort(values[front][:, useful].T[::-1])]
    rows = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))
    return np.asarray(points[order[rows]])


def weights(earlier: Matrix, targets: Matrix) -> Matrix:
    """Return how much each of P earlier predictions, n x P, counts for the targets, n, in the same units: P, >= 0."""
    count = earlier.shape[1]
    centred = np.concatenate([earlier - earlier.mean(axis=0), np.eye(count)])
    wanted = np.concatenate([targets - targets.mean(), np.full(count, 1.0 / count)])
    found: Matrix = nnls(centred, wanted)[0]
    return found
