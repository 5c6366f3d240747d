"""Drop operators whose output reaches nobody.

Requires: nothing.
Ensures: every operator's output is read by a later operator or is an output of the network; outputs are
    unchanged, byte for byte.
"""

from tinypareto.mcu.graph import Graph, Operator


def drop_dead(graph: Graph) -> Graph:
    """Return the graph without operators on which no output depends."""
    wanted = set(graph.outputs)
    kept: list[Operator] = []
    for operator in reversed(graph.operators):
        if operator.output in wanted:
            wanted.update(operator.inputs)
            kept.append(operator)
    return graph.with_operators(tuple(reversed(kept)))
