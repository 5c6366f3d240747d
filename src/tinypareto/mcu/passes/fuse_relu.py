"""Fuse a ReLU into the operator before it.

Requires: nothing.
Ensures: no ReLU reads a tensor that it alone reads and whose scale and zero point it keeps; outputs are
    unchanged, byte for byte. (With other scales the ReLU would round once less, so it stays.)
"""

from collections import Counter
from dataclasses import replace

from tinypareto.mcu.graph import Graph, Operator, Relu


def fuse_relu(graph: Graph) -> Graph:
    """Return the graph with ReLUs turned into clamps of their producers where that changes no byte."""
    readers = Counter(name for operator in graph.operators for name in set(operator.inputs))
    readers.update(graph.outputs)  # the caller
    fused: list[Operator] = []
    place: dict[str, int] = {}  # of each output's operator in the new list
    for operator in graph.operators:
        producer = place.get(operator.inputs[0])
        alone = readers[operator.inputs[0]] == 1
        if isinstance(operator, Relu) and producer is not None and alone and _keeps_scale(graph, operator):
            place[operator.output] = producer
            fused[producer] = _clamped(graph, fused[producer], operator)
        else:
            place[operator.output] = len(fused)
            fused.append(operator)
    return graph.with_operators(tuple(fused))


def _keeps_scale(graph: Graph, relu: Relu) -> bool:
    before, after = graph.tensors[relu.inputs[0]], graph.tensors[relu.output]
    return (before.scale, before.zero_point) == (after.scale, after.zero_point)


def _clamped(graph: Graph, producer: Operator, relu: Relu) -> Operator:
    """Return the producer writing the ReLU's output, its bounds clamped as its values were."""
    low, high = relu.clamp
    floor = max(graph.tensors[relu.output].zero_point, low)
    bounds = [min(max(bound, floor), high) for bound in producer.clamp]
    return replace(producer, output=relu.output, clamp=(bounds[0], bounds[1]))
