"""How much is pruned, and when: the settings of filter pruning.

How many filters a layer keeps follows from its width and its sparsity alone, never from a weight, so
that the shapes of a pruned network are known before any training.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tinypareto.errors import ConfigError
from tinypareto.network.importance import HEURISTICS

SCHEDULES = ("agp", "one-shot")


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStep:
    """Where a training passes through a network that is pruned in part and deployable itself.

    Attributes:
        step: Pruning steps done, from 0.
        share: Of the final sparsity that these reached, 0..1.
        epochs: That the network has been trained for by then.
    """

    step: int
    share: float
    epochs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PruningConfig:
    """How much is pruned, when, and which filters.

    ``sparsity`` maps the name of a sub-module to the share of filters removed from each layer inside it
    (0..1, exclusive of 1); the longest matching name wins and "" stands for the whole network. Coupled
    layers (a residual sum) are pruned together, with the largest sparsity asked for any of them.
    """

    sparsity: Mapping[str, float] = field(default_factory=dict)
    start: float = 0.25  # share of the epochs before the first step
    steps: int = 4  # pruning steps; the epochs after the start are shared out evenly among them
    schedule: str = "agp"
    heuristic: str = "l1"

    def __post_init__(self) -> None:
        for name, value in self.sparsity.items():
            if not 0 <= value < 1:
                raise ConfigError(
                    f"sparsity of {name or 'the network'!r} must lie in [0, 1), got {value}; lower it."
                )
        if not 0 <= self.start < 1:
            raise ConfigError(
                f"pruning_start must lie in [0, 1), got {self.start}; start before the last epoch."
            )
        if self.steps < 1:
            raise ConfigError(
                f"pruning_steps must be at least 1, got {self.steps}; set sparsity 0 to prune nothing."
            )
        if self.schedule not in SCHEDULES:
            raise ConfigError(
                f"pruning_schedule must be one of {SCHEDULES}, got {self.schedule!r}; pick one of them."
            )
        if self.heuristic not in HEURISTICS:
            raise ConfigError(
                f"pruning_heuristic must be one of {HEURISTICS}, got {self.heuristic!r}; pick one of them."
            )

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> "PruningConfig":
        """Read a trial's parameters; names other than the following are left alone.

        ``sparsity`` (the whole network), ``sparsity_<sub-module>``, ``pruning_start``, ``pruning_steps``,
        ``pruning_schedule``, ``pruning_heuristic``.

        Example:
            >>> PruningConfig.from_parameters({"sparsity_stage1": 0.5, "pruning_steps": 2}).sparsity
            {'stage1': 0.5}
        """
        sparsity = {
            name.removeprefix("sparsity").removeprefix("_"): float(value)
            for name, value in parameters.items()
            if is_sparsity(name)
        }
        settings = {
            name: parameters[f"pruning_{name}"]
            for name in ("start", "steps", "schedule", "heuristic")
            if f"pruning_{name}" in parameters
        }
        return cls(sparsity=sparsity, **settings)

    def steps_by_epoch(self, epochs: int) -> dict[int, float]:
        """Return the epochs (from 0) that a step precedes, and the share of the sparsity that it reaches.

        AGP is steep first and flat later: step t of T reaches 1 - (1 - t/T)^3 of the sparsity. Every step is
        followed by at least one epoch; steps that fall on the same epoch are merged.

        Source: Zhu and Gupta 2017, equation 1.

        Example:
            >>> PruningConfig(sparsity={"": 0.5}, start=0.5, steps=2).steps_by_epoch(8)
            {4: 0.875, 6: 1.0}
        """
        if not any(self.sparsity.values()):
            return {}
        steps = 1 if self.schedule == "one-shot" else self.steps
        first = min(math.ceil(self.start * epochs), epochs - 1)
        shares = {}
        for step in range(1, steps + 1):
            epoch = first + (step - 1) * (epochs - first) // steps
            shares[epoch] = 1 - (1 - step / steps) ** 3
        return shares

    def path(self, epochs: int) -> tuple[PathStep, ...]:
        """Return what a training passes through on its way: the network just before each step but untrained ones.

        Example:
            >>> [(at.step, at.share, at.epochs) for at in PruningConfig(sparsity={"": 0.5}, steps=2).path(8)]
            [(0, 0.0, 2), (1, 0.875, 5)]
        """
        steps = self.steps_by_epoch(epochs)
        shares = (0.0, *steps.values())
        return tuple(
            PathStep(step=step, share=shares[step], epochs=epoch)
            for step, epoch in enumerate(steps)
            if epoch > 0
        )

    def reached(self, done: int, epochs: int) -> PathStep:
        """Return where a training of some epochs is when so many of them are done.

        Example:
            >>> PruningConfig(sparsity={"": 0.5}, steps=2).reached(4, 8)
            PathStep(step=1, share=0.875, epochs=4)
        """
        shares = (0.0, *(share for epoch, share in self.steps_by_epoch(epochs).items() if epoch < done))
        return PathStep(step=len(shares) - 1, share=shares[-1], epochs=done)


def is_sparsity(parameter: str) -> bool:
    """Tell whether a hyperparameter of this name says how much is pruned."""
    return parameter == "sparsity" or parameter.startswith("sparsity_")


def kept_filters(width: int, sparsity: float) -> int:
    """Return how many of ``width`` filters remain: the nearest number (halves round up), at least one.

    Example:
        >>> kept_filters(10, 0.75), kept_filters(8, 0.99)
        (3, 1)
    """
    return max(1, math.floor(width * (1 - sparsity) + 0.5))
