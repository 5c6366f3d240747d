"""Fold transpositions into dense layers.

Exporters that think in channels last transpose before they flatten.

Requires: nothing.
Ensures: no dense layer reads a Transpose that keeps its values, and none that it alone feeds stands behind one; outputs
    are unchanged, byte for byte.
"""

from collections import Counter
from dataclasses import replace
from typing import TypeGuard

import numpy as np

from tinypareto.mcu.graph import Dense, Graph, Operator, Transpose
from tinypareto.mcu.moves import keeps_values, permutation
from tinypareto.mcu.passes.drop_dead import drop_dead


def fold_transposes(graph: Graph) -> Graph:
    """Return the graph with transpositions turned into orders of weights where that changes no byte."""
    readers = Counter(name for operator in graph.operators for name in operator.inputs)
    readers.update(graph.outputs)  # the caller
    kept: dict[str, Operator] = {}  # by output
    for operator in graph.operators:
        before = kept.get(operator.inputs[0])
        if isinstance(operator, Dense) and _only_reorders(before):
            operator = _reading(operator, before)
        elif _only_reorders(operator) and isinstance(before, Dense) and readers[before.output] == 1:
            del kept[before.output]
            operator = _writing(before, operator)
        kept[operator.output] = operator
    return drop_dead(graph.with_operators(tuple(kept.values())))


def _only_reorders(operator: Operator | None) -> TypeGuard[Transpose]:
    return isinstance(operator, Transpose) and keeps_values(operator)


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
