"""One ONNX node that compares values along an axis -> an operator."""

from collections.abc import Callable

from tinypareto.mcu.graph import INT8_MIN, ArgMax, Softmax
from tinypareto.mcu.onnx_activations import elementwise
from tinypareto.mcu.onnx_values import Draft, Node
from tinypareto.mcu.rankings import MAX_CLASSES

FIRST_OPSET_WITH_ONE_AXIS = 13  # of Softmax; before, it took all axes from the given one on


def _softmax(node: Node) -> Draft:
    source = node.ordered(0, channels_last=None)
    rank, new = len(source.dims), node.opset >= FIRST_OPSET_WITH_ONE_AXIS
    axis = node.axis(int(node.attributes.get("axis", -1 if new else 1)), rank)
    if not new and axis != rank - 1:
        node.refuse(
            "operator sets before 13 take it over several axes; convert the model to operator set 13."
        )
    operator = Softmax(name=node.name, inputs=(source.tensor.name,), output="", axis=source.places[axis])
    return elementwise(source, operator)


def _arg_max(node: Node) -> Draft:
    source = node.ordered(0, channels_last=None)
    rank = len(source.dims)
    axis = node.axis(int(node.attributes.get("axis", 0)), rank)
    if node.attributes.get("select_last_index", 0):
        node.refuse("it must take the first of equal values; export it with select_last_index=0.")
    if source.dims[axis] > MAX_CLASSES:
        node.refuse(
            f"an index must fit 8 bits, so at most {MAX_CLASSES} classes, not {source.dims[axis]}; "
            "leave the node out and look for the largest output in the application."
        )
    place, shape = source.places[axis], list(source.tensor.shape)
    shape[place] = 1
    operator = ArgMax(name=node.name, inputs=(source.tensor.name,), output="", axis=place)
    kept = (1,) if node.attributes.get("keepdims", 1) else ()
    dims = (*source.dims[:axis], *kept, *source.dims[axis + 1 :])
    return Draft(
        operator=operator,
        shape=(shape[0], shape[1], shape[2]),
        dims=dims,
        channels_last=source.channels_last,
        steps=(1.0, INT8_MIN),
    )


RANKINGS: dict[str, Callable[[Node], Draft]] = {"ArgMax": _arg_max, "Softmax": _softmax}
