"""Let inputs and outputs lie in the order of the model's file where nothing has to be transposed for it.

The channels of an input or output are the first axis that the file gives it (behind the batch), as ONNX has images.
Exporters that think in channels last transpose such an input first and such an output at the end. The file's own order
is height x width x channels then, so the application may hand values over as they lie, and neither transposition is
left.
"""

from dataclasses import replace

from tinypareto.mcu.graph import Graph, Tensor, Transpose
from tinypareto.mcu.moves import stays_in_place
from tinypareto.mcu.onnx_layouts import TO_CHANNELS_FIRST, TO_CHANNELS_LAST, Dims, own_shape
from tinypareto.mcu.passes.cancel_transposes import cancel_transposes


def in_file_order(graph: Graph) -> Graph:
    """Return the graph with each input and output in the file's order that then takes fewer transpositions.

    Values in the file's layout give the same results. `Graph.channels_last` says which ones lie otherwise now.
    """
    ends = zip((*graph.inputs, *graph.outputs), (*graph.input_dims, *graph.output_dims), strict=True)
    least = _moves(cancel_transposes(graph))
    for name, dims in ends:
        if least == 0:
            break
        if name in graph.inputs and name in graph.outputs:
            continue  # one tensor, two layouts
        turned = cancel_transposes(_turned(graph, name, dims))
        if _moves(turned) < least:
            graph, least = replace(turned, channels_last=graph.channels_last | {name}), _moves(turned)
    return graph


def _moves(graph: Graph) -> int:
    found = (operator for operator in graph.operators if isinstance(operator, Transpose))
    return sum(not stays_in_place(operator) for operator in found)


def _turned(graph: Graph, name: str, dims: Dims) -> Graph:
    """Return the graph with a transposition between an input or output in the file's order and the one it had."""
    outer = replace(graph.tensors[name], shape=own_shape(dims, channels_last=True))
    inner = replace(graph.tensors[name], name=f"{name}/channels first")
    height, width, channels = inner.shape
    within = _renamed(graph, name, inner)
    operators = within.operators
    if name in graph.inputs:
        view = (channels, height, width)
        move = Transpose(name=inner.name, inputs=(name,), output=inner.name, view=view, axes=TO_CHANNELS_LAST)
        operators = (move, *operators)
    else:
        move = Transpose(
            name=inner.name, inputs=(inner.name,), output=name, view=inner.shape, axes=TO_CHANNELS_FIRST
        )
        operators = (*operators, move)
    return replace(within, operators=operators).with_tensor(outer)


def _renamed(graph: Graph, name: str, tensor: Tensor) -> Graph:
    """Return the graph whose operators use ``tensor`` in place of the one called ``name``."""
    names = {name: tensor.name}
    operators = tuple(
        replace(
            operator,
            inputs=tuple(names.get(source, source) for source in operator.inputs),
            output=names.get(operator.output, operator.output),
        )
        for operator in graph.operators
    )
    return replace(graph, operators=operators).with_tensor(tensor)
