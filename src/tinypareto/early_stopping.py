"""Which trainings of a study are stopped before their end, and what those have shown by then."""

from collections.abc import Mapping
from dataclasses import dataclass

from tinypareto.errors import ExperimentError
from tinypareto.evaluation_record import Evaluation
from tinypareto.experiment import Experiment, Parameters, parameters_at, train_and_prune, training_path
from tinypareto.hosts.observations import Observation
from tinypareto.known_sizes import KnownSizes
from tinypareto.network.prune import PruningConfig
from tinypareto.network.train import TrainingConfig
from tinypareto.stop_rule import ERROR, StopRule, error_to_beat, factors
from tinypareto.trials import History, read_metrics


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Decides for an experiment whose objectives but the error are all known before training.

    Args:
        experiment: It has to train by `train_and_prune`.
        sizes: What is known.

    Raises:
        ExperimentError: If a training's end or its sizes cannot be known beforehand.
    """

    experiment: Experiment
    sizes: KnownSizes

    def __post_init__(self) -> None:
        unknown = set(range(len(self.experiment.objectives))) - set(self.sizes.objectives)
        if [self.experiment.objectives[place] for place in unknown] != [ERROR]:
            raise ExperimentError(
                f"trainings of experiment {self.experiment.name!r} cannot be stopped early: of its objectives "
                f"{', '.join(self.experiment.objectives)} exactly the error must be unknown before training; leave the "
                "others out, or search without early stopping."
            )
        if self.experiment.train is not train_and_prune:
            raise ExperimentError(
                f"experiment {self.experiment.name!r} has its own train, which cannot be watched; search without early "
                "stopping."
            )

    def rule(self, parameters: Parameters, history: History) -> StopRule:
        """Return when a training with these parameters shall end, given what was found before."""
        epochs = TrainingConfig.from_parameters(parameters).epochs
        curves = (
            (*read_metrics(trial.folder).get("curve", ()), trial.objectives[ERROR])
            for trial in history.trials
            if trial.objectives is not None
        )
        hoped = factors(curves, epochs)
        if hoped is None:
            return StopRule(factors=(), to_beat=())
        front = [network.objectives for network in history.front()]
        hopeless = history.description.scales[ERROR]
        to_come = [(at.epochs, parameters_at(parameters, at)) for at in training_path(parameters)]
        beat = [(end, self._to_beat(at, front, hopeless)) for end, at in [*to_come, (epochs, parameters)]]
        return StopRule(
            factors=hoped,
            to_beat=tuple(max(error for end, error in beat if end > done) for done in range(1, epochs)),
        )

    def _to_beat(self, parameters: Parameters, front: list[Mapping[str, float]], hopeless: float) -> float:
        if any(excess(parameters) > 0 for excess in self.sizes.constraints.values()):
            return 0.0  # no error is low enough
        known = {
            name: self.sizes.objectives[place](parameters)
            for place, name in enumerate(self.experiment.objectives)
            if name != ERROR
        }
        return error_to_beat(known, front, hopeless)

    def observation(self, stopped: Evaluation) -> Observation:
        """Return what a stopped training has shown: the float network's error, and its sizes."""
        parameters = stopped.parameters
        epochs = TrainingConfig.from_parameters(parameters).epochs
        at = PruningConfig.from_parameters(parameters).reached(len(stopped.curve), epochs)
        then = parameters_at(parameters, at)
        values = {place: size(then) for place, size in self.sizes.objectives.items()}
        values[self.experiment.objectives.index(ERROR)] = stopped.curve[-1]
        return Observation(
            step=at.step,
            fidelity=at.epochs / epochs,
            parameters=then,
            values=tuple(value for _, value in sorted(values.items())),
            constraints={name: excess(then) for name, excess in self.sizes.constraints.items()},
        )
