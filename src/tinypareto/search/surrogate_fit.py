"""History -> surrogate: Gaussian processes of what is evaluated, imitations of what is known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from tinypareto.errors import ConfigError
from tinypareto.search.config import SearchConfig
from tinypareto.search.failure_model import fit_failures
from tinypareto.search.gaussian_process import condition
from tinypareto.search.history import History
from tinypareto.search.imitation import imitation
from tinypareto.search.known import KnownOutcomes
from tinypareto.search.marginal_likelihood import fit
from tinypareto.search.model_inputs import N_SPREAD, Inputs, LookedUp
from tinypareto.search.outcomes import Outcomes, may_have_logarithm, standardise
from tinypareto.search.prior import Prior
from tinypareto.search.prior_fit import kept_where_it_helps, prior_mean
from tinypareto.search.scale_choice import logarithmic_objectives
from tinypareto.search.surrogate import Fallible, Learnt, MultiFidelity, PartlyKnown, Surrogate
from tinypareto.search.surrogate_front import predicted_front
from tinypareto.space import Space

Matrix = npt.NDArray[np.float64]

FRONT_STREAM = 5  # of random numbers, beside those of `LookedUp`
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
    looked_up = None if known is None else LookedUp.of(space, known, usable, pending, seed)
    # Beside what earlier tasks showed, sizes explain little more, and those tasks' models do not know them as inputs.
    with_known = config.known_as_inputs and not priors
    inputs = Inputs.of(space, usable, pending, looked_up if with_known else None)
    logarithmic = _logarithmic(inputs, usable, known, config, device)
    outcomes = standardise(usable.values, usable.violations, logarithmic)
    model: Surrogate
    if looked_up is None:
        every = np.arange(outcomes.targets.shape[1])
        model = _learnt(space, usable, inputs, outcomes, every, priors, config, device)
    else:
        outcomes = looked_up.outcomes(outcomes)
        model = _partly_known(space, usable, inputs, outcomes, looked_up, config, device, seed, priors)
    if len(failed.numbers) and config.learn_failures:
        groups = model.tensor(space.groups)
        failure = fit_failures(usable.points[usable.whole], failed.points, groups)
        model = Fallible(outcomes=model, failure=failure)
    return model, outcomes


def _logarithmic(
    inputs: Inputs, usable: History, known: KnownOutcomes | None, config: SearchConfig, device: str
) -> npt.NDArray[np.bool_] | None:
    """Return which objectives to learn on a log scale, m; False for those that are known. None: let skewness decide."""
    if not config.choose_scale:
        return None
    m = usable.values.shape[1]
    given = np.isin(np.arange(m), config.log_objectives)
    open_ = np.ones(m, dtype=np.bool_) if known is None else ~np.isin(np.arange(m), known.columns)
    open_ &= ~given
    chosen = given & may_have_logarithm(usable.values)
    chosen[open_] = logarithmic_objectives(
        inputs.evaluated,
        inputs.groups,
        usable.numbers,
        usable.values[:, open_],
        choose_kernel=config.choose_kernel,
        device=device,
    )
    return chosen


def _learnt(
    space: Space,
    usable: History,
    inputs: Inputs,
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
        inputs: Of the models, at these and at pending points.
        outcomes: Of the evaluations.
        places: Of the k outcomes to learn, rising.
        priors: What earlier tasks showed.
        config: Settings.
        device: Where the models shall live.
    """
    targets = torch.from_numpy(outcomes.targets[:, places]).to(device)
    points, of_columns = (torch.from_numpy(array).to(device) for array in (inputs.evaluated, inputs.groups))
    prior = prior_mean(space, usable, outcomes, places, priors, config, device) if priors else None
    if prior is None:
        model = fit(points, targets, of_columns, choose_kernel=config.choose_kernel)
    else:
        prior, targets, model = kept_where_it_helps(prior, points, targets, usable, of_columns, config)
    if len(inputs.pending):
        believed = model.tensor(inputs.pending)
        expected = torch.cat([targets, model.predict_mean(believed).T])
        model = condition(torch.cat([points, believed]), expected, of_columns, model.hyperparameters)
    own = model if usable.whole.all() else MultiFidelity(posteriors=model, trials=model.tensor(inputs.trials))
    return own if prior is None else replace(prior, own=own)


def _partly_known(
    space: Space,
    usable: History,
    inputs: Inputs,
    outcomes: Outcomes,
    looked_up: LookedUp,
    config: SearchConfig,
    device: str,
    seed: int,
    priors: Sequence[Prior],
) -> PartlyKnown:
    """Return posteriors of what has to be evaluated, and imitations of what is known, best where the front may be.

    Raises:
        ConfigError: If everything is known.
    """
    known, points = looked_up.known, looked_up.points
    unknown = np.setdiff1d(np.arange(outcomes.targets.shape[1]), known.columns)
    if len(unknown) == 0:
        raise ConfigError(
            "Every objective and constraint is known, so there is nothing to learn from trials; leave out the one that "
            "is measured, or minimise the functions with a method for cheap ones."
        )
    learnt = _learnt(space, usable, inputs, outcomes, unknown, priors, config, device)
    values = outcomes.standardised_finite(known.columns, looked_up.values)
    answers = np.concatenate([values, looked_up.further], axis=1)
    model = PartlyKnown(
        space=space,
        outcomes=outcomes,
        known=known,
        learnt=learnt,
        inputs=learnt.tensor(inputs.known),
        input_scale=looked_up.scale,
        imitated=imitation(
            points, answers, space.groups, N_SPREAD, choose_kernel=config.choose_kernel, device=learnt.device
        ),
        examples=points,
        answers=answers,
        order=learnt.tensor(np.argsort(np.concatenate([unknown, known.columns]))),
    )
    rng = np.random.default_rng([seed, FRONT_STREAM])
    front = predicted_front(model, space, usable.points, outcomes.limits, outcomes.n_objectives, rng)
    return model.with_examples(front.candidates[:N_FRONT_EXAMPLES])
