"""All passes in the order in which they help each other."""

from tinypareto.mcu.graph import Graph
from tinypareto.mcu.passes.cancel_transposes import cancel_transposes
from tinypareto.mcu.passes.drop_dead import drop_dead
from tinypareto.mcu.passes.fold_pads import fold_pads
from tinypareto.mcu.passes.fold_transposes import fold_transposes
from tinypareto.mcu.passes.fuse_add import fuse_add
from tinypareto.mcu.passes.fuse_lookup import fuse_lookup
from tinypareto.mcu.passes.fuse_relu import fuse_relu


def optimize(graph: Graph) -> Graph:
    """Return a smaller graph with the same output, byte for byte.

    Dead operators go first, since a dead reader would keep others from being fused, then what only moves
    values, since it would stand between others, and of that first what vanishes altogether; ReLUs go before tables,
    since a clamp costs nothing, and sums come last, since a table may take them.
    """
    alive = fold_pads(fold_transposes(cancel_transposes(drop_dead(graph))))
    return fuse_add(fuse_lookup(fuse_relu(alive)))
