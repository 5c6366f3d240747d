"""History -> surrogate: Gaussian processes of what is evaluated, imitations of what is known."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import qmc

from tinypareto.errors import ConfigError
from tinypareto.search.config import SearchConfig
from tinypareto.search.failure_model import fit_failures
from tinypareto.search.gaussian_process import GaussianProcesses, condition
from tinypareto.search.history import History
from tinypareto.search.known import KnownOutcomes
from tinypareto.search.marginal_likelihood import fit
from tinypareto.search.outcomes import Outcomes, standardise
from tinypareto.search.surrogate import Fallible, MultiFidelity, PartlyKnown, Surrogate
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

    Raises:
        ConfigError: If everything is known, or a known function fails.
    """
    usable, failed = history.usable(), history.failed()
    outcomes = standardise(usable.values, usable.violations)
    model: Surrogate
    if known is None:
        model = _posteriors(space, usable, pending, outcomes, config, device)
    else:
        model = _partly_known(space, usable, pending, outcomes, known, config, device, seed)
        outcomes = model.outcomes
    if len(failed.numbers) and config.learn_failures:
        groups = model.tensor(space.groups)
        failure = fit_failures(usable.points[usable.whole], failed.points, groups)
        model = Fallible(outcomes=model, failure=failure)
    return model, outcomes


def _posteriors(
    space: Space, usable: History, pending: Matrix, outcomes: Outcomes, config: SearchConfig, device: str
) -> GaussianProcesses | MultiFidelity:
    columns, believed, groups = usable.points, pending, space.groups
    if not usable.whole.all():  # fidelity is a parameter of its own
        columns = np.column_stack([columns, usable.fidelities])
        believed = np.column_stack([believed, np.ones(len(believed))])
        groups = np.append(groups, space.n_free)
    points, of_columns, outputs = (
        torch.from_numpy(array).to(device) for array in (columns, groups, outcomes.targets)
    )
    model = fit(points, outputs, of_columns, choose_kernel=config.choose_kernel)
    if len(pending):
        more = model.tensor(believed)
        targets = torch.cat([outputs, model.predict_mean(more).T])
        model = condition(torch.cat([points, more]), targets, of_columns, model.hyperparameters)
    return model if usable.whole.all() else MultiFidelity(posteriors=model)


def _partly_known(
    space: Space,
    usable: History,
    pending: Matrix,
    outcomes: Outcomes,
    known: KnownOutcomes,
    config: SearchConfig,
    device: str,
    seed: int,
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
    learnt = _posteriors(
        space, usable, pending, replace(outcomes, targets=outcomes.targets[:, unknown]), config, device
    )
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
