"""Let a convolution add what a residual connection brings to its own result.

The sum is then written pixel by pixel, so the convolution's result needs no memory of its own, and where
nothing else reads what is added, the sum is written over it.

Requires: nothing, but ReLUs behind sums should be their clamps by now.
Ensures: no Add reads a tensor that it alone reads, that a convolution without groups writes and that is the later
    written of its two inputs; outputs are unchanged, byte for byte.
"""

from collections import Counter

from tinypareto.mcu.graph import Add, Convolution, ConvolutionAdd, Graph, Operator


def fuse_add(graph: Graph) -> Graph:
    """Return the graph with sums fused into the convolutions right before them.

    The later written input is the one to fuse: at its place the other one is there already.
    """
    readers = Counter(name for operator in graph.operators for name in operator.inputs)
    readers.update(graph.outputs)  # the caller
    fused: list[Operator] = []
    place: dict[str, int] = {}  # of each output's operator in the new list
    for operator in graph.operators:
        later = max(operator.inputs, key=lambda name: place.get(name, -1))
        producer = fused[place[later]] if later in place else None
        if isinstance(operator, Add) and readers[later] == 1 and type(producer) is Convolution:
            if producer.groups == 1 and _same_shapes(graph, operator):
                place[operator.output] = place[later]
                fused[place[later]] = _sum(graph, producer, operator)
                continue
        place[operator.output] = len(fused)
        fused.append(operator)
    return graph.with_operators(tuple(fused))


def _same_shapes(graph: Graph, add: Add) -> bool:
    return len({graph.tensors[name].shape for name in (*add.inputs, add.output)}) == 1


def _sum(graph: Graph, convolution: Convolution, add: Add) -> ConvolutionAdd:
    (skip,) = (name for name in add.inputs if name != convolution.output)
    return ConvolutionAdd(
        name=convolution.name,
        inputs=(*convolution.inputs, skip),
        output=add.output,
        clamp=add.clamp,
        window=convolution.window,
        weight=convolution.weight,
        bias=convolution.bias,
        weight_scale=convolution.weight_scale,
        groups=convolution.groups,
        middle=graph.tensors[convolution.output],
        middle_clamp=convolution.clamp,
    )
