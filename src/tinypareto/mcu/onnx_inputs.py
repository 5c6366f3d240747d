"""Quantise a network's inputs where they enter it.

Quantisers leave what only moves an input's values in float and quantise behind it: input -> Flatten -> QuantizeLinear.
Rounding each value and moving it commute, so the same scale may stand before the move, and every node reads int8.
"""

from itertools import count

import onnx

# Nodes whose output holds the values of their first input and no others.
MOVING = frozenset({"Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


def quantize_inputs_early(graph: onnx.GraphProto) -> None:
    """Insert QuantizeLinear and DequantizeLinear between each input and the nodes that only move it."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    constants = {constant.name for constant in graph.initializer}
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    for entry in graph.input:
        quantize = _quantizer_behind(entry.name, readers)
        if entry.name in constants or quantize is None or quantize in readers[entry.name]:
            continue
        (mover,) = readers[entry.name]
        free = (f"{entry.name}_early_{number}" for number in count())
        quantized, real = (
            name for name, _ in zip((n for n in free if n not in taken), range(2), strict=False)
        )
        scale = quantize.input[1:]
        pair = [
            onnx.helper.make_node("QuantizeLinear", [entry.name, *scale], [quantized]),
            onnx.helper.make_node("DequantizeLinear", [quantized, *scale], [real]),
        ]
        mover.input[0] = real
        _prepend(graph, pair)


def _quantizer_behind(name: str, readers: dict[str, list[onnx.NodeProto]]) -> onnx.NodeProto | None:
    """Return the QuantizeLinear at the end of a chain of moves, None if something else reads on the way."""
    for _ in range(len(readers)):  # a cycle ends too
        found = readers.get(name, [])
        if len(found) != 1 or found[0].input[0] != name:
            return None
        if found[0].op_type == "QuantizeLinear":
            return found[0]
        if found[0].op_type not in MOVING or not found[0].output:
            return None
        name = found[0].output[0]
    return None


def _prepend(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    kept = [*nodes, *graph.node]
    del graph.node[:]
    graph.node.extend(kept)
