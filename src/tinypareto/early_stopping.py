"""Which trainings of a study are stopped before their end, and what those have shown by then."""

from collections.abc import Mapping
from dataclasses import dataclass

from tinypareto.errors import ExperimentError
from tinypareto.evaluation_record import Evaluation
from tinypareto.experiment import Experiment, Parameters, parameters_at, train_and_prune, training_path
from tinypareto.hosts.observations import Observation
from tinypareto.known_sizes import KnownSizes
from tinypareto.network.prune import PruningConfig
from tinypareto.network.training_config import TrainingConfig
from tinypareto.stop_rule import ERROR, StopRule, error_to_beat, factors
from tinypareto.trials import History, read_metrics

NEVER = StopRule(factors=(), to_beat=(), usual=())
EXPECTED = 1 - 2**-10  # fidelity of an end that was not reached


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
        found = factors(curves, epochs)
        if found is None:
            return NEVER
        hoped, usual = found
        front = [network.objectives for network in history.front()]
        scales = {name: history.description.scales[name] for name in self.experiment.objectives}
        to_come = [(at.epochs, parameters_at(parameters, at)) for at in training_path(parameters)]
        beat = [(end, self._to_beat(at, front, scales)) for end, at in [*to_come, (epochs, parameters)]]
        return StopRule(
            factors=hoped,
            to_beat=tuple(max(error for end, error in beat if end > done) for done in range(1, epochs)),
            usual=usual,
        )

    def _to_beat(
        self, parameters: Parameters, front: list[Mapping[str, float]], scales: Mapping[str, float]
    ) -> float:
        if any(excess(parameters) > 0 for excess in self.sizes.constraints.values()):
            return 0.0  # no error is low enough
        known = {
            name: self.sizes.objectives[place](parameters)
            for place, name in enumerate(self.experiment.objectives)
            if name != ERROR
        }
        return error_to_beat(known, front, scales)

    def observations(self, stopped: Evaluation) -> tuple[Observation, Observation]:
        """Return what a stopped training has shown, the float network's error, and what its end is expected to be.

        Only what it has shown would leave the sampler hoping for the same end again.
        """
        parameters = stopped.parameters
        epochs = TrainingConfig.from_parameters(parameters).epochs
        pruning = PruningConfig.from_parameters(parameters)
        at = pruning.reached(len(stopped.curve), epochs)
        assert stopped.expected_error is not None
        return (
            self._observation(at.step, at.epochs / epochs, parameters_at(parameters, at), stopped.curve[-1]),
            self._observation(pruning.steps + 1, EXPECTED, parameters, stopped.expected_error),
        )

    def _observation(self, step: int, fidelity: float, parameters: Parameters, error: float) -> Observation:
        values = {place: size(parameters) for place, size in self.sizes.objectives.items()}
        values[self.experiment.objectives.index(ERROR)] = error
        return Observation(
            step=step,
            fidelity=fidelity,
            parameters=parameters,
            values=tuple(value for _, value in sorted(values.items())),
            constraints={name: excess(parameters) for name, excess in self.sizes.constraints.items()},
        )
