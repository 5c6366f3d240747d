"""Earlier tasks and this one's evaluations -> what is expected beforehand, and what is left to learn (prior.py)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from tinypareto.search.config import SearchConfig
from tinypareto.search.gaussian_process import GaussianProcesses, condition
from tinypareto.search.history import History
from tinypareto.search.marginal_likelihood import fit
from tinypareto.search.outcomes import Outcomes, standardise
from tinypareto.search.prior import Prior, weights
from tinypareto.search.surrogate import Informed, MultiFidelity, mean_at
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

LEAST_RESIDUAL = 0.05  # of an outcome's deviation: an earlier task is never taken for the whole truth


@dataclass(frozen=True, kw_only=True)
class _Earlier:
    """Posteriors of an earlier task's outcomes that are to be learnt now, and their units."""

    model: GaussianProcesses | MultiFidelity
    outcomes: Outcomes
    places: npt.NDArray[np.int64]  # which of the k outcomes they are


def prior_mean(
    space: Space,
    usable: History,
    outcomes: Outcomes,
    learnt: npt.NDArray[np.int64],
    priors: Sequence[Prior],
    config: SearchConfig,
    device: str,
) -> Informed | None:
    """Return what earlier tasks make expect, nothing of its own learnt yet; None if they say nothing of use.

    Args:
        space: What may be varied.
        usable: Evaluations that succeeded.
        outcomes: Of these.
        learnt: Which k of the m + c outcomes have to be learnt, rising; no model is made of others.
        priors: What earlier tasks showed.
        config: Settings.
        device: Where the models shall live.
    """
    groups = tuple(space.groups.tolist())
    earlier = []
    for prior in priors:
        columns = tuple(np.intersect1d(prior.columns, learnt).tolist())
        if columns:
            model, own = _posteriors(prior, columns, groups, space.n_free, config.choose_kernel, device)
            earlier.append(_Earlier(model=model, outcomes=own, places=np.searchsorted(learnt, columns)))
    if not earlier:
        return None
    here, fidelities = (torch.from_numpy(array).to(device) for array in (usable.points, usable.fidelities))
    means = [mean_at(one.model, here, fidelities).cpu().numpy() for one in earlier]  # each k_e x n
    slopes = [np.zeros(len(one.places)) for one in earlier]
    offsets = np.zeros(len(learnt))
    for place, column in enumerate(learnt):
        of = [
            (e, row) for e, one in enumerate(earlier) for row in np.flatnonzero(one.places == place).tolist()
        ]
        if of:
            units = np.array([_unit(outcomes, int(column), earlier[e].outcomes, row) for e, row in of])
            features, targets = (
                np.stack([means[e][row] for e, row in of], axis=1) * units,
                outcomes.targets[:, column],
            )
            found = weights(features, targets)
            offsets[place] = (targets - features @ found).mean()
            for (e, row), slope in zip(of, found * units, strict=True):
                slopes[e][row] = slope
    return Informed(
        own=earlier[0].model,
        earlier=tuple(one.model for one in earlier),
        places=tuple(torch.from_numpy(one.places).to(device) for one in earlier),
        slopes=tuple(torch.from_numpy(slope).to(device) for slope in slopes),
        offsets=torch.from_numpy(offsets).to(device),
        scales=torch.ones(len(learnt), dtype=torch.float64, device=device),
    )


def kept_where_it_helps(
    prior: Informed,
    points: torch.Tensor,
    targets: torch.Tensor,
    usable: History,
    groups: torch.Tensor,
    config: SearchConfig,
) -> tuple[Informed, torch.Tensor, GaussianProcesses]:
    """Return the prior, let go of by outcomes that are predicted better without; and what is to be learnt then.

    Args:
        prior: As `prior_mean` gave it.
        points: Of the model, n x (d or d + 1 with the fidelity).
        targets: Standardised observations, n x k.
        usable: The same as evaluations.
        groups: The parameter of each column of the points.
        config: Settings.

    Returns:
        The prior, what it leaves to learn, n x k, and posteriors of that.
    """
    here, fidelities = prior.tensor(usable.points), prior.tensor(usable.fidelities)
    residuals = targets - prior.prior_mean(here, fidelities).T
    scales = residuals.std(0, correction=0).clamp_min(LEAST_RESIDUAL)
    both = torch.cat([targets, residuals / scales], dim=1)
    model = fit(points, both, groups, choose_kernel=config.choose_kernel)
    k = targets.shape[1]
    density = model.left_out_density()
    helps = density[k:] - len(points) * scales.log() > density[:k]  # in the same units
    rows = torch.arange(k, device=targets.device) + k * helps
    kept = replace(
        prior,
        slopes=tuple(slopes * helps[at] for slopes, at in zip(prior.slopes, prior.places, strict=True)),
        offsets=prior.offsets * helps,
        scales=torch.where(helps, scales, torch.ones_like(scales)),
    )
    hyperparameters = model.hyperparameters.of(rows)
    return kept, both[:, rows], condition(points, both[:, rows], groups, hyperparameters)


def _unit(outcomes: Outcomes, column: int, earlier: Outcomes, row: int) -> float:
    """Return an earlier standardised unit in this study's, if both are of the same scale."""
    if column < outcomes.n_objectives and outcomes.logarithmic[column] != earlier.logarithmic[row]:
        return 1.0
    return float(earlier.scales[row] / outcomes.scales[column])


@lru_cache(maxsize=16)
def _posteriors(
    prior: Prior,
    columns: tuple[int, ...],
    groups: tuple[int, ...],
    n_free: int,
    choose_kernel: bool,
    device: str,
) -> tuple[GaussianProcesses | MultiFidelity, Outcomes]:
    """Return the posteriors of some objectives of an earlier task, and what their units are."""
    history = prior.history(columns)
    outcomes = standardise(history.values, history.violations)
    whole = history.whole.all()
    inputs = history.points if whole else np.column_stack([history.points, history.fidelities])
    of_inputs = np.array(groups if whole else (*groups, n_free), dtype=np.int64)
    points, targets, of = (
        torch.from_numpy(array).to(device) for array in (inputs, outcomes.targets, of_inputs)
    )
    model = fit(points, targets, of, choose_kernel=choose_kernel)
    trials = torch.from_numpy(history.numbers).to(device)
    return (model if whole else MultiFidelity(posteriors=model, trials=trials)), outcomes
