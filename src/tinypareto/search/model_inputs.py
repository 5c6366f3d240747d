"""What the models of learnt outcomes are given: points, what is known of them, and how far an evaluation was.

columns of an input    d of the point | s known objectives | fidelity, if some evaluations are not whole
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import qmc

from tinypareto.search.history import History
from tinypareto.search.known import KnownOutcomes
from tinypareto.search.outcomes import Outcomes, standardise
from tinypareto.search.surrogate import as_inputs
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

# Points all over the space at which known functions are looked up. They are the same in every suggestion of a study, so
# that scales and lengthscales of the imitations are found once.
N_SPREAD = 128
STREAM = 3  # of random numbers, beside the study's others


@dataclass(frozen=True, kw_only=True)
class LookedUp:
    """What known functions gave at N points: all over the space, then at evaluations, then at pending points.

    Attributes:
        known: The f functions.
        points: N x d.
        values: N x f, in the history's units.
        n_evaluated: The number of evaluations.
    """

    known: KnownOutcomes
    points: Matrix
    values: Matrix
    n_evaluated: int

    @classmethod
    def of(
        cls, space: Space, known: KnownOutcomes, evaluated: Matrix, pending: Matrix, seed: int
    ) -> "LookedUp":
        """Ask the functions.

        Raises:
            ConfigError: As a function raised it.
        """
        rng = np.random.default_rng([seed, STREAM])
        spread = space.round_points(qmc.Sobol(space.n_columns, rng=rng).random(N_SPREAD))
        points = np.concatenate([spread, evaluated, pending])
        return cls(known=known, points=points, values=known.at(space, points), n_evaluated=len(evaluated))

    def outcomes(self, outcomes: Outcomes) -> Outcomes:
        """Return outcomes whose known columns are transformed as the whole space suggests, and not the evaluations."""
        evaluated = self.values[N_SPREAD:][: self.n_evaluated]
        return outcomes.of_sample(self.known.columns, evaluated, self.values[:N_SPREAD])

    def inputs(self) -> Matrix:
        """Return the s known objectives of evaluated and pending points as inputs of a model, one row each."""
        objectives = self.values[:, ~self.known.is_violation]
        scale = standardise(objectives[:N_SPREAD], np.empty((N_SPREAD, 0)))
        standardised = scale.standardised_finite(np.arange(objectives.shape[1]), objectives[N_SPREAD:])
        return np.asarray(as_inputs(torch.from_numpy(standardised)).numpy())


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Of the models: n evaluations, q pending points, D columns.

    Attributes:
        evaluated: n x D.
        pending: q x D.
        groups: D, the parameter of each column; known objectives and fidelity are parameters of their own.
        known: s, which of the known outcomes are among the columns.
        trials: n + q numbers of trials, different ones for those that are pending.
    """

    evaluated: Matrix
    pending: Matrix
    groups: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]
    trials: npt.NDArray[np.int64]

    @classmethod
    def of(cls, space: Space, usable: History, pending: Matrix, looked_up: LookedUp | None) -> "Inputs":
        """Return the inputs at evaluations and at pending points; of what is known only if it is given."""
        rows = [np.concatenate([usable.points, pending])]
        if looked_up is not None:
            rows.append(looked_up.inputs())
        if not usable.whole.all():
            rows.append(np.concatenate([usable.fidelities, np.ones(len(pending))])[:, None])
        columns, n = np.column_stack(rows), len(usable.numbers)
        more = space.n_free + np.arange(columns.shape[1] - space.n_columns)
        return cls(
            evaluated=columns[:n],
            pending=columns[n:],
            groups=np.concatenate([space.groups, more]),
            known=np.flatnonzero([] if looked_up is None else ~looked_up.known.is_violation),
            trials=np.concatenate([usable.numbers, -1 - np.arange(len(pending))]),
        )
