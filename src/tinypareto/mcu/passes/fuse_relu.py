"""Fuse a ReLU, or a table that only clips, into the operator before it.

Requires: nothing.
Ensures: no ReLU and no clipping table reads a tensor that it alone reads and whose scale and zero point it keeps;
    outputs are unchanged, byte for byte. (With other scales the ReLU would round once less, so it stays.)
"""

from collections import Counter
from dataclasses import replace

import numpy as np

from tinypareto.mcu.graph import Graph, Lookup, Operator, Relu
from tinypareto.mcu.moves import IDENTITY


def fuse_relu(graph: Graph) -> Graph:
    """Return the graph with ReLUs turned into clamps of their producers where that changes no byte."""
    readers = Counter(name for operator in graph.operators for name in set(operator.inputs))
    readers.update(graph.outputs)  # the caller
    fused: list[Operator] = []
    place: dict[str, int] = {}  # of each output's operator in the new list
    for operator in graph.operators:
        producer = place.get(operator.inputs[0])
        bounds = _bounds(graph, operator) if readers[operator.inputs[0]] == 1 else None
        if producer is not None and bounds is not None:
            place[operator.output] = producer
            fused[producer] = _clamped(fused[producer], operator.output, bounds)
        else:
            place[operator.output] = len(fused)
            fused.append(operator)
    return graph.with_operators(tuple(fused))


def _bounds(graph: Graph, operator: Operator) -> tuple[int, int] | None:
    """Return the bounds between which an operator leaves its input as it is; None if it does something else."""
    before, after = graph.tensors[operator.inputs[0]], graph.tensors[operator.output]
    if (before.scale, before.zero_point) != (after.scale, after.zero_point):
        return None
    low, high = operator.clamp
    if isinstance(operator, Relu):
        return max(after.zero_point, low), high
    if isinstance(operator, Lookup):
        written = np.clip(operator.table, low, high)
        bounds = int(written[0]), int(written[-1])
        return bounds if np.array_equal(written, np.clip(IDENTITY, *bounds)) else None
    return None


def _clamped(producer: Operator, output: str, bounds: tuple[int, int]) -> Operator:
    """Return the producer writing the output of what is fused, its bounds clamped as its values were."""
    low, high = (min(max(bound, bounds[0]), bounds[1]) for bound in producer.clamp)
    return replace(producer, output=output, clamp=(low, high))
