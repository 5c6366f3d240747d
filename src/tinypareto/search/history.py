"""What the search is given and what it hands back."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tinypareto.errors import ShapeError

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class History:
    """Finished evaluations, in any order.

    An evaluation with a value or violation that is not finite has failed: what is learnt from it is that the point is
    not to be suggested again, and that others near it may fail as well. What was evaluated on the way of a trial that
    goes through several stages (its trace) has the trial's number and a fidelity below 1; a trial that was stopped on
    its way has fidelity 0 and no values, beside its trace.

    Attributes:
        numbers: Trial numbers, n; different among evaluations of the same fidelity.
        points: Where was evaluated, n x d, in the unit cube.
        values: Objective values, n x m, minimised; NaN where the evaluation failed.
        violations: Constraint violations, n x c, kept at <= 0; c may be 0.
        fidelities: Shares of the whole evaluation that were made, n, in [0, 1]; by default 1 for all.
        unasked: Which coordinates, n x d, belong to parameters that the evaluation had no use for (conditional ones),
            so that the same with other values there is the same point; by default none.
    """

    numbers: npt.NDArray[np.int64]
    points: Matrix
    values: Matrix
    violations: Matrix
    fidelities: Matrix = field(default_factory=lambda: np.empty(0))
    unasked: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty((0, 0), dtype=np.bool_))

    def __post_init__(self) -> None:
        shapes = [np.shape(a) for a in (self.numbers, self.points, self.values, self.violations)]
        n = len(self.numbers)
        if [len(s) for s in shapes] != [1, 2, 2, 2] or any(s[0] != n for s in shapes) or shapes[2][1] == 0:
            raise ShapeError(
                "A history needs numbers n, points n x d, values n x m with m >= 1 and violations n x c, "
                f"got {shapes}; use violations of shape (n, 0) where there are no constraints."
            )
        if np.shape(self.fidelities) == (0,):
            object.__setattr__(self, "fidelities", np.ones(n))
        if np.shape(self.fidelities) != (n,) or not ((self.fidelities >= 0) & (self.fidelities <= 1)).all():
            raise ShapeError(
                f"A history needs {n} fidelities in [0, 1], got {self.fidelities}; leave them out where every "
                "evaluation is whole."
            )
        if np.shape(self.unasked) == (0, 0):
            object.__setattr__(self, "unasked", np.zeros(shapes[1], dtype=np.bool_))
        if np.shape(self.unasked) != shapes[1]:
            raise ShapeError(
                f"A history's unasked must be n x d like its points, {shapes[1]}, got {np.shape(self.unasked)}; "
                "leave it out where every parameter was asked for."
            )
        if len(set(zip(self.numbers.tolist(), self.fidelities.tolist(), strict=True))) != n:
            raise ShapeError(
                f"Trial numbers must all be different, got {self.numbers.tolist()}; "
                "number the evaluations in the order in which they were started."
            )

    def usable(self) -> "History":
        """Return the evaluations that succeeded, sorted by trial number."""
        return self._sorted(self._succeeded())

    def _succeeded(self) -> npt.NDArray[np.bool_]:
        return np.asarray(np.isfinite(self.values).all(axis=1) & np.isfinite(self.violations).all(axis=1))

    def _sorted(self, rows: npt.NDArray[np.bool_]) -> "History":
        return self.rows(np.flatnonzero(rows)[np.lexsort((-self.fidelities[rows], self.numbers[rows]))])

    def rows(self, order: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> "History":
        """Return some evaluations: those marked, n booleans, or those numbered, in the order given."""
        return History(
            numbers=self.numbers[order],
            points=self.points[order],
            values=self.values[order],
            violations=self.violations[order],
            fidelities=self.fidelities[order],
            unasked=self.unasked[order],
        )

    def failed(self) -> "History":
        """Return the evaluations that failed, sorted by trial number."""
        return self._sorted(~self._succeeded() & self.whole)

    def suggested(self) -> Matrix:
        """Return the points that were evaluated because someone suggested them, not on the way of a trial.

        What an evaluation did not ask for is NaN.
        """
        return np.asarray(np.where(self.unasked, np.nan, self.points)[self.whole | (self.fidelities == 0)])

    @property
    def whole(self) -> npt.NDArray[np.bool_]:
        """Which of the n evaluations are whole, not made on the way of a trial."""
        return np.asarray(self.fidelities == 1)


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """The next point to evaluate and why.

    Attributes:
        parameters: Names and values, of the space's types.
        point: The same in the unit cube, d.
        origin: "latin hypercube", "earlier front", "policy", or "unseen point" where the policies only led to known
            points.
        policy: Which policy proposed the point, or None.
        path: The policy's walk, (moves + 1) x d, from its start to its last move; empty (0 x d) without one.
        mean: Predicted objective values, m, in the units of the history; empty without a model.
        std: Their standard deviations, m.
        reward: The reward of the point; None without a model.
        feasibility: Predicted probability that every constraint is kept; None without a model.
        interval: Ends of the intervals in which a measurement lies with probability 0.9, m x 2; empty without a model.
    """

    parameters: dict[str, Any]
    point: Matrix
    origin: str
    policy: int | None
    path: Matrix
    mean: Matrix
    std: Matrix
    reward: float | None
    feasibility: float | None
    interval: Matrix = field(default_factory=lambda: np.empty((0, 2)))

    @staticmethod
    def without_model(parameters: dict[str, Any], point: Matrix, origin: str) -> "Suggestion":
        """Return a suggestion that predicts nothing, of a design or of another sampler."""
        return Suggestion(
            parameters=parameters,
            point=point,
            origin=origin,
            policy=None,
            path=np.empty((0, len(point))),
            mean=np.empty(0),
            std=np.empty(0),
            reward=None,
            feasibility=None,
        )

    @property
    def start(self) -> Matrix | None:
        """Where the policy started, d, or None."""
        return self.path[0] if len(self.path) else None
