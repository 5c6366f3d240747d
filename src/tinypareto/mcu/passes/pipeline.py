"""All passes in the order in which they help each other."""

from tinypareto.mcu.graph import Graph
from tinypareto.mcu.passes.drop_dead import drop_dead
from tinypareto.mcu.passes.fuse_relu import fuse_relu


def optimize(graph: Graph) -> Graph:
    """Return a smaller graph with the same output, byte for byte.

    Dead operators go first, since a dead reader would keep a ReLU from being fused.
    """
    return fuse_relu(drop_dead(graph))
