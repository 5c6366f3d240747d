"""Filter pruning: whole filters go, step by step, with everything that is coupled to them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning as tp  # type: ignore[import-untyped]
from torch import nn

from tinypareto.errors import TrainingError, reason
from tinypareto.network.importance import CONSUMERS, PRODUCERS, Score
from tinypareto.network.prune import PruningConfig, kept_filters


@dataclass(frozen=True, slots=True, kw_only=True)
class CoupledLayers:
    """Layers whose filters go together: those that meet in a residual sum, a depthwise layer and its source."""

    root: nn.Module  # one of them, by which torch-pruning knows the group
    layers: tuple[str, ...]
    width: int  # filters before any pruning
    obstacle: str  # why they cannot lose filters; "" if they can

    @property
    def name(self) -> str:
        """The layers' names as a sentence has them."""
        return " and ".join(self.layers)

    def asked_by(self, config: PruningConfig) -> frozenset[str]:
        """Return the entries of ``config.sparsity`` that speak of these layers: for each the longest that fits."""
        fitting = ([name for name in config.sparsity if _speaks_of(name, layer)] for layer in self.layers)
        return frozenset(max(names, key=len) for names in fitting if names)

    def sparsity(self, config: PruningConfig) -> float:
        """Return the largest share of filters to remove that is asked for any of the layers."""
        return max((config.sparsity[name] for name in self.asked_by(config)), default=0.0)

    def kept(self, config: PruningConfig, share: float = 1.0) -> int:
        """Return how many filters remain when ``share`` of the sparsity is reached."""
        return self.width if self.obstacle else kept_filters(self.width, self.sparsity(config) * share)


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
        self._graph = trace(model, example)
        self._output_shape = self._run()
        self.warnings: list[str] = []
        self._groups = [group for group in coupled_layers(self._graph, model) if self._can_prune(group)]
        self._warn_of_idle_settings()

    def step(self, share: float, score: Score) -> int:
        """Prune up to ``share`` of every layer's sparsity and return the number of filters removed.

        What did not go as asked is added to ``warnings``.

        Args:
            share: Share of the final sparsity to be reached now, in 0..1; not falling from step to step.
            score: Gives each filter of a group its importance; the least important go.

        Raises:
            TrainingError: If the pruned network's forward pass fails or gives outputs of another shape.
        """
        # All scores first: pruning one group moves the channels of the layers that read several groups.
        least = [self._least_important(group, share, score) for group in self._groups]
        for group, channels in zip(self._groups, least, strict=True):
            self._prune_group(group, channels)
        removed = sum(map(len, least))
        if removed == 0 and share > self._reached and self._groups:
            self.warnings.append(
                f"a pruning step to {share:.0%} of the sparsity removed no filter: to the nearest whole "
                "filter, no layer had one to give."
            )
        self._reached = share
        self._model.zero_grad(set_to_none=True)  # torch-pruning carries old gradients over
        self._check_forward()
        return removed

    def _least_important(self, group: CoupledLayers, share: float, score: Score) -> list[int]:
        width = self._graph.get_out_channels(group.root)
        count = width - group.kept(self._config, share)
        if count <= 0:
            return []
        scores = score(pruning_group(self._graph, group, list(range(width))))
        order = torch.argsort(scores, stable=True)  # stable: ties fall the same way everywhere
        return sorted(order[:count].tolist())

    def _prune_group(self, group: CoupledLayers, channels: list[int]) -> None:
        if channels:
            pruning_group(self._graph, group, channels).prune()

    def _can_prune(self, group: CoupledLayers) -> bool:
        """Tell whether the group is to lose filters, and warn of what will not go as asked."""
        sparsity = group.sparsity(self._config)
        if sparsity == 0:
            return False
        if group.obstacle:
            self.warnings.append(f"{group.name} is coupled to {group.obstacle} and stays unpruned.")
            return False
        if group.width * (1 - sparsity) < 0.5:
            self.warnings.append(
                f"sparsity {sparsity:g} would remove all {group.width} filters of {group.name}; one is kept."
            )
        return True

    def _warn_of_idle_settings(self) -> None:
        asked = {name for group in self._groups for name in group.asked_by(self._config)}
        for name, sparsity in self._config.sparsity.items():
            if sparsity and name not in asked:
                self.warnings.append(
                    f"sparsity {sparsity:g} of {name or 'the network'!r} prunes nothing: it has no layer whose "
                    "output only other layers read."
                )

    def _check_forward(self) -> None:
        try:
            shape = self._run()
        except Exception as problem:
            raise TrainingError(
                f"the network must run after pruning, but its forward pass failed ({reason(problem)}); take channel "
                "counts from the tensors, not from constants, and add nothing to the network's input."
            ) from problem
        if shape != self._output_shape:
            raise TrainingError(
                f"pruning must not change the network's output, but its shape went from {self._output_shape} "
                f"to {shape}; end the network with a layer that nothing else reads."
            )

    def _run(self) -> tuple[int, ...]:
        """Return the shape of the output for one sample."""
        was_training = self._model.training
        self._model.eval()
        try:
            with torch.no_grad():
                return tuple(self._model(self._example).shape)
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


def coupled_layers(graph: Any, model: nn.Module) -> Iterator[CoupledLayers]:
    """Yield the groups of layers that can lose filters; ``graph`` is torch-pruning's of the model."""
    names = {module: name for name, module in model.named_modules()}
    for group in graph.get_all_groups(root_module_types=(nn.modules.conv._ConvNd, nn.Linear)):
        if not any(member.dep.handler in CONSUMERS for member in group.items):
            continue  # nothing reads these channels: they are the network's output
        producers = {
            member.dep.target.module: len(member.idxs)
            for member in group.items
            if member.dep.handler in PRODUCERS
        }
        width = len(group[0].idxs)
        obstacle = ""
        if any(_is_grouped(member.dep.target.module) for member in group.items):
            obstacle = "a grouped convolution (neither dense nor depthwise)"
        elif any(filters != width for filters in producers.values()):
            obstacle = "a depthwise convolution of several layers' channels side by side"
        yield CoupledLayers(
            root=group[0].dep.target.module,
            layers=tuple(name for module, name in names.items() if module in producers),
            width=width,
            obstacle=obstacle,
        )


def pruning_group(graph: Any, layers: CoupledLayers, channels: list[int]) -> Any:
    """Return torch-pruning's group of everything that goes with these channels of the layers."""
    handler = graph.get_pruner_of_module(layers.root).prune_out_channels
    return graph.get_pruning_group(layers.root, handler, channels)


def _speaks_of(setting: str, layer: str) -> bool:
    """Tell whether a setting's name is the layer's own, or that of a parent; "" is everyone's."""
    return not setting or f"{layer}.".startswith(f"{setting}.")


def _is_grouped(layer: Any) -> bool:
    groups = getattr(layer, "groups", 1)
    return groups != 1 and not groups == layer.in_channels == layer.out_channels


def trace(model: nn.Module, example: torch.Tensor) -> Any:
    """Return torch-pruning's dependency graph of a network, traced with one sample.

    Raises:
        TrainingError: If the forward pass fails or cannot be traced.
    """
    was_training = model.training
    try:
        model.eval()(example)  # torch-pruning would hide what is wrong behind a second attempt
        # A tuple, since torch-pruning would otherwise spread the batch axis over the arguments first.
        return tp.DependencyGraph().build_dependency(model, (example,))
    except Exception as problem:
        raise TrainingError(
            f"the network must run on one sample of shape {tuple(example.shape)} and be traceable for "
            f"pruning, but that failed ({reason(problem)}); mend its forward pass."
        ) from problem
    finally:
        model.train(was_training)
