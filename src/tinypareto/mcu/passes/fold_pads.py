"""Fold padding into the windows that slide over it.

Requires: nothing.
Ensures: no convolution reads a Pad of real zeros around rows and columns alone, no mean reads one either unless it
    leaves padding of its own out, no maximum reads a Pad of the smallest value; outputs are unchanged, byte for byte.
"""

from dataclasses import replace

from tinypareto.mcu.graph import (
    INT8_MIN,
    AveragePool,
    Convolution,
    ConvolutionAdd,
    Graph,
    MaxPool,
    Operator,
    Pad,
    Window,
)
from tinypareto.mcu.moves import keeps_values
from tinypareto.mcu.passes.drop_dead import drop_dead


def fold_pads(graph: Graph) -> Graph:
    """Return the graph with padding turned into that of windows where that changes no byte."""
    pads = {
        operator.output: operator
        for operator in graph.operators
        if isinstance(operator, Pad) and keeps_values(operator) and _keeps_channels(graph, operator)
    }
    folded = [
        _folded(graph, operator, pads[operator.inputs[0]]) if operator.inputs[0] in pads else operator
        for operator in graph.operators
    ]
    return drop_dead(graph.with_operators(tuple(folded)))


def _folded(graph: Graph, operator: Operator, pad: Pad) -> Operator:
    is_zero = pad.value == graph.tensors[pad.output].zero_point
    inputs = (*pad.inputs, *operator.inputs[1:])
    match operator:
        case ConvolutionAdd():  # comes later
            return operator
        case Convolution() if is_zero:
            return replace(operator, inputs=inputs, window=_padded(graph, operator.window, pad))
        case MaxPool() if pad.value == INT8_MIN:
            return replace(operator, inputs=inputs, window=_padded(graph, operator.window, pad))
        case AveragePool() if is_zero and (operator.count_padding or not any(operator.window.padding)):
            window = _padded(graph, operator.window, pad)
            return replace(operator, inputs=inputs, window=window, count_padding=True)
        case _:
            return operator


def _padded(graph: Graph, window: Window, pad: Pad) -> Window:
    inside, outside = graph.tensors[pad.inputs[0]].shape, graph.tensors[pad.output].shape
    top, left, _ = pad.before
    bottom, right = outside[0] - inside[0] - top, outside[1] - inside[1] - left
    added = (top, left, bottom, right)
    sums = [mine + more for mine, more in zip(window.padding, added, strict=True)]
    return replace(window, padding=(sums[0], sums[1], sums[2], sums[3]))


def _keeps_channels(graph: Graph, pad: Pad) -> bool:
    return graph.tensors[pad.inputs[0]].shape[2] == graph.tensors[pad.output].shape[2]
