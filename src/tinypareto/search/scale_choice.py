"""Which objectives to model on a log scale: those whose observations the model then predicts better from the others.

Better is: with smaller errors in the objective's own unit, since a front's hypervolume is measured in that. A skewed
distribution is no reason, nor is the likelihood of the observations: the logarithm of a sum of squares promises nothing
of its other minima, and is likelier all the same once most of the observations lie in one of them.
"""

import numpy as np
import numpy.typing as npt
import torch

from tinypareto.search.marginal_likelihood import fit
from tinypareto.search.outcomes import standardise, with_logarithm

Matrix = npt.NDArray[np.float64]


def logarithmic_objectives(
    points: Matrix,
    groups: npt.NDArray[np.int64],
    trials: npt.NDArray[np.int64],
    values: Matrix,
    *,
    choose_kernel: bool,
    device: str,
) -> npt.NDArray[np.bool_]:
    """Return which objectives, m, are better modelled on a log scale.

    Args:
        points: Observed points, n x d, in the unit cube.
        groups: Number of the parameter to which each of the d columns belongs.
        trials: Number of the trial that made each observation, n; one trial's are predicted from those of others.
        values: Objective values, n x m, finite.
        choose_kernel: As in `fit`.
        device: Where the models shall live.
    """
    chosen = with_logarithm(values)
    if chosen.any():
        candidates = values[:, chosen]
        errors = left_out_errors(
            points, groups, trials, candidates, choose_kernel=choose_kernel, device=device
        )
        chosen[chosen] = errors[:, 1] < errors[:, 0]
    return chosen


def left_out_errors(
    points: Matrix,
    groups: npt.NDArray[np.int64],
    trials: npt.NDArray[np.int64],
    values: Matrix,
    *,
    choose_kernel: bool,
    device: str,
) -> Matrix:
    """Return the mean absolute errors of k positive objectives, each value predicted from the others: k x 2.

    First modelled as they are, then as logarithms. Arguments as in `logarithmic_objectives`.
    """
    n, k = values.shape
    both = np.repeat(values, 2, axis=1)
    outcomes = standardise(both, np.empty((n, 0)), np.tile([False, True], k))
    at, targets, of_columns, together = (
        torch.from_numpy(array).to(device) for array in (points, outcomes.targets, groups, trials)
    )
    model = fit(at, targets, of_columns, choose_kernel=choose_kernel)
    expected = (targets.T - model.left_out(together)[0]).cpu().numpy().T * outcomes.scales + outcomes.means
    expected[:, 1::2] = np.exp(np.minimum(expected[:, 1::2], 700.0))
    return np.asarray(np.abs(expected - both).mean(axis=0).reshape(k, 2))
