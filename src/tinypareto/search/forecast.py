"""What will be measured at a point, for those who read a suggestion's reasons.

A measurement scatters about what is predicted, and errors are counted besides:

    k of n samples are wrong in expectation: the count deviates by sqrt(k), the error y = k / n by sqrt(y / n)

1 / n is read off the observations, as the smallest difference between two of them. Of 3 expected mistakes there may
be 1 or 5; noise that is the same for all errors, large and small, would leave that out.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tinypareto.search.config import SearchConfig
from tinypareto.search.gaussian_process import GaussianProcesses
from tinypareto.search.outcomes import HALF_OF_90_PERCENT, Outcomes
from tinypareto.search.surrogate import Fallible, Informed, MultiFidelity, PartlyKnown, Surrogate, noise_of

Matrix = npt.NDArray[np.float64]


def forecast(
    model: Surrogate,
    predicted: tuple[Tensor, Tensor],
    outcomes: Outcomes,
    values: Matrix,
    config: SearchConfig,
) -> tuple[Matrix, Matrix, Matrix]:
    """Return what is expected of the objectives at a point, standardised, m each.

    Args:
        model: What the search believes.
        predicted: Mean and deviation that it predicts at the point, k x 1 each.
        outcomes: How it sees objectives.
        values: Of whole evaluations, n x m, in the history's units.
        config: Says which objectives are noisy.

    Returns:
        Mean, its standard deviation, and the standard deviation of a measurement.
    """
    m = outcomes.n_objectives
    mean, std = (found[:, 0] for found in predicted)
    centre = mean[:m].cpu().numpy()
    noisy = np.isin(np.arange(m), config.noisy_objectives)
    counted = np.where(noisy, counting_std(outcomes, values, centre), 0.0)
    measured = np.hypot(measured_std(model, std)[:m].cpu().numpy(), counted)
    return centre, std[:m].cpu().numpy(), measured


def measured_std(model: Surrogate, std: Tensor) -> Tensor:
    """Return the standard deviation, k, of measurements at a point, for the k outcomes' own deviations there.

    Noise is added, and both are stretched where the model misses its own observations, each predicted from the others,
    by more than it admits: hyperparameters fitted to few observations are too sure of themselves. What one trial showed
    on its way is left out with its end, since a new trial has no such neighbours.
    """
    return (std.square() + noise_of(model)).sqrt() * _stretch(model)


def _stretch(model: Surrogate) -> Tensor:
    """Return the factor of each outcome, k; 0 of what is known."""
    if isinstance(model, Fallible):
        stretch = _stretch(model.outcomes)
        return torch.cat([stretch, stretch.new_ones(1)])
    if isinstance(model, PartlyKnown):
        stretch = _stretch(model.learnt)
        return torch.cat([stretch, stretch.new_zeros(len(model.known.columns))])[model.order]
    if isinstance(model, Informed):
        return _stretch(model.own)
    assert isinstance(model, GaussianProcesses | MultiFidelity)
    misses, deviations = model.left_out()
    farthest = (misses / deviations).abs().quantile(0.9, dim=1, interpolation="higher")
    return (farthest / HALF_OF_90_PERCENT).clamp_min(1.0)


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
