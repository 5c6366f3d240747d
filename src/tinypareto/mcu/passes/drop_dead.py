"""Drop operators whose output reaches nobody.

Requires: nothing.
Ensures: every operator's output is read by a later operator or is the network's output; outputs are
    unchanged, byte for byte.
"""

from tinypareto.mcu.graph import Graph, Operator


def drop_dead(graph: Graph) -> Graph:
    """Return the graph without operators on which its output does not depend."""
    wanted = {graph.output}
    kept: list[Operator] = []
    for operator in reversed(graph.operators):
        if operator.output in wanted:
            wanted.update(operator.inputs)
            kept.append(operator)
    return graph.with_operators(tuple(reversed(kept)))
