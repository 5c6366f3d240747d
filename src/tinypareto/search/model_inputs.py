"""What the models of learnt outcomes are given: points, what is known of them, and how far an evaluation was.

Columns of an input: d of the point, known objectives, s further inputs, and the fidelity if any is below 1.
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
        known: The f functions of outcomes and s further inputs.
        points: N x d.
        values: N x f, in the history's units.
        further: N x s, further inputs, standardised, of whole evaluations.
        further_evaluated: The same of evaluations as they were, whole or not.
        scale: Mean and deviation of the further inputs all over the space, s each.
    """

    known: KnownOutcomes
    points: Matrix
    values: Matrix
    further: Matrix
    further_evaluated: Matrix
    scale: tuple[Matrix, Matrix]

    @classmethod
    def of(
        cls, space: Space, known: KnownOutcomes, usable: History, pending: Matrix, seed: int
    ) -> "LookedUp":
        """Ask the functions.

        Raises:
            ConfigError: As a function raised it.
        """
        rng = np.random.default_rng([seed, STREAM])
        spread = space.round_points(qmc.Sobol(space.n_columns, rng=rng).random(N_SPREAD))
        points = np.concatenate([spread, usable.points, pending])
        further = known.inputs_at(space, points, np.ones(len(points)))
        evaluated = known.inputs_at(space, usable.points, usable.fidelities)
        means, deviations = further[:N_SPREAD].mean(axis=0), further[:N_SPREAD].std(axis=0)
        deviations = np.where(deviations > 0, deviations, 1.0)
        return cls(
            known=known,
            points=points,
            values=known.at(space, points),
            further=(further - means) / deviations,
            further_evaluated=(evaluated - means) / deviations,
            scale=(means, deviations),
        )

    def outcomes(self, outcomes: Outcomes) -> Outcomes:
        """Return outcomes whose known columns are transformed as the whole space suggests, and not the evaluations."""
        evaluated = self.values[N_SPREAD:][: len(self.further_evaluated)]
        return outcomes.of_sample(self.known.columns, evaluated, self.values[:N_SPREAD])

    def inputs(self) -> Matrix:
        """Return what is known of evaluated and pending points as inputs of a model, one row each."""
        objectives = self.values[:, ~self.known.is_violation]
        scale = standardise(objectives[:N_SPREAD], np.empty((N_SPREAD, 0)))
        standardised = scale.standardised_finite(np.arange(objectives.shape[1]), objectives[N_SPREAD:])
        pending = self.further[N_SPREAD + len(self.further_evaluated) :]
        further = np.concatenate([self.further_evaluated, pending])
        columns = np.concatenate([standardised, further], axis=1)
        return np.asarray(as_inputs(torch.from_numpy(columns)).numpy())

    def input_places(self) -> npt.NDArray[np.int64]:
        """Return which of the f known outcomes and s further inputs are inputs."""
        objectives, f = np.flatnonzero(~self.known.is_violation), len(self.known.columns)
        return np.concatenate([objectives, f + np.arange(len(self.known.inputs))])


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Of the models: n evaluations, q pending points, D columns.

    Attributes:
        evaluated: n x D.
        pending: q x D.
        groups: D, the parameter of each column; whatever is none of the point's is one of its own.
        known: Which of the known outcomes and further inputs are among the columns.
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
            known=np.arange(0) if looked_up is None else looked_up.input_places(),
            trials=np.concatenate([usable.numbers, -1 - np.arange(len(pending))]),
        )
