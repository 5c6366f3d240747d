"""Filter pruning during training: whole filters go, step by step, and the network becomes smaller.

How many filters a layer keeps follows from its width and its sparsity alone, never from a weight, so
that the shapes of a pruned network are known before any training.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch_pruning as tp  # type: ignore[import-untyped]
from torch import nn

from tinypareto.errors import ConfigError, TrainingError
from tinypareto.network.importance import CONSUMERS, HEURISTICS, PRODUCERS, Score

SCHEDULES = ("agp", "one-shot")


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
            if name == "sparsity" or name.startswith("sparsity_")
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


def kept_filters(width: int, sparsity: float) -> int:
    """Return how many of ``width`` filters remain: the nearest number (halves round up), at least one.

    Example:
        >>> kept_filters(10, 0.75), kept_filters(8, 0.99)
        (3, 1)
    """
    return max(1, math.floor(width * (1 - sparsity) + 0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prunable:
    """A group of coupled layers: its first layer, that layer's original width and the final sparsity."""

    root: nn.Module
    name: str
    width: int
    sparsity: float


class FilterPruner:
    """Prunes one network in place, in steps; layers that give the network's output are never touched.

    Args:
        model: The network, unpruned; its parameters are replaced by smaller ones at each step, so an
            optimizer made before a step must be made anew.
        example: One sample, 1 x C x H x W, 1 x C x L or 1 x F.
        config: What to prune.

    Raises:
        TrainingError: If the forward pass fails, cannot be traced, or ``config`` names a sub-module that does
            not exist.
    """

    def __init__(self, model: nn.Module, example: torch.Tensor, config: PruningConfig) -> None:
        self._model = model
        self._example = example
        self._config = config
        self._reached = 0.0
        known = {name for name, _ in model.named_modules()}
        for name in config.sparsity:
            if name not in known:
                raise TrainingError(
                    f"sparsity_{name} must name a sub-module, but the network has only "
                    f"{', '.join(child for child, _ in model.named_children())}; rename one of the two."
                )
        self._graph = _trace(model, example)
        self.warnings: list[str] = []
        self._groups = self._find_groups()

    def step(self, share: float, score: Score) -> int:
        """Prune up to ``share`` of every layer's sparsity and return the number of filters removed.

        What did not go as asked is added to ``warnings``.

        Args:
            share: Share of the final sparsity to be reached now, in 0..1; not falling from step to step.
            score: Gives each filter of a group its importance; the least important go.

        Raises:
            TrainingError: If the pruned network's forward pass fails.
        """
        removed = sum(self._prune_group(group, share, score) for group in self._groups)
        if removed == 0 and share > self._reached and any(group.sparsity for group in self._groups):
            self.warnings.append(
                f"a pruning step to {share:.0%} of the sparsity removed no filter: the layers are too "
                "narrow for it."
            )
        self._reached = share
        self._model.zero_grad(set_to_none=True)  # torch-pruning carries old gradients over
        self._check_forward()
        return removed

    def _prune_group(self, group: _Prunable, share: float, score: Score) -> int:
        handler = self._graph.get_pruner_of_module(group.root).prune_out_channels
        width = self._graph.get_out_channels(group.root)
        count: int = width - kept_filters(group.width, group.sparsity * share)
        if count <= 0:
            return 0
        scores = score(self._graph.get_pruning_group(group.root, handler, list(range(width))))
        least = torch.argsort(scores, stable=True)[
            :count
        ].tolist()  # stable: ties fall the same way everywhere
        self._graph.get_pruning_group(group.root, handler, least).prune()
        return count

    def _find_groups(self) -> tuple[_Prunable, ...]:
        names = {module: name for name, module in self._model.named_modules()}
        roots = (nn.modules.conv._ConvNd, nn.Linear)
        found = []
        for group in self._graph.get_all_groups(root_module_types=roots):
            if not any(member.dep.handler in CONSUMERS for member in group.items):
                continue  # nothing reads these channels: they are the network's output
            producers = [
                member.dep.target.module for member in group.items if member.dep.handler in PRODUCERS
            ]
            root = producers[0]
            sparsity = max(self._sparsity_of(names[layer]) for layer in producers)
            prunable = _Prunable(root=root, name=names[root], width=len(group[0].idxs), sparsity=sparsity)
            if sparsity and self._can_prune(prunable, producers):
                found.append(prunable)
        return tuple(found)

    def _can_prune(self, group: _Prunable, producers: list[nn.Module]) -> bool:
        """Tell whether the group can be pruned, and warn of what will not go as asked."""
        if any(_is_grouped(layer) for layer in producers):
            self.warnings.append(
                f"{group.name} is coupled to a grouped convolution (neither dense nor depthwise) and stays "
                "unpruned."
            )
            return False
        if group.width * (1 - group.sparsity) < 0.5:
            self.warnings.append(
                f"sparsity {group.sparsity:g} would remove all {group.width} filters of {group.name}; "
                "one is kept."
            )
        return True

    def _sparsity_of(self, layer: str) -> float:
        matching = [name for name in self._config.sparsity if not name or f"{layer}.".startswith(f"{name}.")]
        return self._config.sparsity[max(matching, key=len)] if matching else 0.0

    def _check_forward(self) -> None:
        was_training = self._model.training
        self._model.eval()
        try:
            with torch.no_grad():
                self._model(self._example)
        except Exception as problem:
            raise TrainingError(
                f"the network must run after pruning, but its forward pass failed ({problem}); take channel "
                "counts from the tensors, not from constants, and add nothing to the network's input."
            ) from problem
        finally:
            self._model.train(was_training)


def prune_untrained(model: nn.Module, example: torch.Tensor, config: PruningConfig) -> tuple[str, ...]:
    """Prune ``model`` in place to its final shapes at once, without training, and return the warnings.

    The shapes are those that training with ``config`` ends with; which filters remain is arbitrary.

    Raises:
        TrainingError: As ``FilterPruner``.
    """
    pruner = FilterPruner(model, example, config)
    pruner.step(1.0, lambda group: torch.zeros(len(group[0].idxs)))
    return tuple(pruner.warnings)


def _is_grouped(layer: nn.Module) -> bool:
    groups = getattr(layer, "groups", 1)
    return groups != 1 and not groups == layer.in_channels == layer.out_channels


def _trace(model: nn.Module, example: torch.Tensor) -> Any:
    was_training = model.training
    try:
        # A tuple, since torch-pruning would otherwise spread the batch axis over the arguments first.
        return tp.DependencyGraph().build_dependency(model, (example,))
    except Exception as problem:
        raise TrainingError(
            f"the network must run on one sample of shape {tuple(example.shape)} and be traceable for "
            f"pruning, but that failed ({problem}); mend its forward pass."
        ) from problem
    finally:
        model.train(was_training)
