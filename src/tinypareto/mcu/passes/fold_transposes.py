"""Fold transpositions into dense layers, and into each other.

Exporters that think in channels last transpose before each layer and back behind it, or before they flatten.

Requires: nothing.
Ensures: no dense layer reads a Transpose that keeps its values, none that it alone feeds stands behind one, and no
    two of them in a row undo each other, unless the network hands the result out; outputs are unchanged, byte for byte.
"""

from collections import Counter
from dataclasses import replace
from typing import TypeGuard

import numpy as np
import numpy.typing as npt

from tinypareto.mcu.graph import Dense, Graph, Operator, Transpose
from tinypareto.mcu.moves import keeps_values, permutation
from tinypareto.mcu.passes.drop_dead import drop_dead

Order = npt.NDArray[np.intp]


def fold_transposes(graph: Graph) -> Graph:
    """Return the graph with transpositions turned into orders of weights where that changes no byte."""
    readers = Counter(name for operator in graph.operators for name in operator.inputs)
    readers.update(graph.outputs)  # the caller
    kept: dict[str, Operator] = {}  # by output
    same: dict[str, str] = {}  # tensors that equal earlier ones
    for found in graph.operators:
        operator = replace(found, inputs=tuple(same.get(name, name) for name in found.inputs))
        before = kept.get(operator.inputs[0])
        if isinstance(operator, Dense) and _only_reorders(before):
            operator = _reading(operator, before)
        elif _only_reorders(operator) and isinstance(before, Dense) and readers[before.output] == 1:
            del kept[before.output]
            operator = _writing(before, operator)
        elif _only_reorders(operator) and _only_reorders(before) and _undo(before, operator):
            (source,) = before.inputs
            shapes = {graph.tensors[name].shape for name in (source, operator.output)}
            if len(shapes) == 1 and operator.output not in graph.outputs:
                same[operator.output] = source
                continue
            operator = replace(operator, inputs=(source,), view=graph.tensors[source].shape, axes=(0, 1, 2))
        kept[operator.output] = operator
    return drop_dead(graph.with_operators(tuple(kept.values())))


def _only_reorders(operator: Operator | None) -> TypeGuard[Transpose]:
    return isinstance(operator, Transpose) and keeps_values(operator)


def _undo(first: Transpose, second: Transpose) -> bool:
    order: Order = permutation(first)[permutation(second)]
    return bool((order == np.arange(order.size)).all())


def _reading(dense: Dense, before: Transpose) -> Dense:
    """Return the layer reading what the transposition reads."""
    weight = np.empty_like(dense.weight)
    weight[:, permutation(before)] = dense.weight
    return replace(dense, inputs=before.inputs, weight=weight)


def _writing(dense: Dense, behind: Transpose) -> Dense:
    """Return the layer writing what the transposition writes."""
    order = permutation(behind)
    return replace(
        dense,
        output=behind.output,
        weight=np.ascontiguousarray(dense.weight[order]),
        bias=dense.bias[order],
        weight_scale=dense.weight_scale[order],
    )
