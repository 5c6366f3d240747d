"""Arithmetic of a value and constants that differ from channel to channel -> a depthwise convolution of one pixel.

x + c is 127 x / 127 plus a bias, x * c is +-127 x in steps of |c| / 127, so no kernel of its own is needed, and the
convolution rounds once, as arithmetic does.
"""

import numpy as np
import numpy.typing as npt

from tinypareto.mcu.graph import INT8_MAX, Convolution, FloatArray, Tensor, Window
from tinypareto.mcu.onnx_layouts import UNMOVED, moved
from tinypareto.mcu.onnx_values import Activation, Draft, Node


def with_constants(node: Node) -> Draft | None:
    """Return an Add, Sub, Mul or Div of a value and several constants, None if no input is constant."""
    for index in (1, 0):
        constants = node.real_constant(index)
        if constants is not None and isinstance(node.input(1 - index), Activation):
            if node.kind == "Div" and index == 0:
                node.refuse("it must divide by constants; only one number can be divided by a value.")
            return _convolved(node, constants, 1 - index)
    return None


def _convolved(node: Node, constants: FloatArray, index: int) -> Draft:
    source, values = _in_memory(node, index, constants)
    weight, scale, bias = _factors(node, values, first=index == 0)
    steps = np.rint(bias / (source.tensor.scale * scale))
    if not (np.abs(steps) < 2.0**31).all():  # also true for what is not finite
        node.refuse("its constants must be finite and not far beyond the value's range; calibrate again.")
    flat = _as_channels(node, source.tensor, len(values))
    operator = Convolution(
        name=node.name,
        inputs=(flat.name,),
        output="",
        window=Window(kernel=(1, 1)),
        weight=weight.reshape(-1, 1, 1, 1),
        bias=steps.astype(np.int32),
        weight_scale=scale,
        groups=len(values),
    )
    return Draft(
        operator=operator,
        shape=flat.shape,
        dims=source.dims,
        channels_last=source.channels_last,
        seen_as=source.tensor.shape,
    )


def _factors(
    node: Node, values: FloatArray, *, first: bool
) -> tuple[npt.NDArray[np.int8], FloatArray, FloatArray]:
    """Return weights, their scales and real biases; ``first`` says that the value stands before the constants."""
    even, nothing = np.full(len(values), 1 / INT8_MAX), np.zeros(len(values))
    whole = np.full(len(values), INT8_MAX, np.int8)
    if node.kind == "Add":
        return whole, even, values
    if node.kind == "Sub":
        return (whole, even, -values) if first else (-whole, even, values)
    with np.errstate(all="ignore"):
        factors = 1 / values if node.kind == "Div" else values
    if not np.isfinite(factors).all():
        node.refuse("it must divide by constants other than 0; check the model.")
    weight = (np.sign(factors) * INT8_MAX).astype(np.int8)
    return weight, np.where(factors == 0, even, np.abs(factors) / INT8_MAX), nothing


def _in_memory(node: Node, index: int, constants: FloatArray) -> tuple[Activation, FloatArray]:
    """Return the value, and the constants as they repeat along its memory.

    Constants along the first or the last axis need only the layout in which that is the channels.
    """
    dims = node.activation(index).dims
    rank = len(dims)
    shape = (1,) * (rank + 1 - constants.ndim) + constants.shape
    if len(shape) != rank + 1 or any(
        size not in {1, other} for size, other in zip(shape, (1, *dims), strict=True)
    ):
        node.refuse(
            f"its constants {constants.shape} must have the axes of the value {dims} or 1 in their place; reshape them."
        )
    varying = [axis for axis in range(rank) if shape[axis + 1] > 1]
    last = True if rank > 3 else None
    if 2 <= rank <= 3 and varying in ([0], [rank - 1]):
        last = varying != [0]
    source = node.ordered(index, channels_last=last)
    by_axis = np.broadcast_to(constants.reshape(shape[1:]), dims)
    height, width, channels = source.tensor.shape
    if source.channels_last:
        in_memory, places = (
            by_axis.reshape(source.tensor.shape),
            [max(0, axis + 3 - rank) for axis in varying],
        )
    else:
        in_memory = by_axis.reshape(channels, height, width).transpose(1, 2, 0)
        places = [source.places[axis] for axis in varying]
    return source, in_memory[(0,) * min(places, default=2)].reshape(-1)


def _as_channels(node: Node, tensor: Tensor, count: int) -> Tensor:
    """Return the tensor with the ``count`` values that end it as channels."""
    if count == tensor.shape[2]:
        return tensor
    seen = moved(tensor, UNMOVED, (1, tensor.size // count, count), "flat")
    node.moves.append(seen)
    return seen[1]
