"""What a trial's training gave, told to the study: the sampler learns from it, the history reads it."""

import optuna
from optuna.trial import Trial, TrialState

from tinypareto.early_stopping import EarlyStopping
from tinypareto.evaluation_record import Evaluation
from tinypareto.experiment import Experiment, parameters_at, training_path
from tinypareto.hosts.observations import Observation, add_observations
from tinypareto.network.training_config import TrainingConfig
from tinypareto.trials import FAILURE, STOPPED_AT


def tell_outcome(
    study: optuna.Study,
    trial: Trial,
    experiment: Experiment,
    outcome: Evaluation | str,
    stopping: EarlyStopping | None = None,
) -> None:
    """End a running trial with what its training gave: values and excesses of limits, or why it has none."""
    if isinstance(outcome, str):
        trial.set_user_attr(FAILURE, outcome[:1000])
        study.tell(trial, state=TrialState.FAIL)
        return
    seen = [_observation(experiment, trial, one) for one in outcome.harvested]
    if outcome.stopped:
        assert stopping is not None
        passed = {one.fidelity for one in seen}
        further = [one for one in stopping.observations(outcome) if one.fidelity not in passed]
        trial.set_user_attr(STOPPED_AT, further[0].fidelity)
        seen += further
    for name, excess in experiment.excesses(outcome.objectives).items() if not outcome.stopped else ():
        if name not in trial.constraints:  # set before a kill: the same value
            trial.set_constraint(name, excess)
    if seen:
        add_observations(trial, seen)
    if outcome.stopped:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, experiment.values(outcome.objectives))


def _observation(experiment: Experiment, trial: Trial, harvested: Evaluation) -> Observation:
    """Return what the sampler shall learn of a network on the way: its sparsity, and how far the training was."""
    at = next(at for at in training_path(trial.params) if at.step == harvested.step)
    return Observation(
        step=at.step,
        fidelity=at.epochs / TrainingConfig.from_parameters(trial.params).epochs,
        parameters=parameters_at(trial.params, at),
        values=tuple(experiment.values(harvested.objectives)),
        constraints=experiment.excesses(harvested.objectives),
    )
