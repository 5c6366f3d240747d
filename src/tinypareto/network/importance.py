"""Which filters matter: one score per filter of a group of coupled layers; the lowest go first.

A group is torch-pruning's: the layers whose channels can only be removed together. Its root is its
first layer. Every member lists its own channels and, for each, the root's channel that goes with it
(None where the channel came from a layer outside, as after a concatenation).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch_pruning as tp  # type: ignore[import-untyped]
from torch import nn

Score = Callable[[Any], torch.Tensor]  # a group -> one score per root channel
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

HEURISTICS = ("l1", "l2", "taylor", "fpgm", "apoz")

PRODUCERS = (tp.prune_conv_out_channels, tp.prune_depthwise_conv_out_channels, tp.prune_linear_out_channels)
CONSUMERS = (tp.prune_conv_in_channels, tp.prune_linear_in_channels)


def importance(
    heuristic: str, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, loss: Loss
) -> Score:
    """Return the score that ``heuristic`` gives to the filters of ``model`` as it is now.

    The score of coupled layers is the mean of their scores.

    Args:
        heuristic: ``l1`` or ``l2`` (norm of a filter's weights), ``taylor`` (first-order change of the
            loss without it), ``fpgm`` (sum of its distances from the layer's other filters) or ``apoz``
            (share of its activations that are not zero, taken where the next layer reads them).
        model: The network; its mode and parameters stay as they are, its gradients are cleared.
        inputs: n training samples, seen by ``taylor`` and ``apoz``.
        targets: Their n targets, seen by ``taylor``.
        loss: The training loss, minimised.

    Source: Li et al. 2017 (l1); Molchanov et al. 2019 (taylor); He et al. 2019 (fpgm); Hu et al. 2016 (apoz).
    """
    if heuristic == "taylor":
        return _taylor(model, inputs, targets, loss)
    if heuristic == "apoz":
        return _nonzero_share(model, inputs)
    if heuristic == "fpgm":
        return _from_weights(lambda filters: torch.cdist(filters, filters).sum(1))
    order = {"l1": 1, "l2": 2}[heuristic]
    return _from_weights(lambda filters: torch.linalg.vector_norm(filters, order, 1))


def _from_weights(score_filters: Callable[[torch.Tensor], torch.Tensor]) -> Score:
    """Score filters by their weights, filters x rest."""
    return lambda group: _mean_over(
        group, PRODUCERS, lambda layer: score_filters(layer.get_parameter("weight").detach().flatten(1))
    )


def _taylor(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, loss: Loss) -> Score:
    """Score filters by |weight * gradient| summed over the filter, the gradient from one pass."""
    with _evaluating(model):
        model.zero_grad(set_to_none=True)
        loss(model(inputs), targets).backward()  # type: ignore[no-untyped-call]
    changes: dict[nn.Module, torch.Tensor] = {}
    for layer in _layers(model):
        weight = layer.get_parameter("weight")
        gradient = (
            torch.zeros_like(weight) if weight.grad is None else weight.grad
        )  # None: not used, or frozen
        changes[layer] = (weight.detach() * gradient).abs().flatten(1).sum(1)
    model.zero_grad(set_to_none=True)
    return lambda group: _mean_over(group, PRODUCERS, lambda layer: changes[layer])


def _nonzero_share(model: nn.Module, inputs: torch.Tensor) -> Score:
    """Score filters by 1 - APoZ, watched at the inputs of the layers that read them.

    Watching the readers finds the activations whether a ReLU is a module or a function call, and after
    a residual addition as well. Where nothing is ever zero (no ReLU), the first filters go.
    """
    shares: dict[nn.Module, torch.Tensor] = {}

    def watch(layer: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        channel_axis = arguments[0].ndim - 1 if isinstance(layer, nn.Linear) else 1
        others = [axis for axis in range(arguments[0].ndim) if axis != channel_axis]
        shares[layer] = (arguments[0] != 0).float().mean(others)

    hooks = [layer.register_forward_pre_hook(watch) for layer in _layers(model)]
    with _evaluating(model), torch.no_grad():
        model(inputs)
    for hook in hooks:
        hook.remove()
    return lambda group: _mean_over(group, CONSUMERS, lambda layer: shares[layer])


def _mean_over(
    group: Any, handlers: Sequence[Any], score_layer: Callable[[nn.Module], torch.Tensor]
) -> torch.Tensor:
    """Average the members' scores, each carried to the root channel that it belongs to."""
    total = torch.zeros(len(group[0].idxs))
    count = torch.zeros_like(total)
    for member in group.items:
        if member.dep.handler not in handlers or None in member.root_idxs:
            continue
        scores = score_layer(member.dep.target.module)[member.idxs].cpu()
        roots = torch.tensor(member.root_idxs)
        total.index_add_(0, roots, scores)
        count.index_add_(0, roots, torch.ones_like(scores))
    return total / count.clamp(min=1)


def _layers(model: nn.Module) -> list[nn.Module]:
    return [layer for layer in model.modules() if isinstance(layer, (nn.modules.conv._ConvNd, nn.Linear))]


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put the network into evaluation mode, so that watching it changes no running statistic."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
