"""History -> surrogate: Gaussian processes of what is evaluated, imitations of what is known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import qmc

from tinypareto.errors import ConfigError
from tinypareto.search.config import SearchConfig
from tinypareto.search.failure_model import fit_failures
from tinypareto.search.gaussian_process import condition
from tinypareto.search.history import History
from tinypareto.search.known import KnownOutcomes
from tinypareto.search.marginal_likelihood import fit
from tinypareto.search.outcomes import Outcomes, standardise
from tinypareto.search.prior import Prior
from tinypareto.search.prior_fit import kept_where_it_helps, prior_mean
from tinypareto.search.scale_choice import logarithmic_objectives
from tinypareto.search.surrogate import Fallible, Learnt, MultiFidelity, PartlyKnown, Surrogate
from tinypareto.search.surrogate_front import predicted_front
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

N_EXAMPLES = 128  # of the known functions all over the space, the same in every suggestion
N_FRONT_EXAMPLES = 64  # where the front is predicted to be


def fitted(
    space: Space,
    history: History,
    pending: Matrix,
    known: KnownOutcomes | None,
    config: SearchConfig,
    device: str,
    seed: int,
    priors: Sequence[Prior] = (),
) -> tuple[Surrogate, Outcomes]:
    """Return the surrogate of one suggestion and how its standardised outcomes follow from the history's.

    Args:
        space: What may be varied.
        history: Evaluations, at least one of which succeeded.
        pending: Points under evaluation elsewhere, q x d, sorted; believed to turn out as predicted.
        known: Outcomes that are functions of the parameters.
        config: Settings.
        device: Where the models shall live.
        seed: Of the study.
        priors: What earlier tasks showed.

    Raises:
        ConfigError: If everything is known, or a known function fails.
    """
    usable, failed = history.usable(), history.failed()
    logarithmic = _logarithmic(space, usable, known, config, device) if config.choose_scale else None
    outcomes = standardise(usable.values, usable.violations, logarithmic)
    model: Surrogate
    if known is None:
        every = np.arange(outcomes.targets.shape[1])
        model = _learnt(space, usable, pending, outcomes, every, priors, config, device)
    else:
        model = _partly_known(space, usable, pending, outcomes, known, config, device, seed, priors)
        outcomes = model.outcomes
    if len(failed.numbers) and config.learn_failures:
        groups = model.tensor(space.groups)
        failure = fit_failures(usable.points[usable.whole], failed.points, groups)
        model = Fallible(outcomes=model, failure=failure)
    return model, outcomes


def _logarithmic(
    space: Space, usable: History, known: KnownOutcomes | None, config: SearchConfig, device: str
) -> npt.NDArray[np.bool_]:
    """Return which objectives to learn on a log scale, m; False for those that are known."""
    m = usable.values.shape[1]
    learnt = np.arange(m) if known is None else np.setdiff1d(np.arange(m), known.columns)
    columns, groups = _columns(space, usable)
    chosen = np.zeros(m, dtype=np.bool_)
    chosen[learnt] = logarithmic_objectives(
        columns, groups, usable.values[:, learnt], choose_kernel=config.choose_kernel, device=device
    )
    return chosen


def _learnt(
    space: Space,
    usable: History,
    pending: Matrix,
    outcomes: Outcomes,
    places: npt.NDArray[np.int64],
    priors: Sequence[Prior],
    config: SearchConfig,
    device: str,
) -> Learnt:
    """Return posteriors of some outcomes, which are learnt from trials and, where there are, with earlier tasks.

    Args:
        space: What may be varied.
        usable: Evaluations that succeeded.
        pending: As in `fitted`.
        outcomes: Of the evaluations.
        places: Of the k outcomes to learn, rising.
        priors: What earlier tasks showed.
        config: Settings.
        device: Where the models shall live.
    """
    targets = torch.from_numpy(outcomes.targets[:, places]).to(device)
    columns, groups = _columns(space, usable)
    points, of_columns = (torch.from_numpy(array).to(device) for array in (columns, groups))
    whole = usable.whole.all()
    prior = prior_mean(space, usable, outcomes, places, priors, config, device) if priors else None
    if prior is None:
        model = fit(points, targets, of_columns, choose_kernel=config.choose_kernel)
    else:
        prior, targets, model = kept_where_it_helps(prior, points, targets, usable, of_columns, config)
    if len(pending):
        more = pending if whole else np.column_stack([pending, np.ones(len(pending))])
        believed = model.tensor(more)
        expected = torch.cat([targets, model.predict_mean(believed).T])
        model = condition(torch.cat([points, believed]), expected, of_columns, model.hyperparameters)
    own = model if whole else MultiFidelity(posteriors=model)
    return own if prior is None else replace(prior, own=own)


def _columns(space: Space, usable: History) -> tuple[Matrix, npt.NDArray[np.int64]]:
    """Return where was evaluated, for the model, and the parameter of each column."""
    if usable.whole.all():
        return usable.points, space.groups
    columns = np.column_stack([usable.points, usable.fidelities])  # fidelity is a parameter of its own
    return columns, np.append(space.groups, space.n_free)


def _partly_known(
    space: Space,
    usable: History,
    pending: Matrix,
    outcomes: Outcomes,
    known: KnownOutcomes,
    config: SearchConfig,
    device: str,
    seed: int,
    priors: Sequence[Prior],
) -> PartlyKnown:
    """Return posteriors of what has to be evaluated, and imitations of what is known, best where the front may be.

    Raises:
        ConfigError: If everything is known.
    """
    rng = np.random.default_rng([seed, 3])
    spread = space.round_points(qmc.Sobol(space.n_columns, rng=rng).random(N_EXAMPLES))
    examples = np.concatenate([spread, usable.points, pending])
    values = known.at(space, examples)
    outcomes = outcomes.of_sample(known.columns, values[len(spread) :][: len(usable.numbers)], values)
    unknown = np.setdiff1d(np.arange(outcomes.targets.shape[1]), known.columns)
    if len(unknown) == 0:
        raise ConfigError(
            "Every objective and constraint is known, so there is nothing to learn from trials; leave out the one that "
            "is measured, or minimise the functions with a method for cheap ones."
        )
    learnt = _learnt(space, usable, pending, outcomes, unknown, priors, config, device)
    answers = outcomes.standardised(known.columns, values)
    points, targets, groups = map(learnt.tensor, (examples, answers, space.groups))
    model = PartlyKnown(
        space=space,
        outcomes=outcomes,
        known=known,
        learnt=learnt,
        imitated=fit(points, targets, groups, choose_kernel=config.choose_kernel),
        examples=examples,
        answers=answers,
        order=learnt.tensor(np.argsort(np.concatenate([unknown, known.columns]))),
    )
    front = predicted_front(model, space, usable.points, outcomes.limits, outcomes.n_objectives, rng)
    return model.with_examples(front.candidates[:N_FRONT_EXAMPLES])
