"""An experiment's objectives and limits that are known before training, as functions for the sampler."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tinypareto.errors import QuantizationError, TrainingError, UnknownFootprintError, UnsupportedModelError
from tinypareto.experiment import Experiment, Parameters
from tinypareto.network.data import Data
from tinypareto.space import Space
from tinypareto.static_footprint import KNOWN, StaticFootprint

SizeFunction = Callable[[Parameters], float]

# Of a network that cannot even be built, in units of the objective's scale: no trial of it would succeed.
UNBUILDABLE = 2.0
_FAILURES = (
    MemoryError,
    TrainingError,
    QuantizationError,
    UnsupportedModelError,
)  # that a trial of the same network would meet


@dataclass(frozen=True, kw_only=True)
class KnownSizes:
    """Functions of a trial's parameters.

    Attributes:
        objectives: By the objective's place.
        constraints: By the objective's name: by how much of its limit it exceeds that, kept at <= 0.
    """

    objectives: Mapping[str | int, SizeFunction]
    constraints: Mapping[str, SizeFunction]


def known_sizes(experiment: Experiment, data: Data, scales: Mapping[str, float]) -> KnownSizes:
    """Return what is known of the experiment's trials.

    Args:
        experiment: Whose trials.
        data: Its data; only shapes matter.
        scales: Value of each objective at which it counts as hopeless.

    Raises:
        UnknownFootprintError: If sizes depend on more than the parameters, or no objective is a size.
    """
    names = [name for name in experiment.objectives if name in KNOWN]
    if not names:
        raise UnknownFootprintError(
            f"none of the objectives {', '.join(experiment.objectives)} is known before training; "
            f"{', '.join(KNOWN)} would be."
        )
    footprint = StaticFootprint(experiment, data)
    space = Space(experiment.space)
    middle = space.decode(space.from_shares(np.full((1, space.n_free), 0.5))[0])
    with contextlib.suppress(*_FAILURES):
        footprint(middle)  # what cannot be known is said here rather than in a trial

    def value_of(name: str) -> SizeFunction:
        def value(parameters: Parameters) -> float:
            try:
                return float(getattr(footprint(parameters), name))
            except _FAILURES:
                return UNBUILDABLE * scales[name]

        return value

    def excess_of(name: str) -> SizeFunction:
        value, limit = value_of(name), experiment.limits[name]
        return lambda parameters: (value(parameters) - limit) / limit

    return KnownSizes(
        objectives={experiment.objectives.index(name): value_of(name) for name in names},
        constraints={name: excess_of(name) for name in names if name in experiment.limits},
    )
