"""Fuse elementwise operators that compute a function of one tensor into one table.

Hard swish and SiLU often arrive as x * f(x): a table and a product instead of a table.

Requires: nothing.
Ensures: no Lookup feeds only an elementwise operator whose other input, if it has one, is a function of the
    same tensor; outputs are unchanged, byte for byte.
"""

from collections import Counter
from dataclasses import replace

from tinypareto.mcu.graph import Graph, Int8Array, Lookup, Operator
from tinypareto.mcu.moves import IDENTITY
from tinypareto.mcu.reference import run_reference

EVERY_VALUE = IDENTITY.reshape(1, 1, 1, 256)


def fuse_lookup(graph: Graph) -> Graph:
    """Return the graph with operators behind a Lookup turned into its table where nothing else reads it."""
    readers = Counter(name for operator in graph.operators for name in set(operator.inputs))
    readers.update(graph.outputs)  # the caller
    kept: dict[str, Operator] = {}  # by output
    for operator in graph.operators:
        before = {
            name: found
            for name in operator.inputs
            if isinstance(found := kept.get(name), Lookup) and readers[name] == 1
        }
        sources = {before[name].inputs[0] if name in before else name for name in operator.inputs}
        if before and len(sources) == 1 and graph.is_elementwise(operator):
            (source,) = sources
            table = _table(graph, source, (*before.values(), operator))
            for name in before:
                del kept[name]
            operator = Lookup(name=operator.name, inputs=(source,), output=operator.output, table=table)
        kept[operator.output] = operator
    return graph.with_operators(tuple(kept.values()))


def _table(graph: Graph, source: str, operators: tuple[Operator, ...]) -> Int8Array:
    """Return what ``operators`` make of every value that ``source`` can hold."""
    tensors = {name: replace(tensor, shape=EVERY_VALUE.shape[1:]) for name, tensor in graph.tensors.items()}
    last = operators[-1].output
    part = replace(graph, tensors=tensors, operators=operators, inputs=(source,), outputs=(last,))
    return run_reference(part, EVERY_VALUE).reshape(256)
