"""What will be measured at a point, for those who read a suggestion's reasons.

The search itself takes observations at face value, lucky ones too: a front is made of networks that turned out well,
and next to one of these another may. A forecast has to expect that luck does not come again. And errors are counted:

    k of n samples are wrong in expectation: the count deviates by sqrt(k), the error y = k / n by sqrt(y / n)

1 / n is read off the observations, as the smallest difference between two of them. Of 3 expected mistakes there may
be 1 or 5; noise that is the same for all errors, large and small, would leave that out.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tinypareto.search.config import SearchConfig
from tinypareto.search.gaussian_process import GaussianProcesses
from tinypareto.search.marginal_likelihood import expecting_noise
from tinypareto.search.outcomes import HALF_OF_90_PERCENT, Outcomes
from tinypareto.search.surrogate import (
    Fallible,
    Informed,
    Learnt,
    MultiFidelity,
    PartlyKnown,
    Surrogate,
    look_up,
)

Matrix = npt.NDArray[np.float64]


def forecast(
    model: Surrogate,
    hoped: tuple[Tensor, Tensor],
    outcomes: Outcomes,
    values: Matrix,
    point: Tensor,
    config: SearchConfig,
) -> tuple[Matrix, Matrix, Matrix]:
    """Return what is expected of the objectives at a point, standardised, m each.

    Args:
        model: What the search believes.
        hoped: What it predicts at the point: `look_up`, which costs calls of known functions.
        outcomes: How it sees objectives.
        values: Of whole evaluations, n x m, in the history's units.
        point: 1 x d.
        config: Says which objectives are noisy.

    Returns:
        Mean, its standard deviation, and the standard deviation of a measurement.
    """
    m = outcomes.n_objectives
    noisy = np.isin(np.arange(len(outcomes.means)), config.noisy_objectives)
    if isinstance(model, Fallible):
        noisy = np.append(noisy, False)
    told = forecaster(model, model.tensor(noisy), choose_kernel=config.choose_kernel)
    mean, std = (found[:, 0] for found in (hoped if told is model else look_up(told, point)))
    centre = mean[:m].cpu().numpy()
    counted = np.where(noisy[:m], counting_std(outcomes, values, centre), 0.0)
    measured = np.hypot(measured_std(told, std)[:m].cpu().numpy(), counted)
    return centre, std[:m].cpu().numpy(), measured


def forecaster(model: Surrogate, noisy: Tensor, *, choose_kernel: bool) -> Surrogate:
    """Return a surrogate of the same observations that expects noise of some outcomes.

    Args:
        model: Any surrogate.
        noisy: Which of its k outcomes are known to be noisy.
        choose_kernel: As in `tinypareto.search.marginal_likelihood.fit`.
    """
    if not noisy.any():
        return model
    if isinstance(model, Fallible):
        return replace(model, outcomes=forecaster(model.outcomes, noisy[:-1], choose_kernel=choose_kernel))
    if isinstance(model, PartlyKnown):
        return replace(model, learnt=_learnt(model.learnt, noisy[model.learnt_places], choose_kernel))
    assert isinstance(model, GaussianProcesses | MultiFidelity | Informed)
    return _learnt(model, noisy, choose_kernel)


def _learnt(model: Learnt, noisy: Tensor, choose_kernel: bool) -> Learnt:
    if isinstance(model, Informed):
        return replace(model, own=_own(model.own, noisy, choose_kernel))
    return _own(model, noisy, choose_kernel)


def _own(
    model: GaussianProcesses | MultiFidelity, noisy: Tensor, choose_kernel: bool
) -> GaussianProcesses | MultiFidelity:
    if isinstance(model, MultiFidelity):
        expecting = expecting_noise(model.posteriors, noisy, choose_kernel=choose_kernel)
        return replace(model, posteriors=expecting)
    return expecting_noise(model, noisy, choose_kernel=choose_kernel)


def measured_std(model: Surrogate, std: Tensor) -> Tensor:
    """Return the standard deviation, k, of measurements at a point, for the k outcomes' own deviations there.

    Noise is added, and both are stretched where the model misses its own observations, each predicted from the others,
    by more than it admits: hyperparameters fitted to few observations are too sure of themselves. What one trial showed
    on its way is left out with its end, since a new trial has no such neighbours.
    """
    if isinstance(model, Fallible):
        return torch.cat([measured_std(model.outcomes, std[:-1]), std[-1:]])
    if isinstance(model, PartlyKnown):
        learnt = measured_std(model.learnt, std[model.learnt_places])
        return torch.cat([learnt, learnt.new_zeros(len(model.known.columns))])[model.order]
    if isinstance(model, Informed):
        return model.scales * measured_std(model.own, std / model.scales)
    assert isinstance(model, GaussianProcesses | MultiFidelity)
    misses, deviations = model.left_out()
    farthest = (misses / deviations).abs().quantile(0.9, dim=1, interpolation="higher")
    noise = (model.posteriors if isinstance(model, MultiFidelity) else model).hyperparameters.noises
    return (std.square() + noise).sqrt() * (farthest / HALF_OF_90_PERCENT).clamp_min(1.0)


def counting_std(outcomes: Outcomes, values: Matrix, mean: Matrix) -> Matrix:
    """Return the standard deviations, m and standardised, that counting gives objectives which are shares of samples.

    Args:
        outcomes: How the model sees objectives.
        values: Of whole evaluations, n x m, in the history's units.
        mean: Forecast objectives, m, standardised.
    """
    m = outcomes.n_objectives
    units, _ = outcomes.objective_units(mean, np.zeros(m))
    grains = np.array([np.diff(np.unique([0.0, *column])).min(initial=np.inf) for column in np.abs(values.T)])
    spread = np.sqrt(np.maximum(units, 0.0) * np.where(np.isfinite(grains), grains, 0.0))
    of_logarithm = spread / np.where(units > 0, units, 1.0)
    return np.asarray(np.where(outcomes.logarithmic, of_logarithm, spread) / outcomes.scales[:m])
