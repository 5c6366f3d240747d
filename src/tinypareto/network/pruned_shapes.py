"""Sparsities -> shapes of the pruned network's weights, in microseconds.

Which filters go depends on the weights, how many does not, and a filter takes the same entries of every tensor with it
whichever it is. So each length is that of the unpruned network less a fixed number for every filter that a group of
coupled layers loses. Tracing finds these numbers once for each architecture: it prunes one filter of each group.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from tinypareto.network.filter_pruner import CoupledLayers, coupled_layers, pruning_group, trace
from tinypareto.network.prune import PruningConfig

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedShapes:
    """How the shapes of one architecture's parameters follow from what is pruned.

    Attributes:
        unpruned: Shape of each parameter by name.
        groups: Layers that are pruned together.
        losses: For each group, what one filter takes from the lengths of the parameters that it touches.
    """

    unpruned: Shapes
    groups: tuple[CoupledLayers, ...]
    losses: tuple[Shapes, ...]

    def kept(self, config: PruningConfig) -> tuple[int, ...]:
        """Return how many filters each group keeps."""
        return tuple(group.kept(config) for group in self.groups)

    def of(self, kept: Sequence[int]) -> Shapes:
        """Return the shape of each parameter when each group keeps so many filters."""
        shapes = dict(self.unpruned)
        for group, losses, filters in zip(self.groups, self.losses, kept, strict=True):
            for name, lost in losses.items():
                lengths = zip(shapes[name], lost, strict=True)
                shapes[name] = tuple(length - (group.width - filters) * each for length, each in lengths)
        return shapes


def trace_pruned_shapes(model: nn.Module, example: torch.Tensor) -> PrunedShapes:
    """Return how the network's shapes follow from what is pruned.

    Args:
        model: The network, unpruned; it stays as it is.
        example: One sample, 1 x C x H x W, 1 x C x L or 1 x F.

    Raises:
        TrainingError: If the forward pass fails or cannot be traced.
    """
    pruned = copy.deepcopy(model)
    graph = trace(pruned, example)
    groups, losses = tuple(coupled_layers(graph, pruned)), []
    unpruned = _shapes(pruned)
    for group in groups:
        before = _shapes(pruned)
        if group.width > 1 and not group.obstacle:
            pruning_group(graph, group, [0]).prune()
        losses.append(_differences(before, _shapes(pruned)))
    return PrunedShapes(unpruned=unpruned, groups=groups, losses=tuple(losses))


def _shapes(model: nn.Module) -> Shapes:
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def _differences(before: Shapes, after: Shapes) -> Shapes:
    return {
        name: tuple(b - a for b, a in zip(shape, after[name], strict=True))
        for name, shape in before.items()
        if shape != after[name]
    }
