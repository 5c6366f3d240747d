"""Filter pruning: whole filters go, step by step, with everything that is coupled to them."""

from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning as tp  # type: ignore[import-untyped]
from torch import nn

from tinypareto.errors import TrainingError, reason
from tinypareto.network.importance import CONSUMERS, PRODUCERS, Score
from tinypareto.network.prune import PruningConfig, kept_filters


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prunable:
    """A group of coupled layers: a first layer and its original width, all their names, the final sparsity."""

    root: nn.Module
    name: str
    width: int
    sparsity: float
    asked_by: frozenset[str]  # the entries of ``PruningConfig.sparsity`` that speak of its layers


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
        self._output_shape = self._run()
        self.warnings: list[str] = []
        self._groups = self._find_groups()
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

    def _least_important(self, group: _Prunable, share: float, score: Score) -> list[int]:
        width = self._graph.get_out_channels(group.root)
        count = width - kept_filters(group.width, group.sparsity * share)
        if count <= 0:
            return []
        scores = score(self._coupled(group, list(range(width))))
        order = torch.argsort(scores, stable=True)  # stable: ties fall the same way everywhere
        return sorted(order[:count].tolist())

    def _prune_group(self, group: _Prunable, channels: list[int]) -> None:
        if channels:
            self._coupled(group, channels).prune()

    def _coupled(self, group: _Prunable, channels: list[int]) -> Any:
        """Return torch-pruning's group for these channels of the root."""
        handler = self._graph.get_pruner_of_module(group.root).prune_out_channels
        return self._graph.get_pruning_group(group.root, handler, channels)

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
            settings = (self._setting_for(names[layer]) for layer in producers)
            asked_by = frozenset(name for name in settings if name is not None)
            prunable = _Prunable(
                root=group[0].dep.target.module,
                name=" and ".join(name for module, name in names.items() if module in producers),
                width=len(group[0].idxs),
                sparsity=max((self._config.sparsity[name] for name in asked_by), default=0.0),
                asked_by=asked_by,
            )
            if prunable.sparsity and self._can_prune(prunable, producers):
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

    def _setting_for(self, layer: str) -> str | None:
        """Return the longest name in the configuration that is the layer's own or that of a parent."""
        matching = [name for name in self._config.sparsity if not name or f"{layer}.".startswith(f"{name}.")]
        return max(matching, key=len, default=None)

    def _warn_of_idle_settings(self) -> None:
        asked = {name for group in self._groups for name in group.asked_by}
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


def _is_grouped(layer: nn.Module) -> bool:
    groups = getattr(layer, "groups", 1)
    return groups != 1 and not groups == layer.in_channels == layer.out_channels


def _trace(model: nn.Module, example: torch.Tensor) -> Any:
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
