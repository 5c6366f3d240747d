"""What is known of a training before it begins, besides sizes: how long a network is trained after its last pruning."""

import math

from tinypareto.experiment import Parameters
from tinypareto.network.data import Data
from tinypareto.network.prune import PruningConfig
from tinypareto.network.training_config import TrainingConfig
from tinypareto.search.known import InputFunction


def updates_since_pruning(data: Data) -> InputFunction:
    """Return a function of parameters and of the share of the epochs that are done: log of the updates since then.

    A network that lost most of its filters has to learn again. Schedule, steps, start, epochs and batch size say how
    long it may only together, and for a one-shot schedule the number of steps says nothing.
    """

    def function(parameters: Parameters, fidelity: float) -> float:
        training = TrainingConfig.from_parameters(parameters)
        done = round(fidelity * training.epochs)
        steps = PruningConfig.from_parameters(parameters).steps_by_epoch(training.epochs)
        last = max((epoch for epoch in steps if epoch < done), default=0)
        updates = (done - last) * math.ceil(len(data.train) / training.batch_size)
        return math.log(max(updates, 1))

    return function
