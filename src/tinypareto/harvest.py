"""Which networks that a training passes through are measured too: one training gives many firmwares.

After each pruning step and its fine-tuning a network is deployable. Those that are known to break a limit are left out
beforehand, those that a later network of the same training beats in everything after it (evaluation.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tinypareto.errors import ExperimentError
from tinypareto.experiment import Experiment, Parameters, parameters_at, train_and_prune, training_path
from tinypareto.known_sizes import SizeFunction
from tinypareto.network.prune import PathStep
from tinypareto.network.training_config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Harvest:
    """What is harvested of an experiment's trainings.

    Args:
        experiment: It has to train by `train_and_prune`, whose path is known.
        known_constraints: Functions of a network's parameters that are positive where it breaks a limit.

    Raises:
        ExperimentError: If the experiment trains by a function of its own.
    """

    experiment: Experiment
    known_constraints: Mapping[str, SizeFunction]

    def __post_init__(self) -> None:
        if self.experiment.train is not train_and_prune:
            raise ExperimentError(
                f"experiment {self.experiment.name!r} has its own train, so what its trainings pass through is not "
                "known; leave that out, or do not harvest."
            )

    def steps(self, parameters: Parameters) -> tuple[PathStep, ...]:
        """Return the steps of a training's path whose networks are not known to break a limit."""
        return tuple(at for at in training_path(parameters) if self._is_kept(parameters_at(parameters, at)))

    def trace(self, parameters: Parameters) -> list[tuple[Parameters, float]]:
        """Return the parameters of the networks at these steps, each with its share of the epochs."""
        epochs = TrainingConfig.from_parameters(parameters).epochs
        return [(parameters_at(parameters, at), at.epochs / epochs) for at in self.steps(parameters)]

    def _is_kept(self, parameters: Parameters) -> bool:
        return all(excess(parameters) <= 0 for excess in self.known_constraints.values())
