"""Graph -> the graph that it becomes when filters are pruned: other numbers of channels, and zeros for weights.

Heights, widths, windows, scales and the order of operators stay; channels follow from operator to operator. What
cannot be followed, such as a slice of channels that were pruned, is refused and never guessed.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tinypareto.errors import UnknownFootprintError
from tinypareto.mcu.graph import (
    Concat,
    Convolution,
    ConvolutionAdd,
    Dense,
    Graph,
    Mul,
    Operator,
    Pad,
    Slice,
    Tensor,
    Transpose,
)

WeightShape = tuple[int, ...]  # as in graph.py: cout x kh x kw x cin / groups, or cout x inputs


def pruned_graph(graph: Graph, weights: Mapping[str, WeightShape]) -> Graph:
    """Return the graph with weights of other shapes, all of them zeros, and the tensors that follow from these.

    Args:
        graph: Of the unpruned network.
        weights: New shapes by the name of the convolution or dense operator; absent means unchanged.

    Raises:
        UnknownFootprintError: If the channels of an operator cannot be followed or do not fit each other.
    """
    tensors = {name: graph.tensors[name] for name in graph.inputs}
    operators = []
    for before in graph.operators:
        after = _resized(before, weights.get(before.name), graph, tensors)
        channels = _channels(after, graph, tensors)
        output = _with_channels(graph.tensors[before.output], channels)
        _check(after, output, tensors)
        tensors[output.name] = output
        operators.append(after)
    return replace(graph, tensors=tensors, operators=tuple(operators))


def _resized(
    operator: Operator, shape: WeightShape | None, graph: Graph, tensors: Mapping[str, Tensor]
) -> Operator:
    """Return the operator with zeros of the given shape as weights; depthwise layers get as many groups as channels."""
    if not isinstance(operator, Convolution | Dense):
        return operator
    shape = operator.weight.shape if shape is None else shape
    scales = operator.weight_scale
    resized = replace(
        operator,
        weight=np.zeros(shape, np.int8),
        bias=np.zeros(shape[0], np.int32),
        weight_scale=np.full(shape[0], scales[0]) if len(scales) > 1 else scales,
    )
    if not isinstance(resized, Convolution):
        return resized
    before, after = (found[operator.inputs[0]].shape[2] for found in (graph.tensors, tensors))
    resized = replace(resized, groups=after if resized.groups == before else resized.groups)
    if isinstance(resized, ConvolutionAdd):
        return replace(resized, middle=_with_channels(resized.middle, shape[0]))
    return resized


def _channels(operator: Operator, graph: Graph, tensors: Mapping[str, Tensor]) -> int:
    """Return the channels of the operator's output.

    Raises:
        UnknownFootprintError: If they depend on which filters were pruned.
    """
    old_output = graph.tensors[operator.output].shape
    if isinstance(operator, Dense) and old_output[:2] != (1, 1):
        return old_output[2]
    if isinstance(operator, Convolution | Dense):
        return int(operator.weight.shape[0])
    if isinstance(operator, Concat) and operator.axis == 2:
        return sum(tensors[name].shape[2] for name in operator.inputs)
    old, new = (found[operator.inputs[0]].shape[2] for found in (graph.tensors, tensors))
    if old == new:
        return old_output[2]
    moved = isinstance(operator, Transpose) or (
        isinstance(operator, Slice) and (operator.start[2], operator.step[2], old_output[2]) != (0, 1, old)
    )
    if moved:
        raise UnknownFootprintError(
            f"{operator.name} takes its channels apart ({type(operator).__name__}), so what remains of them after "
            "pruning depends on which filters go; leave the layers before it unpruned to know sizes beforehand."
        )
    return new + (old_output[2] - old if isinstance(operator, Pad) else 0)


def _check(operator: Operator, output: Tensor, tensors: Mapping[str, Tensor]) -> None:
    """Refuse an operator whose inputs, weights and output do not fit each other.

    Raises:
        UnknownFootprintError: If they do not.
    """
    sources = [tensors[name] for name in operator.inputs]
    match operator:
        case Convolution():
            wanted = operator.weight.shape[3] * operator.groups, *(output.shape for _ in sources[1:])
            fits = (sources[0].shape[2], *(source.shape for source in sources[1:])) == wanted
        case Dense():
            fits = operator.weight.shape == (output.size, sources[0].size)
        case Mul():
            fits = sources[1].shape in {output.shape, (1, 1, output.shape[2])}
        case Concat() if operator.axis == 2:
            fits = True
        case _:
            fits = all(source.shape[2] == sources[0].shape[2] for source in sources)
    if not fits:
        raise UnknownFootprintError(
            f"{operator.name} would have inputs {[source.shape for source in sources]} and output {output.shape} after "
            "pruning, which do not fit its weights: they are not the network's parameters but computed from them."
        )


def _with_channels(tensor: Tensor, channels: int) -> Tensor:
    return replace(tensor, shape=(*tensor.shape[:2], channels))
