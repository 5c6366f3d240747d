"""The value of each objective at which it counts as hopeless: what the hypervolume is measured against."""

from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from optuna.distributions import CategoricalDistribution
from torch import nn

from tinypareto.errors import ExperimentError
from tinypareto.evaluation import evaluate
from tinypareto.experiment import Experiment, Parameters
from tinypareto.network.cost import macs, parameter_count
from tinypareto.network.data import Data
from tinypareto.network.train import TrainedNetwork, build_network


def objective_scales(experiment: Experiment, data: Data, folder: Path) -> dict[str, float]:
    """Return the value of each objective at which it counts as hopeless, for the hypervolume.

    That is what the experiment's ``scales`` or ``limits`` say, else chance for ``error`` and what the
    unpruned largest network of the space, untrained, needs for everything else.

    Args:
        experiment: Whose objectives.
        data: For calibration and the number of classes.
        folder: An empty folder to build the largest network in.

    Raises:
        ExperimentError: If an objective's scale cannot be known.
    """
    scales = {**experiment.limits, **experiment.scales}
    if "error" not in scales and data.classes is not None:
        scales["error"] = 1 - 1 / data.classes
    missing = [name for name in experiment.objectives if name not in scales]
    if missing == ["flops"]:  # needs no compiler
        scales["flops"] = float(2 * _macs(experiment, largest_parameters(experiment, data), data))
    elif missing:
        untrained = replace(experiment, train=_leave_untrained)
        largest = largest_parameters(experiment, data)
        with open(folder / "log.txt", "w", encoding="utf-8") as log, redirect_stdout(log):
            values = evaluate(untrained, data, largest, 0, folder).measured
        scales |= {name: float(values[name]) for name in missing if name in values}
    for name in experiment.objectives:
        if not scales.get(name, 0) > 0:
            raise ExperimentError(
                f"the hypervolume needs a scale for objective {name!r}, which has no limit; "
                f'give scales={{"{name}": value at which it is hopeless}}.'
            )
    return {name: float(scales[name]) for name in experiment.objectives}


def largest_parameters(experiment: Experiment, data: Data) -> dict[str, Any]:
    """Return the corner of the space whose unpruned network has most multiply-accumulates.

    Found parameter by parameter: the highest value of a range, unless the lowest makes a larger network;
    the category with the largest one, the first of equals.
    """
    candidates = {
        name: list(kind.choices) if isinstance(kind, CategoricalDistribution) else [kind.high, kind.low]  # type: ignore[attr-defined]
        for name, kind in experiment.space.items()
    }
    largest = {name: choices[0] for name, choices in candidates.items()}
    for name, choices in candidates.items():
        costs = [_macs(experiment, {**largest, name: choice}, data) for choice in choices]
        largest[name] = choices[int(np.argmax(costs))]
    return largest


def _leave_untrained(model: nn.Module, data: Data, parameters: Parameters, seed: int) -> TrainedNetwork:
    """Stand in for ``Experiment.train`` where only the unpruned network's size is asked for."""
    model.eval()
    cost = macs(model, torch.zeros(1, *data.sample_shape))
    return TrainedNetwork(model=model, history=(), warnings=(), macs=cost, parameters=parameter_count(model))


def _macs(experiment: Experiment, parameters: Parameters, data: Data) -> int:
    model = build_network(experiment.build_model, parameters, data, 0)
    return macs(model, torch.zeros(1, *data.sample_shape))
